"""A model's prices per token, which may depend on the number of input tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal

from app.models.token_counts.usage import Usage

SCALE = 1_000_000
"""Rates are in millionths of a micro-dollar per token. USD per million tokens equals micro-dollars per token."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Prices of requests above a number of input tokens, in millionths of a micro-dollar per token."""

    above: int
    input: int
    cached: int
    written: int
    input_audio: int
    output: int
    output_audio: int

    @classmethod
    def of(cls, above: int, prices: Mapping[str, Decimal | None]) -> Rates:
        """Build rates from prices in USD per million tokens. A missing price is that of plain input or output."""

        def scale(name: str, fallback: str) -> int:
            price = prices.get(name)
            return math.ceil(((prices.get(fallback) if price is None else price) or 0) * SCALE)

        return cls(
            above=above,
            input=scale("input", "input"),
            cached=scale("cached", "input"),
            written=scale("written", "input"),
            input_audio=scale("input_audio", "input"),
            output=scale("output", "output"),
            output_audio=scale("output_audio", "output"),
        )

    def halve(self) -> Rates:
        """Return half of each price, rounded up."""
        values = {field.name: -(-getattr(self, field.name) // 2) for field in fields(self)}
        return Rates(**{**values, "above": self.above})

    def cost(self, usage: Usage) -> int:
        """Return the cost in millionths of a micro-dollar. Completion tokens include reasoning tokens."""
        prompt, completion = usage.prompt_tokens or 0, usage.completion_tokens or 0
        cached = min(usage.cached_tokens or 0, prompt)
        written = min(usage.cache_write_tokens or 0, prompt - cached)
        audio = min(usage.input_audio_tokens or 0, prompt - cached - written)
        spoken = min(usage.output_audio_tokens or 0, completion)
        return (
            (prompt - cached - written - audio) * self.input
            + cached * self.cached
            + written * self.written
            + audio * self.input_audio
            + (completion - spoken) * self.output
            + spoken * self.output_audio
        )

    @property
    def max_input(self) -> int:
        """The highest price of an input token."""
        return max(self.input, self.cached, self.written, self.input_audio)

    @property
    def max_output(self) -> int:
        """The highest price of an output token."""
        return max(self.output, self.output_audio)
