"""Modes with connections that break, or on which nothing arrives."""

from chaos.call import Call, drip
from chaos.modes.mode import ANY, BROKEN_OFF, FAILED, STREAM, TIMEOUT, Mode, codes

# Longer than the application takes a dead connection for one that had been closed while it was idle.
_NO_LONGER_IDLE_S = 0.75


async def _reset_before_head(call: Call) -> None:
    if call.attempt.is_kept and call.rng.random() < 0.8:
        await call.wait(_NO_LONGER_IDLE_S)
    call.reset()


async def _reset_amid_head(call: Call) -> None:
    await call.write(b"HTTP/1.1 200 OK\r\nContent-Type: appli")
    await call.wait(0.02)
    call.reset()


async def _begin_body(call: Call) -> None:
    """About half of an answer."""
    if call.is_stream:
        await call.open_stream()
        await call.role()
        await call.some_tokens()
        return
    body = call.good_body()
    await call.write(call.head(200, "application/json", length=len(body)) + body[: len(body) // 2])


async def _reset_amid_body(call: Call) -> None:
    await _begin_body(call)
    await call.wait(0.1)
    call.reset()


async def _close_amid_body(call: Call) -> None:
    await _begin_body(call)
    call.close()


async def _stall_before_head(call: Call) -> None:
    await call.stall()


async def _stall_after_head(call: Call) -> None:
    if call.is_stream:
        await call.open_stream()
        await call.role()
    else:
        await call.write(call.head(200, "application/json", length=1000))
    await call.stall()


async def _stall_amid_body(call: Call) -> None:
    await _begin_body(call)
    await call.stall()


async def _drip_without_end(call: Call) -> None:
    """Bytes that arrive too slowly to be an answer, but too often to count as silence."""
    if call.is_stream:
        await call.open_stream()
        await drip_events(call)
    body = call.good_body()
    await drip(call, call.head(200, "application/json", length=len(body)) + body, 0.3)


async def drip_events(call: Call) -> None:
    """One byte in each chunk of the transfer encoding."""
    while True:
        for token in call.tokens:
            for byte in call.event_bytes(call.chunk({"content": token})):
                await call.raw(bytes([byte]))
                await call.wait(0.3)
            call.attempt.streamed += token


async def _pings_without_end(call: Call) -> None:
    """Comments keep arriving, but no token."""
    await call.open_stream()
    await call.some_tokens()
    while True:
        await call.raw(b": ping\n\n")
        await call.wait(0.4)


MODES = [
    Mode("reset before the head", _reset_before_head, ANY, FAILED, weight=2),
    Mode("reset amid the head", _reset_amid_head, ANY, FAILED),
    Mode("reset amid the body", _reset_amid_body, ANY, BROKEN_OFF, weight=2),
    Mode("closed amid the body", _close_amid_body, ANY, BROKEN_OFF),
    Mode("silence before the head", _stall_before_head, ANY, TIMEOUT, weight=1.5),
    Mode("silence after the head", _stall_after_head, ANY, TIMEOUT, weight=1.5),
    Mode("silence amid the body", _stall_amid_body, ANY, TIMEOUT, weight=1.5),
    Mode("a byte now and then", _drip_without_end, ANY, TIMEOUT, weight=0.4),
    Mode("pings without end", _pings_without_end, STREAM, codes("upstream_timeout"), weight=0.4),
]
