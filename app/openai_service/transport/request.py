"""A request to the upstream, whose JSON and token bounds are computed once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from app.models.token_counts import BY_NAME, TokenCounts, cap_input
from app.models.token_counts.estimates import (
    MediaInput,
    bound_input_bytes,
    count_unread_bytes,
    find_media,
    max_output_tokens,
    without_unread,
)
from app.openai_service.chat_call import ChatCall
from app.openai_service.responses.hosted_tools import MAX_CALLS, TOKENS_OF_CALL
from app.openai_service.results import CallRecord
from app.upstream_http.call_state import CallState

_MODEL_FIELD_BYTES = len(b'"model":,')


def encode(model: str, body: Mapping[str, Any]) -> bytes:
    """Return the JSON of a request to a model."""
    return orjson.dumps({"model": model, **body})


@dataclass(slots=True)
class UpstreamRequest:
    """A request in OpenAI's format, which can be sent to several models.

    Attributes:
        path: of the operation, below the API's root.
        body: without the model. It is never changed in place, but replaced by `replace_body()`.
        min_output_tokens: that the answer may have even if the body allows fewer, as the endpoint takes no lower limit.
        token_counts: bounds its texts.
    """

    path: str
    body: dict[str, Any]
    min_output_tokens: int = field(default=0, init=False)
    token_counts: TokenCounts = field(default=BY_NAME, kw_only=True)
    _json: bytes = field(default=b"", init=False, repr=False)
    _json_model: str | None = field(default=None, init=False, repr=False)
    _body_bytes: int | None = field(default=None, init=False, repr=False)
    _media: Sequence[MediaInput] | None = field(default=None, init=False, repr=False)

    @property
    def media(self) -> Sequence[MediaInput]:
        """The images and files of its messages, in order."""
        if self._media is None:
            self._media = find_media(self.body)
        return self._media

    @property
    def max_output_tokens(self) -> int:
        """The maximum number of tokens of the answer; 0 for embeddings."""
        return max(max_output_tokens(self.body), self.min_output_tokens)

    def replace_body(self, body: dict[str, Any]) -> None:
        """Set another body, and drop what was computed from the old one."""
        self.body = body
        self._json_model = self._body_bytes = self._media = None

    def encode(self, model: str) -> bytes:
        """Return the JSON for a model."""
        if self._json_model != model:
            self._json = encode(model, self.body)
            self._json_model = model
        return self._json

    def input_bound(self, model: str) -> int:
        """Return the maximum number of tokens that the input can be for a model."""
        if self._body_bytes is None:
            unread = _MODEL_FIELD_BYTES + len(orjson.dumps(model)) + count_unread_bytes(self.body)
            self._body_bytes = len(self.encode(model)) - unread
        bound = bound_input_bytes(self._body_bytes, self.media, model)
        return bound - self.token_counts.count_spared(self.body, model)

    def billable_input(self, model: str) -> int:
        """Return the maximum number of input tokens that a model can bill: no more than its window."""
        if (calls := self.body.get(MAX_CALLS)) is not None:
            return self._bound_rounds(model, calls)
        texts = self.body.get("input")
        inputs = len(texts) if isinstance(texts, list) else 1
        return cap_input(self.input_bound(model), model, self.max_output_tokens, inputs)

    def _bound_rounds(self, model: str, calls: int) -> int:
        """Return the bound of an input that the model reads again after each call of a hosted tool, with what it brought."""
        rounds = calls + 1
        brought = TOKENS_OF_CALL * calls * rounds // 2
        return cap_input(self.input_bound(model) * rounds + brought, model, self.max_output_tokens, rounds)


@dataclass(frozen=True, slots=True)
class CachePlan:
    """What of a conversation will be read again from the upstream's prompt cache.

    Attributes:
        marks_prompt: whether its first message is the site's own text, which other conversations begin with.
        is_one_shot: whether no request continues it.
    """

    marks_prompt: bool
    is_one_shot: bool

    @classmethod
    def of(cls, call: ChatCall) -> CachePlan | None:
        """Return the plan for a call; None if the upstream's own way is the best."""
        marks_prompt = bool(call.prompt_version)
        is_one_shot = call.is_one_shot and not call.server_tools
        return cls(marks_prompt, is_one_shot) if marks_prompt or is_one_shot else None


@dataclass(slots=True)
class PendingRequest(UpstreamRequest):
    """A request that is part of a call and waits for its answer.

    Attributes:
        models: to try, in order.
        call_state: the deadline, and whether the client has left.
        record: of the call.
        adjusted: how the body differs from the caller's request, for every model.
        cache_plan: what the upstream shall write to its prompt cache; None: what it would anyway.
    """

    models: Sequence[str]
    call_state: CallState
    record: CallRecord
    adjusted: dict[str, str] = field(default_factory=dict)
    cache_plan: CachePlan | None = None

    @property
    def operation(self) -> str:
        """What is asked of the model: one that fails at images may be well otherwise."""
        return "vision" if self.media else self.record.operation

    @property
    def fingerprint(self) -> str:
        """Tells this request apart from others, whatever model it is sent to and whoever sends it."""
        return hashlib.sha256(orjson.dumps(without_unread(self.body))).hexdigest()
