"""Log one `request` line for each request: when it has been answered, or when its stream has ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from flask import Flask, Response

from app.auth import Principal
from app.openai_service import CallRecord
from app.runtime.log_throttle import LogBound
from app.runtime.logs.events import log_event
from app.web.observation.bodies import ObservedBody
from app.web.observation.naming import name_method, name_origin, name_route
from app.web.request_id import RequestState, current_request, current_state

log = logging.getLogger("app.request")


def init_request_line(app: Flask, name_user: Callable[[str, str], str | None]) -> None:
    """Register the hook. Call this before other hooks are registered, as after-request hooks run in reverse order.

    Args:
        app: the application.
        name_user: returns the name of a user in the log, from the tenant and the user id.
    """
    bound = LogBound()

    def log_response(response: Response) -> Response:
        if not log.isEnabledFor(logging.INFO):
            return response
        state = current_state()
        fields = _describe_request(response, state, name_user)
        body = response.response
        if not isinstance(body, ObservedBody):
            if fields["method"] != "HEAD":
                size = len(body[0]) if type(body) is list and len(body) == 1 else response.content_length
                fields["bytes_out"] = size
            _write(fields, state.error_code, state.call_record, state.started, bound)
            return response
        # Do not keep the state and the request: they hold the request body, and a stream may be long.
        record, started = state.call_record, state.started

        def log_end(ended: ObservedBody) -> None:
            fields["bytes_out"] = ended.sent
            _write(fields, ended.error_code, record, started, bound)

        body.add_end_listener(log_end)
        return response

    app.after_request(log_response)


def _describe_request(
    response: Response, state: RequestState, name_user: Callable[[str, str], str | None]
) -> dict[str, Any]:
    request = current_request()
    environ = request.environ
    origin, length = environ.get("HTTP_ORIGIN"), environ.get("CONTENT_LENGTH")
    principal: Principal | None = state.principal
    return {
        "request_id": state.request_id,
        "route": name_route(request),
        "method": name_method(request),
        "status": response.status_code,
        "code": None,
        "tenant": principal and principal.tenant,
        "user": principal and name_user(principal.tenant, principal.user),
        "key_id": principal and principal.key_id,
        "origin": origin and name_origin(origin),
        "bytes_in": int(length) if length and length.isdecimal() else None,
        "bytes_out": None,
    }


def _write(fields: dict[str, Any], code: str, record: CallRecord | None, started: float, bound: LogBound) -> None:
    fields["code"] = code or None
    if record is not None and record.attempts:
        _add_call(fields, record)
    elif code:
        # Requests that cost a caller nothing must not flood the log.
        left_out = bound.admit(code)
        if left_out is None:
            return
        fields["left_out"] = left_out or None
    elif record is not None:
        _add_call(fields, record)
    fields["total_ms"] = int((time.perf_counter() - started) * 10_000) / 10
    log_event(log, "request", fields)


def _add_call(fields: dict[str, Any], record: CallRecord) -> None:
    if fields["code"] is None and record.outcome != "complete":
        fields["code"] = record.outcome  # no error was sent, as the client had left
    fields["model"] = record.model
    fields["attempts"] = record.attempts
    settlement = record.caller.meter.settlement  # type: ignore[attr-defined]  # a request's context is a BilledContext
    if settlement is not None:
        fields["prompt_tokens"] = settlement.prompt_tokens
        fields["completion_tokens"] = settlement.completion_tokens
        fields["cost_micro_usd"] = settlement.cost_micro_usd
    if record.first_token_ms is not None:
        fields["first_token_ms"] = int(record.first_token_ms * 10) / 10
    fields["upstream_ms"] = int(record.upstream_ms * 10) / 10
