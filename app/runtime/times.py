"""Format times in UTC, given as seconds since 1970."""

from __future__ import annotations

import time


def format_iso(at_s: float) -> str:
    """Format a time for programs: 2026-11-20T08:30:00Z."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s))


def format_minute(at_s: float) -> str:
    """Format a time for people: 2026-11-20 08:30 UTC."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at_s))
