"""Every answer is one that the contract has, for a reason that the request or the upstream gave."""

import json
from collections.abc import Iterator
from typing import Any

from chaos.book import LEFT, WHOLE, Ask, Book
from chaos.checks.check import Check, of, story
from chaos.checks.reading import error_of, final_code
from chaos.log import Log
from chaos.settings import (
    BREAKER_FAILURES,
    TICK_S,
    Settings,
)

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


def checks(book: Book, _log: Log, settings: Settings) -> list[Check]:
    answered = [ask for ask in book.asks if ask.status and ask.end == WHOLE]
    form = Check("every answer has its right form")
    reasons = Check("every refusal and failure has its reason")
    good = Check("whole answers are what the upstream said")
    errors = [ask for ask in answered if ask.status != 200]
    wholes = [ask for ask in answered if ask.status == 200 and not (ask.is_stream or ask.is_text)]
    for ask in answered:
        form.faults += [f"{ask} → {ask.status}: {fault}" for fault in _form_faults(ask)]
    explained = _Reasons(book, settings)
    for ask in book.asks:
        if ask.status and ask.end != LEFT:
            reasons.faults += [f"{ask} → {fault}: {story(book, ask.id)}" for fault in explained.faults(ask)]
    for ask in wholes:
        fault = _good_fault(book, ask)
        if fault:
            good.faults.append(f"{ask} → {fault}: {story(book, ask.id)}")
    form.figure = f"{len(answered):,} answers"
    reasons.figure = f"{len(errors):,} errors"
    good.figure = of(len(wholes) - len(good.faults), len(wholes))
    return [form, reasons, good]


def _form_faults(ask: Ask) -> Iterator[str]:
    if ask.headers.get("x-request-id") != ask.id:
        yield f"X-Request-ID is {ask.headers.get('x-request-id')!r}"
    if ask.status == 200:
        return
    if ask.headers.get("content-type") != "application/json":
        yield f"is {ask.headers.get('content-type')!r}: {ask.body[:80]!r}"
        return
    try:
        body = json.loads(ask.body)
    except ValueError:
        yield f"is no JSON: {ask.body[:80]!r}"
        return
    has_messages = ask.is_text and ask.status != 405  # what is no POST has not come to the route
    fields = ["message"] if has_messages else ["error", "code", "requestId"]
    if list(body) != fields or not all(isinstance(value, str) and value for value in body.values()):
        yield f"has the form {list(body)}"
    elif not has_messages and body["requestId"] != ask.id:
        yield "has another requestId"
    elif not has_messages and STATUS_OF.get(body["code"]) != ask.status:
        yield f"has the code {body['code']}"
    retry_after = ask.headers.get("retry-after")
    if ask.status in _WITH_RETRY_AFTER and not (retry_after or "").isdigit():
        yield f"has the Retry-After {retry_after!r}"


class _Reasons:
    """Which codes can be explained, for each request."""

    def __init__(self, book: Book, settings: Settings) -> None:
        self._book = book
        self._most_streams = settings.most_streams
        self._request_timeout_s = settings.request_timeout_s
        self._streams = [
            ask
            for ask in book.asks
            if (ask.is_stream or ask.is_text) and (ask.status != 503 or book.by_id.get(ask.id))
        ]
        self._failures = sorted(attempt.began_at for attempt in book.attempts if attempt.codes)
        self._limits = [attempt.began_at for attempt in book.attempts if "upstream_rate_limited" in attempt.codes]

    def faults(self, ask: Ask) -> Iterator[str]:
        if ask.expects is not None:
            code = None if ask.is_text or ask.status == 200 else error_of(ask)
            if ask.status == 503 and "draining" in self._allowed(ask):
                return  # so nobody looked at what was asked
            if ask.status != ask.expects[0] or code not in (None, ask.expects[1]):
                yield f"{ask.status} {code}, not {ask.expects}"
            return
        code = final_code(ask)
        if code is None:
            return
        allowed = self._allowed(ask)
        attempts = self._book.by_id.get(ask.id)
        if attempts and attempts[-1].is_good and code != "upstream_timeout" and not self._is_out_of_time(ask):
            yield f"{ask.status} {code}, although the last attempt was good"
        if ask.is_text and ask.status != 200:
            if ask.status not in {STATUS_OF.get(name) for name in allowed}:
                yield f"{ask.status}"
        elif code not in allowed:
            yield f"{ask.status} {code}"

    def _is_out_of_time(self, ask: Ask) -> bool:
        return ask.took_s > self._request_timeout_s - 0.1

    def _allowed(self, ask: Ask) -> set[str]:
        allowed = {code for attempt in self._book.by_id.get(ask.id, []) for code in attempt.codes}
        if any(ask.sent_at - 0.1 <= at <= ask.ended_at + 0.1 for at in self._book.refused_at):
            allowed.add("upstream_failed")
        if any(start - 0.1 <= ask.ended_at and ask.sent_at <= end for start, end in self._book.drains):
            allowed.add("draining")
        if ask.took_s >= _SHORTEST_TIMEOUT_S:
            allowed.add("upstream_timeout")
        recent = sum(ask.sent_at - _REMEMBERED_S <= at <= ask.ended_at for at in self._failures)
        if recent >= BREAKER_FAILURES:
            allowed.add("circuit_open")
        if any(ask.sent_at - _REMEMBERED_S <= at <= ask.ended_at for at in self._limits):
            allowed.add("upstream_rate_limited")
        if self._beside(ask) >= self._most_streams:
            allowed.add("concurrency_limit")
        return allowed

    def _beside(self, ask: Ask) -> int:
        """How many other streams may have been open; those just left count a while longer."""
        return sum(
            other is not ask
            and other.sent_at <= ask.ended_at
            and other.ended_at + (2 * TICK_S + 1 if other.end == LEFT else 0.1) >= ask.sent_at
            for other in self._streams
        )


def _good_fault(book: Book, ask: Ask) -> str | None:
    body: dict[str, Any] = json.loads(ask.body)
    if ask.route == "/api/embeddings":
        vectors = [attempt.vectors for attempt in book.by_id[ask.id]]
        return None if body["embeddings"] in vectors else f"other vectors: {ask.body[:120]!r}"
    wholes = [attempt.whole for attempt in book.by_id[ask.id] if attempt.whole is not None]
    if ask.route == "/api/structured":
        return None if body["data"] in [json.loads(whole) for whole in wholes] else "other data"
    return None if body["reply"] in wholes else f"another text: {body['reply'][:60]!r}"
