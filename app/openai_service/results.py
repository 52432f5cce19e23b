"""What the service hands back, and the record that each call leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from app.openai_service.context import CallContext, NullContext
from app.openai_service.embeddings.vectors import VectorJson
from app.openai_service.streaming.events import ToolCallObject, ToolRun
from app.openai_service.tools.tool import ServerTool
from app.token_counts import Usage


@dataclass(frozen=True, slots=True)
class ChatCall:
    """A conversation to be answered, in OpenAI's own terms.

    Attributes:
        operation: what the caller asked for: chat, vision or structured.
        model: None takes the operation's own.
        max_tokens: None takes the ceiling; more than the ceiling is lowered to it.
        ceiling: the most tokens of the answer, where that is less than others may have.
        may_be_cached: whether the very same request's earlier answer will do.
        server_tools: those that are run here, in the place of `tools`, which the caller runs.
        model_is_pinned: whether the site itself chose the model, so that it need not be one that callers may name.
    """

    operation: str
    messages: list[dict[str, Any]]
    request_id: str
    model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    ceiling: int | None = None
    model_is_pinned: bool = False
    may_be_cached: bool = False
    server_tools: Sequence[ServerTool] = ()


Billed = Literal["yes", "no", "unknown"]
"""Whether an attempt is paid for: its usage says so, the upstream refused it, or it may have been answered unseen."""


@dataclass(slots=True)
class Attempt:
    """One attempt at one model, for which the caller reserves what it may cost.

    Attributes:
        model: that was asked.
        served: the model that answered, by the upstream's own name for it.
        usage: as the upstream told it, where the answer is whole.
        received: about how many tokens of an answer came, whatever the upstream says.
        is_refused: whether the caller could not reserve it, so that it was not made.
    """

    model: str
    served: str | None = None
    usage: Usage | None = None
    billed: Billed = "unknown"
    received: int = 0
    is_refused: bool = False


@dataclass(slots=True)
class CallRecord:
    """What is known of one call when it has ended: metadata only, never content.

    Attributes:
        model: the model asked for, then the one that served.
        outcome: complete, rejected, upstream_error, upstream_truncated, upstream_timeout, circuit_open,
            not_admitted (its caller may not be charged), client_gone, interrupted (the server stopped), or internal_error (a bug).
        attempts: upstream requests made; more than are in `attempt_log` where a model did not take a parameter.
        attempt_log: each attempt, in order.
        models: those that were asked, in their order.
        is_cached: whether nothing was asked, as the answer was there already.
        caller: for whom the call was made.
        adjusted: parameters sent otherwise than asked for, and how: {"temperature": "dropped"}.
        trimmed: messages that were left out of the conversation, as it was too long.
        tool_calls: how many calls of tools were answered here.
        usage: of all attempts whose answers are whole.
        upstream_ms: time spent waiting for the upstream until its answer, or its first token.
        waited_ms: time spent between attempts.
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
    upstream_status: int | None = None
    upstream_code: str | None = None
    upstream_request_id: str | None = None
    upstream_ms: float = 0.0
    waited_ms: float = 0.0
    first_token_ms: float | None = None
    total_ms: float = 0.0

    @property
    def received(self) -> int:
        """About how many tokens came in all attempts."""
        return sum([attempt.received for attempt in self.attempt_log])

    @property
    def is_refused(self) -> bool:
        """Whether its caller could not reserve the last attempt."""
        return bool(self.attempt_log) and self.attempt_log[-1].is_refused

    def note_usage(self, usage: Usage | None) -> None:
        """Note what the answer to the last attempt has used, now that it is whole."""
        attempt = self.attempt_log[-1]
        attempt.usage = usage
        if usage is None:
            return
        if usage.is_reported:
            attempt.billed = "yes"
        self.usage = usage if self.usage is None else self.usage + usage


@dataclass(frozen=True, slots=True)
class ChatResult:
    """A whole answer. `refusal` is the model's own words where it would not answer.

    Of several answers, with tools run in between, it is the last one, with the usage of all.
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

    def to_structured(self, data: Any, usage: Usage | None) -> StructuredResult:
        """The same, whose text is that of a value."""
        return StructuredResult(data, self.finish_reason, usage, self.model, self.id, self.record)

    @property
    def trimmed(self) -> int:
        return self.record.trimmed

    @property
    def is_cached(self) -> bool:
        return self.record.is_cached


@dataclass(frozen=True, slots=True)
class EmbeddingResult:
    """Vectors in the order of the inputs, each as JSON text: most are passed on, not computed with.

    `cached` of them were there already, and are not in the usage.
    """

    vectors: list[VectorJson]
    usage: Usage | None
    model: str
    record: CallRecord
    cached: int = 0


@dataclass(frozen=True, slots=True)
class StructuredResult:
    """A value that the schema allows; an object where there was no schema. The usage is that of all attempts."""

    data: Any
    finish_reason: str
    usage: Usage | None
    model: str
    id: str
    record: CallRecord

    @property
    def trimmed(self) -> int:
        return self.record.trimmed

    @property
    def is_cached(self) -> bool:
        return self.record.is_cached
