"""Read the clocks, in one place so that tests can replace them."""

from __future__ import annotations

import time

now = time.time
"""Seconds since 1970 in UTC, for expiries: the same in all processes."""

ticks = time.monotonic
"""Seconds of a monotonic clock, for durations within this process."""


def now_ms() -> int:
    """Return UTC in milliseconds since 1970, the unit of the database."""
    return time.time_ns() // 1_000_000
