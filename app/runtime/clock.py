"""The clocks, in one place so that tests can move them."""

from __future__ import annotations

import time

now = time.time
"""Seconds since 1970, in UTC: what all processes of a machine read alike, for what expires."""

ticks = time.monotonic
"""Seconds that are never set back, for how long something takes in this process."""


def now_ms() -> int:
    """Return UTC in milliseconds since 1970, as the database keeps it."""
    return time.time_ns() // 1_000_000
