"""Usage: how many tokens a call has used, parsed once from OpenAI's own form.

A further figure for the ledger is one field of Figures and one migration that adds a column of its name.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any


def _figure(name: str, section: str | None = None) -> Any:
    """A field with the name of its count in OpenAI's form, within a section or beside them."""
    return field(default=None, metadata={"name": name, "section": section})


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The counts of tokens that the ledger has columns for; None where nobody has told one."""

    prompt_tokens: int | None = _figure("prompt_tokens")
    cached_tokens: int | None = _figure("cached_tokens", "prompt_tokens_details")
    completion_tokens: int | None = _figure("completion_tokens")
    reasoning_tokens: int | None = _figure("reasoning_tokens", "completion_tokens_details")


FIGURES = tuple(each.name for each in fields(Figures))
"""The names of the ledger's columns, in their order."""

get_figures = attrgetter(*FIGURES)
"""Return the values of an object's figures, in that order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage(Figures):
    """What the upstream says that an answer has used, or several together.

    Attributes:
        cache_write_tokens, input_audio_tokens, output_audio_tokens: those that may have a price of their own.
        raw: all of it in OpenAI's form, as callers are told it.
    """

    cache_write_tokens: int | None = _figure("cache_write_tokens", "prompt_tokens_details")
    input_audio_tokens: int | None = _figure("audio_tokens", "prompt_tokens_details")
    output_audio_tokens: int | None = _figure("audio_tokens", "completion_tokens_details")
    raw: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, raw: object) -> Usage | None:
        """Read a usage; None where it is no object. A count that is none is as if it were not there."""
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
    def is_told(self) -> bool:
        """Whether the upstream has told what an answer used; some servers send a usage with nothing in it."""
        return self.prompt_tokens is not None

    def __add__(self, other: Usage) -> Usage:
        """Return the sum of two usages. A count that one of them lacks is unknown, not zero, and adds nothing."""
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
    """Add up two usages in OpenAI's form, member by member."""
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
