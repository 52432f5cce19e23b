"""What the service hands back, and the record that each call leaves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from app.openai_service.caller import Caller, Nobody
from app.openai_service.embeddings import VectorJson
from app.openai_service.events import ToolCallObject, Usage


@dataclass(frozen=True, slots=True)
class ChatCall:
    """A conversation to be answered, in OpenAI's own terms.

    Attributes:
        operation: what the caller asked for: chat, vision or structured.
        model: None takes the operation's own.
        max_tokens: None takes the ceiling; more than the ceiling is lowered to it.
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


@dataclass(slots=True)
class CallRecord:
    """What is known of one call when it has ended: metadata only, never content.

    Attributes:
        model: the model asked for, then the one that served.
        outcome: complete, rejected, upstream_error, upstream_truncated, upstream_timeout, circuit_open,
            not_admitted (its caller may not be charged), client_gone, interrupted (the server stopped), or internal_error (a bug).
        attempts: upstream requests made.
        models: those that were asked, in their order.
        received: about how many tokens of an answer came, whatever the upstream says.
        may_be_billed: whether the last attempt may have cost something that `usage` does not tell.
        is_refused: whether its caller refused to be charged for an attempt.
        caller: for whom the call was made.
        adjusted: parameters sent otherwise than asked for, and how: {"temperature": "dropped"}.
        upstream_ms: time spent waiting for the upstream until its answer, or its first token.
        waited_ms: time spent between attempts.
    """

    request_id: str
    operation: str
    model: str
    outcome: str = "client_gone"
    attempts: int = 0
    models: list[str] = field(default_factory=list)
    received: int = 0
    may_be_billed: bool = False
    is_refused: bool = False
    caller: Caller = field(default_factory=Nobody, repr=False)
    adjusted: dict[str, str] = field(default_factory=dict)
    usage: Usage | None = None
    finish_reason: str | None = None
    upstream_status: int | None = None
    upstream_code: str | None = None
    upstream_request_id: str | None = None
    upstream_ms: float = 0.0
    waited_ms: float = 0.0
    first_token_ms: float | None = None
    total_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class ChatResult:
    """A whole answer. `refusal` is the model's own words where it would not answer."""

    text: str
    finish_reason: str
    usage: Usage | None
    model: str
    id: str
    tool_calls: list[ToolCallObject]
    refusal: str | None
    record: CallRecord


@dataclass(frozen=True, slots=True)
class EmbeddingResult:
    """Vectors in the order of the inputs, each as JSON text: most are passed on, not computed with."""

    vectors: list[VectorJson]
    usage: Usage | None
    model: str
    record: CallRecord


@dataclass(frozen=True, slots=True)
class StructuredResult:
    """A value that the schema allows; an object where there was no schema. The usage is that of all attempts."""

    data: Any
    finish_reason: str
    usage: Usage | None
    model: str
    id: str
    record: CallRecord
