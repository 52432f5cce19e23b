"""run_blocking: runs what may block in a thread of its own where greenlets would wait for it, else right here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def run_blocking(step: Callable[[], T]) -> T:
    """Run a step. Where it is a thread's, gevent prints the traceback of what it raises, and it is raised here."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None or not monkey.is_module_patched("threading"):
        return step()
    import gevent  # is there already

    answer: T = gevent.get_hub().threadpool.apply(step)
    return answer
