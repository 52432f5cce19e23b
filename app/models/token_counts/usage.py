"""Parse and add up the token counts that the upstream reports for an answer.

To add a figure to the ledger, add a field to Figures and a migration with a column of its name.
"""

from __future__ import annotations

import math
import re
from dataclasses import field, fields, replace
from operator import attrgetter
from typing import Any

from app.frozen import frozen


def _declare(*places: str) -> Any:
    """Return a dataclass field for a count, with the places where servers report it: a name, or `section.name`."""
    return field(default=None, metadata={"places": places})


@frozen(kw_only=True)
class Figures:
    """The token counts that the ledger has columns for. A count that the upstream did not report is None."""

    prompt_tokens: int | None = _declare("prompt_tokens", "input_tokens")
    cached_tokens: int | None = _declare(
        "prompt_tokens_details.cached_tokens",
        "input_tokens_details.cached_tokens",
        "prompt_cache_hit_tokens",  # DeepSeek
        "cached_tokens",  # Moonshot
        "cache_read_input_tokens",  # LiteLLM, for Anthropic's models
    )
    cache_write_tokens: int | None = _declare(
        "prompt_tokens_details.cache_write_tokens",
        "input_tokens_details.cache_write_tokens",
        "prompt_tokens_details.cache_creation_tokens",
        "cache_creation_input_tokens",
    )
    completion_tokens: int | None = _declare("completion_tokens", "output_tokens")
    reasoning_tokens: int | None = _declare(
        "completion_tokens_details.reasoning_tokens", "output_tokens_details.reasoning_tokens", "reasoning_tokens"
    )


FIGURES = tuple(each.name for each in fields(Figures))
"""The names of the ledger's columns, in order."""

get_figures = attrgetter(*FIGURES)
"""Return the values of an object's figures, in the order of FIGURES."""


@frozen(kw_only=True)
class Usage(Figures):
    """The usage of an answer, or of several, as the upstream reports it.

    Attributes:
        input_audio_tokens, output_audio_tokens: counts that may have a separate price.
        is_reported: whether the upstream reported all that it bills, in figures that add up. If not, each count has
            the most expensive value that its figures allow, or None if they do not determine it.
        raw: the upstream's JSON, which callers get.
    """

    input_audio_tokens: int | None = _declare(
        "prompt_tokens_details.audio_tokens", "input_tokens_details.audio_tokens"
    )
    output_audio_tokens: int | None = _declare(
        "completion_tokens_details.audio_tokens", "output_tokens_details.audio_tokens"
    )
    is_reported: bool = True
    raw: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, raw: object, *, has_output: bool = True, wrote: bool = False) -> Usage | None:
        """Parse a usage; return None if it is not an object.

        Args:
            raw: OpenAI's object, or that of a compatible server, which may differ.
            has_output: whether the operation has output tokens; embeddings have none.
            wrote: whether the answer has text, so that a report of no output tokens must be wrong.
        """
        if not isinstance(raw, dict):
            return None
        counts, ambiguous = _read_counts(raw)
        for name in ambiguous:
            counts.pop(name, None)
        total = counts.pop(_TOTAL, None)
        adds_up = not ambiguous
        if "cache_read_input_tokens" in raw or "cache_creation_input_tokens" in raw:
            _add_cache_beside(counts, raw, total)
        if has_output:
            adds_up &= _reconcile(counts, total, wrote=wrote)
        else:
            adds_up &= _reconcile_input(counts, total)
        adds_up &= _drop_impossible_discount(counts)
        return cls(raw=raw, is_reported=adds_up, **counts)

    def complete(self, estimate: Usage) -> Usage:
        """Return this usage with an estimate for prompt and completion, where the upstream did not report them."""
        reported, _ = _read_counts(self.raw)  # ambiguous counts included: they may be higher than the estimate
        total = reported.get(_TOTAL, 0)
        prompt, completion = self.prompt_tokens, self.completion_tokens
        if prompt is None:
            prompt = max(estimate.prompt_tokens or 0, reported.get("prompt_tokens", 0))
        if completion is None:
            seen = (estimate.completion_tokens or 0) + (self.reasoning_tokens or 0)
            completion = max(seen, reported.get("completion_tokens", 0))
        reasoning = reported.get("reasoning_tokens", 0)
        if reasoning > completion:  # then the completion does not include it
            completion += reasoning
        completion = max(completion, total - prompt)
        return replace(self, prompt_tokens=prompt, completion_tokens=completion)

    def without_cache(self) -> Usage:
        """Return this usage without the figures of the upstream's prompt cache, by the names of all servers."""
        raw = self.raw
        for section, names in _OF_CACHE.items():
            part = raw.get(section) if section else raw
            if type(part) is dict and not names.isdisjoint(part):
                left = {name: value for name, value in part.items() if name not in names}
                raw = {**raw, section: left} if section else left
        if raw is self.raw:  # none of these names is in it, so none of the counts is set either
            return self
        # Not replace(), which makes a call for each field.
        return Usage(
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            reasoning_tokens=self.reasoning_tokens,
            input_audio_tokens=self.input_audio_tokens,
            output_audio_tokens=self.output_audio_tokens,
            is_reported=self.is_reported,
            raw=raw,
        )

    def __add__(self, other: Usage) -> Usage:
        """Return the sum of two usages. A count that only one of them has is taken as it is."""
        counts: dict[str, Any] = {}
        for name in _COUNTS:
            left, right = getattr(self, name), getattr(other, name)
            counts[name] = right if left is None else left if right is None else left + right
        is_reported = self.is_reported and other.is_reported
        return Usage(raw=_add(self.raw, other.raw), is_reported=is_reported, **counts)


_TOTAL = "total_tokens"
# No context window is larger. A higher count is an error, and would not fit into the ledger's columns.
_MAX_COUNT = 10_000_000
_DIGITS = re.compile(r"[0-9]{1,8}")
# Anthropic's names of cache reads and cache writes, which it does not include in the input tokens.
_BESIDE = {"cache_read_input_tokens": "cached_tokens", "cache_creation_input_tokens": "cache_write_tokens"}
_COUNTS = tuple(each.name for each in fields(Usage) if each.metadata)


def _group_by_section() -> dict[str, dict[str, str]]:
    """Return, for each section of the JSON, the names in it and the count that each stands for."""
    sections: dict[str, dict[str, str]] = {"": {_TOTAL: _TOTAL}}
    for each in fields(Usage):
        for place in each.metadata.get("places", ()):
            section, _, name = place.rpartition(".")
            sections.setdefault(section, {})[name] = each.name
    return sections


_SECTIONS = _group_by_section()
_OF_CACHE = {
    section: {*(theirs for theirs, ours in names.items() if ours in _BESIDE.values()), "prompt_cache_miss_tokens"}
    for section, names in _SECTIONS.items()
}


def _read_counts(raw: dict[str, Any]) -> tuple[dict[str, int], set[str]]:
    """Return the counts that can be read, and the names of those that are ambiguous or unreadable.

    If a count is reported twice, the more expensive value is returned: fewer cached tokens, more of all others.
    """
    counts: dict[str, int] = {}
    ambiguous: set[str] = set()
    for section, names in _SECTIONS.items():
        part = raw.get(section) if section else raw
        if type(part) is not dict:
            continue
        for theirs, value in part.items():
            if theirs not in names or value is None:
                continue
            name, count = names[theirs], value
            if type(value) is not int or not 0 <= value <= _MAX_COUNT:
                count = _read_odd_count(value)
                if count != value:
                    ambiguous.add(name)
            if count is not None:
                pick = min if name == "cached_tokens" else max
                counts[name] = pick(counts[name], count) if name in counts else count
    return counts, ambiguous


def _read_odd_count(value: object) -> int | None:
    """Return a count that is written as text or as a fraction, which is rounded up; None if it is not a count."""
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = float(value)
    if type(value) is not float or not 0 <= value <= _MAX_COUNT:  # also false for NaN
        return None
    return math.ceil(value)


def _add_cache_beside(counts: dict[str, int], raw: dict[str, Any], total: int | None) -> None:
    """Add Anthropic's cache tokens to the prompt, unless it includes them, as that of LiteLLM does."""
    prompt = counts.get("prompt_tokens")
    beside = sum(counts.get(ours, 0) for theirs, ours in _BESIDE.items() if theirs in raw)
    if prompt is None or not beside:
        return
    is_within = "prompt_tokens" in raw or (
        total is not None and total < prompt + beside + counts.get("completion_tokens", 0)
    )
    if not is_within or beside > prompt:
        counts["prompt_tokens"] = prompt + beside


def _reconcile(counts: dict[str, int], total: int | None, *, wrote: bool) -> bool:
    """Make the counts of an answer agree with the upstream's total. Return whether all were reported and add up.

    Some servers include reasoning in the total only. Others report it in a separate field, not in `completion_tokens`.
    """
    prompt, completion = counts.get("prompt_tokens"), counts.get("completion_tokens")
    if prompt == completion == 0 and not total:  # a proxy has answered from its cache
        return True
    if prompt == 0:  # otherwise a prompt or a text without tokens is an error
        del counts["prompt_tokens"]
    if completion == 0 and wrote:
        del counts["completion_tokens"]
    prompt, completion = counts.get("prompt_tokens"), counts.get("completion_tokens")
    reasoning = counts.get("reasoning_tokens", 0)
    if prompt is None or completion is None:
        known = prompt or completion or 0
        if total is not None and total > known > 0:
            counts["completion_tokens" if completion is None else "prompt_tokens"] = total - known
        return False
    adds_up = total is None or total >= prompt + completion
    if total is not None and adds_up:
        counts["completion_tokens"] = total - prompt
    if reasoning > counts["completion_tokens"]:  # then the completion does not include it
        counts["completion_tokens"] = completion + reasoning
        return False
    return adds_up


def _reconcile_input(counts: dict[str, int], total: int | None) -> bool:
    """Do what _reconcile() does for an operation without output, whose total is its input."""
    reported = counts.get("prompt_tokens", 0)
    counts["prompt_tokens"] = max(reported, (total or 0) - counts.get("completion_tokens", 0))
    if not counts["prompt_tokens"]:
        del counts["prompt_tokens"]
        return False
    return reported in (0, counts["prompt_tokens"]) and total != 0


def _drop_impossible_discount(counts: dict[str, int]) -> bool:
    """Drop the cached tokens if there are more than the prompt can include. Return whether they were possible."""
    cached = counts.get("cached_tokens", 0)
    if cached + counts.get("cache_write_tokens", 0) <= counts.get("prompt_tokens", 0):
        return True
    counts.pop("cached_tokens", None)
    return False


def _add(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return the sum of two usages in OpenAI's JSON, field by field."""
    total = dict(one)
    for name, right in other.items():
        left = one.get(name)
        if isinstance(left, dict) and isinstance(right, dict):
            total[name] = _add(left, right)
        elif isinstance(left, int | float) and isinstance(right, int | float):
            total[name] = left + right
        elif right is not None:
            total[name] = right
    return total
