"""Parse and add up the token counts that the upstream reports for an answer.

To add a figure to the ledger, add a field to Figures and a migration with a column of its name.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any


def _declare(name: str, section: str | None = None) -> Any:
    """Return a field for a count with this name in OpenAI's JSON, at the top level or within a section."""
    return field(default=None, metadata={"name": name, "section": section})


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Token counts that the ledger has columns for; None if the upstream did not report one."""

    prompt_tokens: int | None = _declare("prompt_tokens")
    cached_tokens: int | None = _declare("cached_tokens", "prompt_tokens_details")
    completion_tokens: int | None = _declare("completion_tokens")
    reasoning_tokens: int | None = _declare("reasoning_tokens", "completion_tokens_details")


FIGURES = tuple(each.name for each in fields(Figures))
"""The names of the ledger's columns, in order."""

get_figures = attrgetter(*FIGURES)
"""Return the values of an object's figures, in that order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage(Figures):
    """The usage of an answer, or of several, as the upstream reports it.

    Attributes:
        cache_write_tokens, input_audio_tokens, output_audio_tokens: counts that may have a separate price.
        raw: OpenAI's own JSON, which callers get.
    """

    cache_write_tokens: int | None = _declare("cache_write_tokens", "prompt_tokens_details")
    input_audio_tokens: int | None = _declare("audio_tokens", "prompt_tokens_details")
    output_audio_tokens: int | None = _declare("audio_tokens", "completion_tokens_details")
    raw: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, raw: object) -> Usage | None:
        """Parse a usage; return None if it is not an object. Invalid counts are ignored."""
        if not isinstance(raw, dict):
            return None
        counts: dict[str, Any] = {}
        for section, names in _SECTIONS:
            part = raw if section is None else raw.get(section)
            if isinstance(part, dict):
                for name, theirs in names:
                    count = part.get(theirs)
                    if type(count) is int and count >= 0:
                        counts[name] = count
        return cls(raw=raw, **counts)

    @property
    def is_reported(self) -> bool:
        """Whether the upstream reported a usage; some servers send an empty one."""
        return self.prompt_tokens is not None

    def __add__(self, other: Usage) -> Usage:
        """Return the sum of two usages. A count that only one has is taken from it."""
        counts: dict[str, Any] = {}
        for name in _COUNTS:
            left, right = getattr(self, name), getattr(other, name)
            counts[name] = right if left is None else left if right is None else left + right
        return Usage(raw=_add(self.raw, other.raw), **counts)


_COUNTS = tuple(each.name for each in fields(Usage) if each.name != "raw")
_SECTIONS = [
    (
        section,
        [
            (each.name, each.metadata["name"])
            for each in fields(Usage)
            if each.metadata and each.metadata["section"] == section
        ],
    )
    for section in (None, "prompt_tokens_details", "completion_tokens_details")
]


def _add(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Add up two usages in OpenAI's JSON, member by member."""
    total = dict(one)
    for name, right in other.items():
        left = one.get(name)
        if isinstance(left, dict) and isinstance(right, dict):
            total[name] = _add(left, right)
        elif isinstance(left, int) and isinstance(right, int):
            total[name] = left + right
        elif right is not None:
            total[name] = right
    return total
