"""Keep the server running if a replacement worker cannot start, and start it again later.

gunicorn ends the whole server if a worker cannot load the application. That is right for the first workers. A later
one replaces a killed worker, and may fail because a prompt or tool file is being edited. Then the server continues
with the other workers, and starts the replacement once the file is valid again.
"""

from __future__ import annotations

import logging
import signal
import sys
import time
from typing import Any

RETRY_S = 5.0
"""How long a failed worker waits before it exits, because gunicorn replaces it at once."""

# private API: spawn_worker, worker_age and the exit statuses of Arbiter; guarded by tests/test_private_apis.py

_is_replacement = False


def report(reason: str) -> None:
    """Report why the application cannot be loaded: on stderr while the server starts, later in the log."""
    if _is_replacement:
        logging.getLogger("server").error("server.worker_failed", extra={"reason": reason})
    else:
        sys.stderr.write(f"{reason}\n")


def survive_failures(arbiter: Any) -> None:
    """Let a worker that fails to start end the server only while the server starts."""
    spawn_worker = arbiter.spawn_worker

    def spawn_and_survive() -> Any:
        global _is_replacement  # noqa: PLW0603
        _is_replacement = arbiter.worker_age >= arbiter.cfg.workers
        try:
            return spawn_worker()
        except SystemExit as exit_of_worker:  # in the worker, which never returns
            if not _is_replacement or exit_of_worker.code not in (
                arbiter.WORKER_BOOT_ERROR,
                arbiter.APP_LOAD_ERROR,
            ):
                raise
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
                signal.signal(number, signal.SIG_DFL)
            time.sleep(RETRY_S)
            sys.exit(1)

    arbiter.spawn_worker = spawn_and_survive
