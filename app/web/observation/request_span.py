"""Begin the spans of each request, and end them when it is answered or its stream has ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from flask import Flask, Response, has_request_context

from app.observability.tracing.traceparent import parse_traceparent
from app.openai_service.batches.calls import watch_nothing
from app.openai_service.errors import UpstreamError
from app.web.observation.bodies import ObservedBody
from app.web.observation.naming import name_method, name_route
from app.web.request_id import current_request, current_state

if TYPE_CHECKING:
    from app.observability.tracing.provider import Tracing


def begin_request_span(method: str, template: str) -> Callable[[UpstreamError | None], None]:
    """Begin the span of an upstream request that calls no model, as a child of the current request's span, if any."""
    trace = current_state().trace if has_request_context() else None
    return watch_nothing(method, template) if trace is None else trace.begin_request(method, template)


def init_request_spans(app: Flask, tracing: Tracing) -> None:
    """Register the hooks. Call this before other hooks are registered, as after-request hooks run in reverse order."""

    def begin() -> None:
        state = current_state()
        state.trace = tracing.begin(parse_traceparent(current_request().environ.get("HTTP_TRACEPARENT")))

    def end(response: Response) -> Response:
        request, state = current_request(), current_state()
        principal, record, trace = state.principal, state.call_record, state.trace
        if trace is None:  # an error occurred before the hooks
            return response
        state.trace = None
        status, code = response.status_code, state.error_code
        attributes = {
            "http.request.method": name_method(request),
            "http.route": name_route(request),
            "url.scheme": request.scheme,
            "gatehouse.request_id": state.request_id,
            "gatehouse.tenant": principal and principal.tenant,
        }

        def end_spans(code: str) -> None:
            trace.end(attributes, status=status, code=code, finish_reason=record and record.finish_reason)

        body = response.response
        if isinstance(body, ObservedBody):
            body.add_end_listener(lambda ended: end_spans(ended.error_code))
        else:
            end_spans(code)
        return response

    app.before_request(begin)
    app.after_request(end)
