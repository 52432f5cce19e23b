"""Numbers for a schema's bounds, the likeliest first; the caller checks each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import count
from typing import Any

from app.offline_model.hints import Hints


def numbers_for(schema: dict[str, Any], kind: str, hints: Hints) -> Iterator[int | float]:
    """Numbers of the kind "integer" or "number", without end: from the text, then those nearest to 1."""
    whole = kind == "integer"
    yield from (number for number in hints.numbers if not whole or isinstance(number, int))
    for exact in _near_one(schema, whole=whole):
        yield int(exact) if exact.denominator == 1 else float(exact)


def _near_one(schema: dict[str, Any], *, whole: bool) -> Iterator[Fraction]:
    lows = [_exact(schema[key]) for key in ("minimum", "exclusiveMinimum") if key in schema]
    highs = [_exact(schema[key]) for key in ("maximum", "exclusiveMaximum") if key in schema]
    step = _exact(schema.get("multipleOf", 1))
    if whole:  # of the multiples of p/q, the whole ones are the multiples of p
        step = Fraction(step.numerator)
    nearest = 1
    if lows:
        nearest = max(nearest, math.ceil(max(lows) / step))
    if highs:
        nearest = min(nearest, math.floor(min(highs) / step))
    low = max(lows, default=min(highs, default=Fraction(2)) - 1)
    high = min(highs, default=low + 1)
    yield step * nearest
    for away in count(1):
        if not whole and "multipleOf" not in schema:
            yield low + (high - low) / (away + 1)
        yield step * (nearest + away)
        yield step * (nearest - away)


def _exact(number: int | float) -> Fraction:
    return Fraction(str(number))
