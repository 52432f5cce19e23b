"""The clock by which credentials expire, in one place so that tests can move it."""

from __future__ import annotations

import time


def now() -> float:
    """Seconds since 1970, as in a JWT's claims."""
    return time.time()


def ticks() -> float:
    """Seconds that nobody sets back, for how old something is in this process."""
    return time.monotonic()
