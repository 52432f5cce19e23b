"""The two clocks of shared state, in one place so that tests can move them."""

from __future__ import annotations

import time


def now() -> float:
    """Seconds since 1970: the one clock that all processes of a machine read alike, for what expires."""
    return time.time()


def ticks() -> float:
    """Seconds that nobody sets back, for how often this process does something."""
    return time.monotonic()
