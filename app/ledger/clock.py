"""The ledger's clocks, in one place so that tests can move them."""

from __future__ import annotations

import time


def now_ms() -> int:
    """UTC, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def ticks() -> float:
    """Seconds that nobody sets back, for how long something may take."""
    return time.monotonic()
