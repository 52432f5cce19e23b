"""Money is counted in whole micro-dollars; settings, callers and people have dollars."""

from __future__ import annotations

_MICRO = 1_000_000


def to_micro_usd(usd: float) -> int:
    """Return so many dollars in micro-dollars, rounded."""
    return round(usd * _MICRO)


def format_usd(micro_usd: int) -> str:
    """Return so many micro-dollars in dollars: 1,234.567890."""
    return f"{micro_usd / _MICRO:,.6f}"
