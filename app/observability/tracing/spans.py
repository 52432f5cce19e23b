"""Create a span for each request, with a child span for each attempt and tool run. None has any content."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    set_span_in_context,
)

from app.observability.tracing.request_attributes import describe_request
from app.observability.tracing.traceparent import Traceparent
from app.openai_service import Attempt
from app.openai_service.errors import UpstreamError

_CHAT = "chat"
_OTHER_OPERATIONS = ("embeddings", "moderation")


@dataclass(slots=True)
class _AttemptSpan:
    span: Span
    attempt: Attempt
    is_answer: bool
    ended_at_ns: int | None = None


class RequestTrace:
    """The spans of a request. They end together when its answer has ended, as their attributes are known only then."""

    def __init__(self, tracer: Tracer, upstream: dict[str, Any], caller: Traceparent | None) -> None:
        """Begin the span of the request.

        Args:
            tracer: creates the spans.
            upstream: the attributes that all attempts have.
            caller: the traceparent that the client has sent, if any.
        """
        self._tracer = tracer
        self._upstream = upstream
        self._span = tracer.start_span("request", context=_make_context(caller), kind=SpanKind.SERVER)
        self._context = set_span_in_context(self._span, Context())
        self._attempts: list[_AttemptSpan] = []

    def watch_attempt(
        self, operation: str, watch: Callable[[Attempt], None] | None = None, body: Mapping[str, Any] | None = None
    ) -> Callable[[Attempt], None]:
        """Return a function that wraps `watch`: called at each step of an attempt, it begins and ends the span.

        Args:
            operation: the operation of the call.
            watch: is called too, if it is not None.
            body: the body of the upstream request; the span has some of its parameters.
        """
        current: _AttemptSpan | None = None

        def note(attempt: Attempt) -> None:
            nonlocal current
            if watch is not None:
                watch(attempt)
            if current is None:
                current = self._begin(operation, attempt, describe_request(body or {}))
            elif attempt.is_complete or attempt.ended_at is not None:
                current.ended_at_ns = time.time_ns()

        return note

    def _begin(self, operation: str, attempt: Attempt, params: dict[str, Any]) -> _AttemptSpan:
        name = operation if operation in _OTHER_OPERATIONS else _CHAT
        span = self._tracer.start_span(f"{name} {attempt.model}", context=self._context, kind=SpanKind.CLIENT)
        _set(
            span, self._upstream | params | {"gen_ai.operation.name": name, "gen_ai.request.model": attempt.model}
        )
        own = span.get_span_context()
        is_sampled = own.trace_flags.sampled
        attempt.traceparent = str(Traceparent(f"{own.trace_id:032x}", f"{own.span_id:016x}", is_sampled))
        begun = _AttemptSpan(span, attempt, is_answer=name == _CHAT)
        self._attempts.append(begun)
        return begun

    def begin_request(self, method: str, template: str) -> Callable[[UpstreamError | None], None]:
        """Begin the span of an upstream request without a model. Return a function that ends it, given its error."""
        span = self._tracer.start_span(f"{method} {template}", context=self._context, kind=SpanKind.CLIENT)
        _set(span, self._upstream | {"http.request.method": method, "url.template": template})

        def end(error: UpstreamError | None) -> None:
            if error is not None:
                status = error.upstream_status
                kind = error.upstream_code or status or "_OTHER"
                _set(span, {"http.response.status_code": status, "error.type": str(kind)})
                span.set_status(Status(StatusCode.ERROR))
            span.end()

        return end

    def add_tool_run(self, name: str, ms: float, error: str | None) -> None:
        """Add the span of a server tool that has just ended.

        Args:
            name: the name of the tool.
            ms: how long it ran, in milliseconds.
            error: the kind of the error that it ended with, if any.
        """
        now = time.time_ns()
        span = self._tracer.start_span(
            f"execute_tool {name}", context=self._context, start_time=now - int(ms * 1_000_000)
        )
        _set(
            span,
            {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": name,
                "gen_ai.tool.type": "function",
                "error.type": error,
            },
        )
        if error:
            span.set_status(Status(StatusCode.ERROR))
        span.end(now)

    def end(self, attributes: dict[str, Any], *, status: int, code: str, finish_reason: str | None) -> None:
        """End all spans.

        Args:
            attributes: attributes of the request, by the names of the conventions; those that are None are left out.
            status: the HTTP status.
            code: the code of the error, or empty.
            finish_reason: the finish reason of the last answer.
        """
        answer = next((each for each in reversed(self._attempts) if each.is_answer), None)
        for each in self._attempts:
            _end_attempt(each, finish_reason if each is answer else None)
        span = self._span
        span.update_name(f"{attributes['http.request.method']} {attributes['http.route']}")
        _set(span, attributes | {"http.response.status_code": status, "error.type": code or None})
        if status >= 500 or (code and status < 400):
            span.set_status(Status(StatusCode.ERROR))
        span.end()


def _end_attempt(ended: _AttemptSpan, finish_reason: str | None) -> None:
    span, attempt = ended.span, ended.attempt
    usage, (status, code) = attempt.usage, attempt.failure or (None, None)
    error: str | None = None
    if attempt.failure is not None or attempt.ended_at is not None:
        error = str(code or status or "_OTHER")
    elif not attempt.is_complete:
        error = "abandoned"  # its client has disconnected
    _set(
        span,
        {
            "gen_ai.response.model": attempt.served,
            "gen_ai.response.finish_reasons": [finish_reason] if finish_reason else None,
            "gen_ai.usage.input_tokens": usage and usage.prompt_tokens,
            "gen_ai.usage.output_tokens": usage and usage.completion_tokens,
            "http.response.status_code": status,
            "error.type": error,
        },
    )
    if error:
        span.set_status(Status(StatusCode.ERROR))
    span.end(ended.ended_at_ns)


def _set(span: Span, attributes: dict[str, Any]) -> None:
    span.set_attributes({name: value for name, value in attributes.items() if value is not None})


def _make_context(caller: Traceparent | None) -> Context:
    """Return the context of a caller's span, else an empty one. Not the thread's, which other requests use too."""
    if caller is None:
        return Context()
    flags = TraceFlags(TraceFlags.SAMPLED if caller.is_sampled else TraceFlags.DEFAULT)
    parent = SpanContext(int(caller.trace_id, 16), int(caller.span_id, 16), is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(parent), Context())
