"""Check that every answer is one of the API, and that the request or the upstream explains it."""

import json
from collections.abc import Iterator
from typing import Any

from chaos.checks.check import Check, describe, of
from chaos.checks.reading import error_of, final_code
from chaos.log import Log
from chaos.settings import (
    BREAKER_FAILURES,
    TICK_S,
    Settings,
)
from chaos.trace import LEFT, WHOLE, ClientRequest, Trace

STATUS_OF = {
    "invalid_request": 400,
    "context_length_exceeded": 400,
    "forbidden": 403,
    "origin_not_allowed": 403,
    "method_not_allowed": 405,
    "body_too_large": 413,
    "unsupported_media_type": 415,
    "content_filter": 422,
    "refused": 422,
    "truncated": 422,
    "concurrency_limit": 503,
    "upstream_failed": 502,
    "circuit_open": 503,
    "upstream_rate_limited": 503,
    "draining": 503,
    "upstream_timeout": 504,
}
_WITH_RETRY_AFTER = (429, 503)
_REMEMBERED_S = 65.0
_SHORTEST_TIMEOUT_S = 0.9


def checks(trace: Trace, _log: Log, settings: Settings) -> list[Check]:
    answered = [request for request in trace.client_requests if request.status and request.end == WHOLE]
    form = Check("every answer has its right form")
    reasons = Check("every refusal and failure has its reason")
    good = Check("whole answers are what the upstream said")
    errors = [request for request in answered if request.status != 200]
    wholes = [
        request for request in answered if request.status == 200 and not (request.is_stream or request.is_text)
    ]
    for request in answered:
        form.faults += [f"{request} → {request.status}: {fault}" for fault in _form_faults(request)]
    explained = _Reasons(trace, settings)
    for request in trace.client_requests:
        if request.status and request.end != LEFT:
            reasons.faults += [
                f"{request} → {fault}: {describe(trace, request.id)}" for fault in explained.faults(request)
            ]
    for request in wholes:
        fault = _good_fault(trace, request)
        if fault:
            good.faults.append(f"{request} → {fault}: {describe(trace, request.id)}")
    form.figure = f"{len(answered):,} answers"
    reasons.figure = f"{len(errors):,} errors"
    good.figure = of(len(wholes) - len(good.faults), len(wholes))
    return [form, reasons, good]


def _form_faults(request: ClientRequest) -> Iterator[str]:
    if request.headers.get("x-request-id") != request.id:
        yield f"X-Request-ID is {request.headers.get('x-request-id')!r}"
    if request.status == 200:
        return
    if request.headers.get("content-type") != "application/json":
        yield f"is {request.headers.get('content-type')!r}: {request.body[:80]!r}"
        return
    try:
        body = json.loads(request.body)
    except ValueError:
        yield f"is no JSON: {request.body[:80]!r}"
        return
    has_messages = request.is_text and request.status != 405  # what is no POST has not come to the route
    fields = ["message"] if has_messages else ["error", "code", "requestId"]
    if list(body) != fields or not all(isinstance(value, str) and value for value in body.values()):
        yield f"has the form {list(body)}"
    elif not has_messages and body["requestId"] != request.id:
        yield "has another requestId"
    elif not has_messages and STATUS_OF.get(body["code"]) != request.status:
        yield f"has the code {body['code']}"
    retry_after = request.headers.get("retry-after")
    if request.status in _WITH_RETRY_AFTER and not (retry_after or "").isdigit():
        yield f"has the Retry-After {retry_after!r}"


class _Reasons:
    """The error codes that the request or the upstream explains, for each request."""

    def __init__(self, trace: Trace, settings: Settings) -> None:
        self._trace = trace
        self._most_streams = settings.most_streams
        self._request_timeout_s = settings.request_timeout_s
        self._streams = [
            request
            for request in trace.client_requests
            if (request.is_stream or request.is_text) and (request.status != 503 or trace.by_id.get(request.id))
        ]
        self._failures = sorted(attempt.began_at for attempt in trace.attempts if attempt.codes)
        self._limits = [attempt.began_at for attempt in trace.attempts if "upstream_rate_limited" in attempt.codes]

    def faults(self, request: ClientRequest) -> Iterator[str]:
        if request.expects is not None:
            code = None if request.is_text or request.status == 200 else error_of(request)
            if request.status == 503 and "draining" in self._allowed(request):
                return  # so nobody looked at what was asked
            if request.status != request.expects[0] or code not in (None, request.expects[1]):
                yield f"{request.status} {code}, not {request.expects}"
            return
        code = final_code(request)
        if code is None:
            return
        allowed = self._allowed(request)
        attempts = self._trace.by_id.get(request.id)
        if attempts and attempts[-1].is_good and code != "upstream_timeout" and not self._is_out_of_time(request):
            yield f"{request.status} {code}, although the last attempt was good"
        if request.is_text and request.status != 200:
            if request.status not in {STATUS_OF.get(name) for name in allowed}:
                yield f"{request.status}"
        elif code not in allowed:
            yield f"{request.status} {code}"

    def _is_out_of_time(self, request: ClientRequest) -> bool:
        return request.took_s > self._request_timeout_s - 0.1

    def _allowed(self, request: ClientRequest) -> set[str]:
        allowed = {code for attempt in self._trace.by_id.get(request.id, []) for code in attempt.codes}
        if any(request.sent_at - 0.1 <= at <= request.ended_at + 0.1 for at in self._trace.refused_at):
            allowed.add("upstream_failed")
        if any(start - 0.1 <= request.ended_at and request.sent_at <= end for start, end in self._trace.drains):
            allowed.add("draining")
        if request.took_s >= _SHORTEST_TIMEOUT_S:
            allowed.add("upstream_timeout")
        recent = sum(request.sent_at - _REMEMBERED_S <= at <= request.ended_at for at in self._failures)
        if recent >= BREAKER_FAILURES:
            allowed.add("circuit_open")
        if any(request.sent_at - _REMEMBERED_S <= at <= request.ended_at for at in self._limits):
            allowed.add("upstream_rate_limited")
        if self._beside(request) >= self._most_streams:
            allowed.add("concurrency_limit")
        return allowed

    def _beside(self, request: ClientRequest) -> int:
        """Return how many other streams may have been open. A stream that was just closed counts a while longer."""
        return sum(
            other is not request
            and other.sent_at <= request.ended_at
            and other.ended_at + (2 * TICK_S + 1 if other.end == LEFT else 0.1) >= request.sent_at
            for other in self._streams
        )


def _good_fault(trace: Trace, request: ClientRequest) -> str | None:
    body: dict[str, Any] = json.loads(request.body)
    if request.route == "/api/embeddings":
        vectors = [attempt.vectors for attempt in trace.by_id[request.id]]
        return None if body["embeddings"] in vectors else f"other vectors: {request.body[:120]!r}"
    wholes = [attempt.whole for attempt in trace.by_id[request.id] if attempt.whole is not None]
    if request.route == "/api/structured":
        return None if body["data"] in [json.loads(whole) for whole in wholes] else "other data"
    return None if body["reply"] in wholes else f"another text: {body['reply'][:60]!r}"
