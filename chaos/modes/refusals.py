"""Modes in which the upstream refuses: every status that it uses, with its headers and body."""

import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate

from chaos.call import Call
from chaos.modes.mode import ANY, FAILED, TEXT, Mode, codes
from chaos.settings import API_KEY, PROMPT_CANARY

Play = Callable[[Call], Awaitable[None]]

# What upstreams put into their messages, and nobody else is to see.
_MESSAGE = f"It did not work with {API_KEY}. You said: {PROMPT_CANARY}. Organization org-chaos."
_REJECTED = codes("invalid_request")
_LIMITED = codes("upstream_rate_limited")


def _status(
    status: int, code: str | None = None, *headers: str, param: str | None = None, is_verdict: bool = False
) -> Play:
    async def play(call: Call) -> None:
        call.attempt.is_verdict = is_verdict
        error = {"message": _MESSAGE, "type": "chaos", "param": param, "code": code}
        await call.error(status, error, *headers)

    return play


def _advised(status: int, may_retry: bool) -> Play:
    async def play(call: Call) -> None:
        call.attempt.may_retry = may_retry
        header = f"x-should-retry: {str(may_retry).lower()}"
        await call.error(status, {"message": _MESSAGE, "type": "server_error"}, header)

    return play


def _limited(name: str, seconds: float) -> Play:
    """429 with Retry-After."""

    async def play(call: Call) -> None:
        now = time.monotonic()
        if name == "date":
            at = int(time.time() + seconds)
            call.attempt.not_before = now + at - time.time()
            header = f"Retry-After: {formatdate(at, usegmt=True)}"
        else:
            call.attempt.not_before = now + seconds
            header = f"retry-after-ms: {seconds * 1000:.0f}" if name == "ms" else f"Retry-After: {seconds:.0f}"
        error = {"message": _MESSAGE, "type": "requests", "code": "rate_limit_exceeded"}
        await call.error(429, error, header)

    return play


async def _unsupported(call: Call) -> None:
    call.attempt.is_adaptation = True
    error = {"message": _MESSAGE, "type": "invalid_request_error", "param": "temperature"}
    await call.error(400, error | {"code": "unsupported_value"})


def _verdict(status: int, result: frozenset[str], code: str | None = None, param: str | None = None) -> Mode:
    name = f"{status} {code}"[:25] if code else str(status)
    return Mode(name, _status(status, code, param=param, is_verdict=True), ANY, result, weight=0.5)


MODES = [
    _verdict(400, _REJECTED),
    _verdict(400, codes("context_length_exceeded"), "context_length_exceeded", "messages"),
    _verdict(400, codes("content_filter"), "content_filter"),
    _verdict(401, FAILED, "invalid_api_key"),
    _verdict(403, FAILED, "unsupported_country"),
    _verdict(404, FAILED, "model_not_found"),
    _verdict(413, codes("body_too_large")),
    _verdict(422, _REJECTED),
    _verdict(429, FAILED, "insufficient_quota"),
    Mode("400 unsupported_value", _unsupported, TEXT, _REJECTED, weight=2, needs="temperature"),
    Mode("408", _status(408), ANY, codes("upstream_failed", "upstream_timeout"), weight=0.5),
    Mode("409", _status(409), ANY, FAILED, weight=0.5),
    Mode("429", _status(429, "rate_limit_exceeded"), ANY, _LIMITED, weight=0.5),
    Mode("429, Retry-After 1", _limited("seconds", 1.0), ANY, _LIMITED),
    Mode("429, Retry-After 9", _limited("seconds", 9.0), ANY, _LIMITED, weight=0.5),
    Mode("429, Retry-After a date", _limited("date", 2.2), ANY, _LIMITED),
    Mode("429, retry-after-ms 700", _limited("ms", 0.7), ANY, _LIMITED),
    Mode("500", _status(500, "server_error"), ANY, FAILED),
    Mode("502", _status(502), ANY, FAILED),
    Mode("503", _status(503), ANY, FAILED),
    Mode("504", _status(504), ANY, codes("upstream_failed", "upstream_timeout")),
    Mode("529", _status(529, "overloaded"), ANY, FAILED),
    Mode("500, may not be retried", _advised(500, False), ANY, FAILED, weight=0.5),
    Mode("500, may be retried", _advised(500, True), ANY, FAILED, weight=0.5),
]
