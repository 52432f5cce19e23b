"""Run blocking work in a thread under gevent, so that it does not stop all greenlets."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def run_blocking(step: Callable[[], T]) -> T:
    """Return what a step returns: run in gevent's thread pool if threading is patched, else in this thread.

    If the step raises in the pool, gevent also prints its traceback.
    """
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None or not monkey.is_module_patched("threading"):
        return step()
    import gevent  # is loaded already

    result: T = gevent.get_hub().threadpool.apply(step)
    return result
