"""Log uncaught exceptions, warnings and other packages' lines of a server in the format of all other lines."""

from __future__ import annotations

import logging
import sys
import threading
from types import TracebackType
from typing import Any

log = logging.getLogger(__name__)


def log_uncaught() -> None:
    """Log what Python, its threads and gevent would otherwise print to standard error over several lines."""
    logging.getLogger().handlers[:] = logging.getLogger("app").handlers
    logging.captureWarnings(True)
    sys.excepthook = _note
    threading.excepthook = lambda args: _note(args.exc_type, args.exc_value, args.exc_traceback)
    if "gevent" in sys.modules:
        from gevent import get_hub

        get_hub().print_exception = _note_greenlet


def _note(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    log.error("process.uncaught", exc_info=(kind, error or kind(), trace))


def _note_greenlet(_context: Any, kind: Any, error: Any, trace: Any) -> None:
    _note(kind, error, trace)
