"""Sets what the upstream writes to its prompt cache, for models where a cache write costs more than plain input.

Since gpt-5.6 the upstream writes the whole input up to its latest message, for 1.25 times the price of the input. That
pays off only if the conversation continues. The upstream reads the cache only up to a point where it has written, so the
part that conversations share, the site's own prompt, needs a separate breakpoint.
Source: https://developers.openai.com/api/docs/guides/prompt-caching
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from app.models.families import find_family
from app.openai_service.errors import UpstreamRejected
from app.openai_service.transport.request import PendingRequest
from app.openai_service.transport.upstream import Upstream

OPTIONS = "prompt_cache_options"
BREAKPOINT = "prompt_cache_breakpoint"
_EXPLICIT = {"mode": "explicit"}
# The upstream caches no shorter prompt. In some scripts, a text of `_MIN_BYTES` may have `_MIN_TOKENS`.
_MIN_TOKENS, _MIN_BYTES = 1_024, 3_000
_MAX_MODELS = 1_000


class PromptCaching:
    """Adds the fields for prompt caching to bodies, for models that are known to accept them."""

    def __init__(self, upstream: Upstream) -> None:
        self._is_offered = upstream.has_openai_fields
        self._refused_by: set[str] = set()

    def mark(self, model: str, request: PendingRequest) -> dict[str, Any]:
        """Return the body of a request with its fields for prompt caching; a new dict if there are any."""
        body, plan = request.body, request.cache_plan
        if plan is None or not self._is_offered or model in self._refused_by:
            return body
        if len(request.encode(model)) < _MIN_TOKENS and not request.media:  # the usual case
            return body
        family = find_family(model)
        if family is None or not family.has_cache_breakpoints:
            return body
        marks: dict[str, Any] = {}
        if plan.marks_prompt and _is_long_enough(body):
            marks["messages"] = _mark_first(body["messages"])
        if plan.is_one_shot and request.input_bound(model) >= _MIN_TOKENS:
            marks[OPTIONS] = _EXPLICIT
        return {**body, **marks} if marks else body

    def learn(self, model: str, error: UpstreamRejected) -> bool:
        """Remember that a model refused these fields. Return whether it did, so that the body can be sent without them."""
        param = error.param or ""
        if not (param.startswith(OPTIONS) or param.endswith(BREAKPOINT)):
            return False
        if len(self._refused_by) >= _MAX_MODELS:
            self._refused_by.clear()
        self._refused_by.add(model)
        return True


def _is_long_enough(body: Mapping[str, Any]) -> bool:
    """Return whether the first message, with the tools that precede it, may be long enough for the cache."""
    text = body["messages"][0]["content"]
    return isinstance(text, str) and len(text.encode()) + len(orjson.dumps(body.get("tools"))) >= _MIN_BYTES


def _mark_first(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the messages with a cache breakpoint after the first."""
    first, *others = messages
    part = {"type": "text", "text": first["content"], BREAKPOINT: _EXPLICIT}
    return [{**first, "content": [part]}, *others]
