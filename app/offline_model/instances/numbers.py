"""Propose numbers within a schema's bounds; the caller validates them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import count
from typing import Any

from app.offline_model.instances.hints import Hints


def propose_numbers(schema: dict[str, Any], kind: str, hints: Hints) -> Iterator[int | float]:
    """Yield numbers of the kind "integer" or "number" endlessly: from the text, then from 1 or the bounds on."""
    whole = kind == "integer"
    yield from (number for number in hints.numbers if not whole or isinstance(number, int))
    lows = [_to_fraction(schema[key]) for key in ("minimum", "exclusiveMinimum") if key in schema]
    highs = [_to_fraction(schema[key]) for key in ("maximum", "exclusiveMaximum") if key in schema]
    step = _to_fraction(schema.get("multipleOf", 1))
    if whole:  # of the multiples of p/q, the whole ones are the multiples of p
        step = Fraction(step.numerator)
    nearest = max([1, *(math.ceil(low / step) for low in lows)])
    nearest = min([nearest, *(math.floor(high / step) for high in highs)])
    for away in count():
        for exact in sorted({step * (nearest + away), step * (nearest - away)}, reverse=True):
            yield int(exact) if exact.denominator == 1 else float(exact)
        if lows and highs and not whole:  # between two whole numbers
            yield float(max(lows) + (min(highs) - max(lows)) / (away + 2))


def _to_fraction(number: int | float) -> Fraction:
    return Fraction(str(number))
