"""Run blocking work in a thread under gevent, so that it does not stop all greenlets."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def run_blocking(step: Callable[[], T]) -> T:
    """Run a step in gevent's thread pool if threading is patched, else in this thread.

    Return its result, or raise its error.
    """
    if not is_cooperative():
        return step()
    import gevent  # loaded already

    results: list[T] = []
    error: BaseException | None = gevent.get_hub().threadpool.apply(_run, (step, results))
    if error is not None:
        raise error
    return results[0]


def is_cooperative() -> bool:
    """Return whether requests run as greenlets, which share this thread."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def _run(step: Callable[[], T], results: list[T]) -> BaseException | None:
    """Run a step and return its error, if any: gevent prints the traceback of each error that its pool raises."""
    try:
        results.append(step())
    except BaseException as error:
        return error
    return None
