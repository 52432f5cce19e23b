"""Have a worker that cannot start leave the others alone, and be tried again.

gunicorn ends the whole server where a worker cannot load the application. That is right for the first ones. A later one
takes the place of a killed one, and may meet a prompt or a tool that somebody is writing: the server runs on without
it, and has it once the fault is mended.
"""

from __future__ import annotations

import logging
import signal
import sys
import time
from typing import Any

RETRY_S = 5.0
"""How long a worker that has failed waits before it ends, since gunicorn replaces it at once."""

# private API: spawn_worker, worker_age and the exit statuses of Arbiter; guarded by tests/test_private_apis.py

_is_replacement = False


def tell(fault: str) -> None:
    """Say why the application cannot be loaded: plainly while the server starts, else by a line of the log."""
    if _is_replacement:
        logging.getLogger("server").error("server.worker_failed", extra={"reason": fault})
    else:
        sys.stderr.write(f"{fault}\n")


def outlive_failures(arbiter: Any) -> None:
    """Have workers that fail to start end the server only while it starts."""
    spawn_worker = arbiter.spawn_worker

    def spawn_and_outlive() -> Any:
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

    arbiter.spawn_worker = spawn_and_outlive
