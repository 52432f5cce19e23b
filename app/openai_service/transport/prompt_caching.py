"""Says what the upstream shall write to its prompt cache, where writing costs more than reading the input.

Since gpt-5.6 the upstream writes the whole input after its latest message, for 1.25 times its price. That pays if the next
turn comes; it does not for a request that nobody continues. And it reads only up to where it has written, so what
conversations have in common, the site's own prompt, needs a breakpoint of its own.
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
# Nothing shorter is cached. Texts of this many bytes may have as many tokens, in some script.
_LEAST_TOKENS, _LEAST_BYTES = 1_024, 3_000
_MAX_MODELS = 1_000


class PromptCaching:
    """Marks the bodies of requests, for models of which it is known that they accept it."""

    def __init__(self, upstream: Upstream) -> None:
        self._is_offered = upstream.has_openai_fields
        self._refused_by: set[str] = set()

    def mark(self, model: str, request: PendingRequest) -> dict[str, Any]:
        """Return the body of a request with its marks, if there are any; a new dict then."""
        body, plan = request.body, request.cache_plan
        if plan is None or not self._is_offered or model in self._refused_by:
            return body
        if len(request.encode(model)) < _LEAST_TOKENS and not request.media:  # as most requests
            return body
        family = find_family(model)
        if family is None or not family.has_cache_breakpoints:
            return body
        marks: dict[str, Any] = {}
        if plan.marks_prompt and _is_long_enough(body):
            marks["messages"] = _mark_first(body["messages"])
        if plan.is_one_shot and request.input_bound(model) >= _LEAST_TOKENS:
            marks[OPTIONS] = _EXPLICIT
        return {**body, **marks} if marks else body

    def learn(self, model: str, error: UpstreamRejected) -> bool:
        """Remember it if a model refused the marks of a body. Return whether it did, so that it can be sent without them."""
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
    return isinstance(text, str) and len(text.encode()) + len(orjson.dumps(body.get("tools"))) >= _LEAST_BYTES


def _mark_first(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the messages with a breakpoint after the first."""
    first, *others = messages
    part = {"type": "text", "text": first["content"], BREAKPOINT: _EXPLICIT}
    return [{**first, "content": [part]}, *others]
