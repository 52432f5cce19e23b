"""UpstreamRequest: a request to the upstream, which computes its JSON and its token bounds once."""

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
from app.openai_service.responses.hosted_tools import MAX_CALLS, TOKENS_PER_CALL
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
        path: the path of the operation, below the API's root.
        body: the body without the model. It is never changed in place; `replace_body()` replaces it.
        min_output_tokens: the lowest limit of output tokens that the endpoint accepts. The answer may have that many tokens
            even if the body allows fewer.
        token_counts: computes the token bounds of its texts.
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
        """Replace the body, and discard the values computed from the old one."""
        self.body = body
        self._json_model = self._body_bytes = self._media = None

    def encode(self, model: str) -> bytes:
        """Return the JSON of the request to a model."""
        if self._json_model != model:
            self._json = encode(model, self.body)
            self._json_model = model
        return self._json

    def input_bound(self, model: str) -> int:
        """Return the maximum number of tokens that the input can have for a model."""
        if self._body_bytes is None:
            unread = _MODEL_FIELD_BYTES + len(orjson.dumps(model)) + count_unread_bytes(self.body)
            self._body_bytes = len(self.encode(model)) - unread
        bound = bound_input_bytes(self._body_bytes, self.media, model)
        return bound - self.token_counts.count_spared(self.body, model)

    def billable_input(self, model: str) -> int:
        """Return the maximum number of input tokens that a model can bill, which is limited by its context window."""
        if (calls := self.body.get(MAX_CALLS)) is not None:
            return self._bound_rounds(model, calls)
        texts = self.body.get("input")
        inputs = len(texts) if isinstance(texts, list) else 1
        return cap_input(self.input_bound(model), model, self.max_output_tokens, inputs)

    def _bound_rounds(self, model: str, calls: int) -> int:
        """Return the bound with hosted tools: after each call, the model reads the input again, and all results so far."""
        rounds = calls + 1
        result_tokens = TOKENS_PER_CALL * calls * rounds // 2
        return cap_input(self.input_bound(model) * rounds + result_tokens, model, self.max_output_tokens, rounds)


@dataclass(frozen=True, slots=True)
class CachePlan:
    """Which parts of a conversation later requests will read from the upstream's prompt cache.

    Attributes:
        marks_prompt: whether the first message is the site's own text, with which other conversations begin too.
        is_one_shot: whether no later request is expected to continue the conversation.
    """

    marks_prompt: bool
    is_one_shot: bool

    @classmethod
    def of(cls, call: ChatCall) -> CachePlan | None:
        """Return the plan for a call; None if the upstream's default is best."""
        marks_prompt = bool(call.prompt_version)
        is_one_shot = call.is_one_shot and not call.server_tools
        return cls(marks_prompt, is_one_shot) if marks_prompt or is_one_shot else None


@dataclass(slots=True)
class PendingRequest(UpstreamRequest):
    """A request that is part of a call.

    Attributes:
        models: the models to try, in order.
        call_state: the deadline, and whether the client has disconnected.
        record: the record of the call.
        adjusted: the changes to the caller's parameters that apply to every model.
        cache_plan: which parts the upstream shall write to its prompt cache; None for its default.
    """

    models: Sequence[str]
    call_state: CallState
    record: CallRecord
    adjusted: dict[str, str] = field(default_factory=dict)
    cache_plan: CachePlan | None = None

    @property
    def operation(self) -> str:
        """The operation for the circuit breaker: `vision` if there are media, as a model may fail only with these."""
        return "vision" if self.media else self.record.operation

    @property
    def fingerprint(self) -> str:
        """A hash that identifies the request's content, independent of its model and its caller."""
        return hashlib.sha256(orjson.dumps(without_unread(self.body))).hexdigest()
