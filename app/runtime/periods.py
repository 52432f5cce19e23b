"""Compute the periods of budgets: days and months in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal

Window = Literal["day", "month"]

DAY_MS = 86_400_000


def get_day(at_ms: int) -> str:
    """Return the UTC day of a time, such as 2026-11-20."""
    return _format_day(at_ms // DAY_MS)


def get_start_ms(day: str) -> int:
    """Return the first millisecond of a day."""
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1000


def get_period(window: Window, at_ms: int) -> str:
    """Return the day (2026-11-20) or month (2026-11) of a time."""
    day = get_day(at_ms)
    return day if window == "day" else day[:7]


def get_days(window: Window, at_ms: int) -> tuple[str, str]:
    """Return the first and the last day of the period of a time. The last day of a month is always given as 31."""
    day = get_day(at_ms)
    return (day, day) if window == "day" else (f"{day[:7]}-01", f"{day[:7]}-31")


def get_seconds_left(window: Window, at_ms: int) -> int:
    """Return the seconds until the next period, rounded up."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    start = at.replace(hour=0, minute=0, second=0, microsecond=0)
    if window == "day":
        end = start + timedelta(days=1)
    else:
        end = (start.replace(day=1) + timedelta(days=32)).replace(day=1)
    return max(1, -((at - end) // timedelta(seconds=1)))


@lru_cache(maxsize=4)
def _format_day(number: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=number)).date().isoformat()
