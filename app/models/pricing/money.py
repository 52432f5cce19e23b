"""Convert between dollars and integer micro-dollars, the unit of all amounts."""

from __future__ import annotations

_MICRO = 1_000_000


def to_micro_usd(usd: float) -> int:
    """Convert dollars to micro-dollars, rounded."""
    return round(usd * _MICRO)


def format_usd(micro_usd: int) -> str:
    """Format micro-dollars as dollars, such as 1,234.567890."""
    return f"{micro_usd / _MICRO:,.6f}"
