"""The service's results, and the record of each call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from time import monotonic
from typing import Any, Literal

from app.frozen import frozen
from app.models.token_counts import Usage
from app.models.token_counts.estimates import bound_unseen
from app.openai_service.context import CallContext, NullContext
from app.openai_service.embeddings.vectors import VectorJson
from app.openai_service.streaming.events import ToolCallObject, ToolRun

Billed = Literal["yes", "no", "unknown"]
"""Whether an attempt is billed. It is unknown if the upstream may have worked on it, but reported no usage."""


@dataclass(slots=True)
class Attempt:
    """One attempt with one model, for which its maximum cost was reserved.

    Attributes:
        model: the requested model.
        served: the model that answered, by the upstream's name.
        service_tier: the requested tier, then the one that the answer reports.
        usage: the usage that the upstream reported, if the answer is complete.
        billed: yes, no or unknown.
        hosted_calls: the observed calls of tools that ran at the upstream, by type.
        received: approximate number of tokens that arrived; not set for a whole answer that reports its usage.
        is_refused: whether its cost could not be reserved, so that nothing was sent.
        is_streamed: whether the answer is streamed, so that the upstream stops when the connection closes.
        is_complete: whether the whole answer has arrived.
        sent_at: when the request was sent, in seconds of a monotonic clock, as are the next three.
        first_at, last_at: when the first and the last part of the answer's text arrived.
        ended_at: when the attempt failed.
        failure: the upstream's status and code, if it failed.
        traceparent: the `traceparent` header for the upstream; may be empty.
        watch: called after each step of the attempt, unless it is None.
    """

    model: str
    served: str | None = None
    service_tier: str | None = None
    usage: Usage | None = None
    billed: Billed = "unknown"
    hosted_calls: Mapping[str, int] = field(default_factory=dict)
    received: float = 0
    is_refused: bool = False
    is_streamed: bool = False
    is_complete: bool = False
    sent_at: float | None = None
    first_at: float | None = None
    last_at: float = 0.0
    ended_at: float | None = None
    failure: tuple[int | None, str | None] | None = None
    traceparent: str = ""
    watch: Callable[[Attempt], None] | None = field(default=None, repr=False)

    @property
    def is_in_flight(self) -> bool:
        """Whether the upstream may still be processing the attempt."""
        return self.sent_at is not None and self.ended_at is None and not self.is_complete

    def note_sent(self) -> None:
        """Record that the request is being sent."""
        self.sent_at = monotonic()
        self._notify()

    def note_received(self, tokens: float, at: float | None = None) -> None:
        """Count tokens of text that have arrived, the last of them now or at `at`."""
        self.received += tokens
        self.last_at = monotonic() if at is None else at
        if self.first_at is None:
            self.first_at = self.last_at
        self._notify()

    def end(self, *, may_be_billed: bool) -> None:
        """Record that the attempt has failed."""
        self.billed = "unknown" if may_be_billed else "no"
        self.ended_at = monotonic()
        self._notify()

    def complete(self, usage: Usage | None) -> None:
        """Record that the whole answer has arrived, and its usage if the upstream reported one."""
        self.usage = usage
        self.is_complete = True
        if usage is not None and usage.is_reported:
            self.billed = "yes"
        self._notify()

    def _notify(self) -> None:
        if self.watch is not None:
            self.watch(self)

    def bound_unseen(self) -> int:
        """Return the maximum number of tokens that were generated but did not arrive: reasoning, and text in transit.

        The request's maximum number of tokens is not considered.
        """
        if self.sent_at is None or self.is_complete:
            return 0
        return bound_unseen(self.sent_at, self.first_at, self.last_at, self.ended_at or monotonic(), self.received)


@dataclass(slots=True)
class CallRecord:
    """The metadata of one call, without any content.

    Attributes:
        request_id: the id of the HTTP request.
        operation: chat, vision, embeddings, structured or moderation.
        model: the requested model, then the one that answered.
        outcome: complete, rejected, upstream_error, upstream_truncated, upstream_timeout, circuit_open,
            not_admitted (the cost could not be reserved), client_gone, interrupted (the server stopped),
            or internal_error (a bug).
        attempts: number of upstream requests; larger than `len(attempt_log)` if a model refused a parameter.
        attempt_log: the attempts, in order.
        models: the models tried, in order.
        is_cached: whether the answer came from the cache.
        caller: the context of the caller, which is charged for the call.
        adjusted: parameters that were changed, and how: {"temperature": "dropped"}.
        trimmed: number of messages removed from a conversation that was too long.
        tool_calls: number of calls of server tools and of tools that run at the upstream.
        usage: the sum over all attempts whose answers are complete.
        finish_reason: the upstream's finish reason.
        has_own_cache: whether the last attempt used a part of the upstream's prompt cache that no other user shares.
        upstream_status, upstream_code: the status and code of the error that ended the call.
        upstream_request_id: the upstream's id of the last response.
        upstream_ms: time spent waiting for the upstream's answers, or their first tokens.
        waited_ms: time spent waiting between attempts.
        first_token_ms, total_ms: from the start to the first token of a stream, and to the end.
    """

    request_id: str
    operation: str
    model: str
    outcome: str = "client_gone"
    attempts: int = 0
    attempt_log: list[Attempt] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    is_cached: bool = False
    caller: CallContext = field(default_factory=NullContext, repr=False)
    adjusted: dict[str, str] = field(default_factory=dict)
    trimmed: int = 0
    tool_calls: int = 0
    usage: Usage | None = None
    finish_reason: str | None = None
    has_own_cache: bool = False
    upstream_status: int | None = None
    upstream_code: str | None = None
    upstream_request_id: str | None = None
    upstream_ms: float = 0.0
    waited_ms: float = 0.0
    first_token_ms: float | None = None
    total_ms: float = 0.0

    @property
    def received(self) -> int:
        """The approximate number of tokens that arrived in all attempts."""
        return ceil(sum([attempt.received for attempt in self.attempt_log]))

    @property
    def has_answer(self) -> bool:
        """Whether any part of an answer has arrived."""
        return any(attempt.is_complete or attempt.received for attempt in self.attempt_log)

    @property
    def is_in_flight(self) -> bool:
        """Whether the upstream may still be processing the last attempt."""
        return bool(self.attempt_log) and self.attempt_log[-1].is_in_flight

    @property
    def is_refused(self) -> bool:
        """Whether the cost of the last attempt could not be reserved."""
        return bool(self.attempt_log) and self.attempt_log[-1].is_refused

    def note_usage(self, usage: Usage | None) -> None:
        """Complete the last attempt, and add its usage to that of the call."""
        attempt = self.attempt_log[-1]
        attempt.complete(usage)
        if attempt.hosted_calls:
            self.tool_calls += sum(attempt.hosted_calls.values())
        if usage is None:
            return
        self.usage = usage if self.usage is None else self.usage + usage


@frozen()
class ChatResult:
    """A complete answer. If server tools ran, it is the last answer, with the usage of all rounds.

    Attributes:
        refusal: the model's words, if it refused to answer.
        tool_calls, tool_runs: calls for the client to run, and runs of server tools.
        reasoning_items: the reasoning to send back to the model in the next turn: see responses/reasoning_items.py.
        hosted_items: the calls of tools that ran at the upstream, in the format of /responses.
        annotations: the annotations of the text, in that format as well.
    """

    text: str
    finish_reason: str
    usage: Usage | None
    model: str
    id: str
    tool_calls: list[ToolCallObject]
    refusal: str | None
    record: CallRecord
    tool_runs: Sequence[ToolRun] = ()
    reasoning_items: Sequence[dict[str, Any]] = ()
    hosted_items: Sequence[dict[str, Any]] = ()
    annotations: Sequence[dict[str, Any]] = ()

    def with_usage(self, usage: Usage | None) -> ChatResult:
        """Return this result with another usage. `dataclasses.replace()` is slower: it makes a call for each field."""
        return ChatResult(
            self.text,
            self.finish_reason,
            usage,
            self.model,
            self.id,
            self.tool_calls,
            self.refusal,
            self.record,
            self.tool_runs,
            self.reasoning_items,
            self.hosted_items,
            self.annotations,
        )

    def to_structured(self, data: Any, usage: Usage | None) -> StructuredResult:
        """Return this result with a parsed value instead of the text."""
        return StructuredResult(data, self.finish_reason, usage, self.model, self.id, self.record)

    @property
    def trimmed(self) -> int:
        """The number of messages removed from the conversation."""
        return self.record.trimmed

    @property
    def is_cached(self) -> bool:
        """Whether the answer is a cached one."""
        return self.record.is_cached


@dataclass(frozen=True, slots=True)
class EmbeddingResult:
    """Vectors in the order of the inputs, each as JSON text, because most of them are only forwarded.

    Attributes:
        cached: number of vectors from the cache, which are not counted in the usage.
    """

    vectors: list[VectorJson]
    usage: Usage | None
    model: str
    record: CallRecord
    cached: int = 0


@dataclass(frozen=True, slots=True)
class StructuredResult:
    """A value that matches the schema, or any object without a schema. The usage includes a repair."""

    data: Any
    finish_reason: str
    usage: Usage | None
    model: str
    id: str
    record: CallRecord

    @property
    def trimmed(self) -> int:
        """The number of messages removed from the conversation."""
        return self.record.trimmed

    @property
    def is_cached(self) -> bool:
        """Whether the answer is a cached one."""
        return self.record.is_cached
