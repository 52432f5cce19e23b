"""Modes with event streams that do not end properly."""

from chaos.call import Call
from chaos.modes.mode import BROKEN_OFF, FAILED, STREAM, Mode, codes


async def _error_first(call: Call) -> None:
    await call.open_stream()
    await call.role()
    await call.event({"error": {"message": "The server had an error", "type": "server_error", "code": None}})
    await call.end_body()


async def _limit_first(call: Call) -> None:
    await call.open_stream()
    await call.event({"error": {"message": "Slow down", "type": "requests", "code": "rate_limit_exceeded"}})
    await call.end_body()


async def _error_later(call: Call) -> None:
    await call.open_stream()
    await call.some_tokens()
    await call.event({"error": {"message": "The server had an error", "type": "server_error", "code": None}})
    await call.end_body()


async def _no_end(call: Call) -> None:
    await call.open_stream()
    await call.some_tokens()
    await call.end_body()


async def _nothing(call: Call) -> None:
    await call.open_stream()
    await call.end_body()


async def _garbage(call: Call) -> None:
    await call.open_stream()
    await call.some_tokens()
    await call.event(b'{"choices":[{"delta":{"content":"half a')
    await call.end_body()


async def _garbage_first(call: Call) -> None:
    await call.open_stream()
    await call.event(b"<html>not JSON</html>")
    await call.end_body()


async def _endless_line(call: Call) -> None:
    """More bytes than an event may have."""
    await call.open_stream()
    await call.some_tokens()
    await call.raw(b"data: ")
    while True:
        await call.raw(b"x" * 1_000_000)
        await call.wait(0.001)


MODES = [
    Mode("an error, then no token", _error_first, STREAM, FAILED),
    Mode("a limit, then no token", _limit_first, STREAM, codes("upstream_rate_limited"), weight=0.5),
    Mode("tokens, then an error", _error_later, STREAM, FAILED),
    Mode("neither finish_reason nor [DONE]", _no_end, STREAM, BROKEN_OFF),
    Mode("an empty stream", _nothing, STREAM, BROKEN_OFF),
    Mode("tokens, then garbage", _garbage, STREAM, FAILED),
    Mode("garbage, no token", _garbage_first, STREAM, FAILED, weight=0.5),
    Mode("a line without end", _endless_line, STREAM, FAILED, weight=0.2),
]
