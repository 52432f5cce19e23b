"""Modes with correct answers in usual and unusual forms. Each must reach the client completely."""

from chaos.call import Call, drip
from chaos.modes.mode import ANY, CHATS, EMBEDDINGS, STREAM, TEXT, Mode

_MEGABYTES = 5_000_000


async def _at_once(call: Call) -> None:
    if not call.is_stream:
        await call.succeed(call.good_body())
        return
    await call.open_stream()
    await call.role()
    for token in call.tokens:
        await call.token(token)
    await call.finish()


async def _slowly(call: Call) -> None:
    if not call.is_stream:
        await call.wait(call.rng.uniform(0.05, 0.4))
        await call.succeed(call.good_body())
        return
    apart_s = call.rng.uniform(0.02, 0.15)
    await call.open_stream()
    await call.role()
    for token in call.tokens:
        await call.token(token)
        await call.wait(apart_s)
    await call.finish()


async def _after_long_silence(call: Call) -> None:
    await call.wait(call.rng.uniform(0.8, 2.4))
    await _at_once(call)


async def _hanging_up_after(call: Call) -> None:
    await _at_once(call)
    call.close()


async def _drip(call: Call) -> None:
    """Send each byte separately, without pauses."""
    if not call.is_stream:
        body = call.good_body()
        await drip(call, call.head(200, "application/json", length=len(body)) + body, 0.0)
        call.note_whole()
        return
    await call.open_stream()
    for token in call.tokens[:6]:
        call.attempt.streamed += token
        for byte in call.event_bytes(call.chunk({"content": token})):
            await call.raw(bytes([byte]))
            await call.wait(0.0005)
    await call.finish()


async def _split_letter(call: Call) -> None:
    """Pause between the bytes of one character."""
    call.tokens.insert(1, " ß🔑")
    if call.is_stream:
        await call.open_stream()
        for token in call.tokens:
            call.attempt.streamed += token
            data = call.event_bytes(call.chunk({"content": token}))
            cut = next((i for i, byte in enumerate(data) if byte >= 0x80), 5) + 1
            await call.raw(data[:cut])
            await call.wait(0.02)
            await call.raw(data[cut:])
        await call.finish()
        return
    body = call.good_body()
    cut = next((i for i, byte in enumerate(body) if byte >= 0x80), 5) + 1
    await call.write(call.head(200, "application/json", length=len(body)) + body[:cut])
    await call.wait(0.05)
    await call.write(body[cut:])
    call.note_whole()


async def _empty_choices(call: Call) -> None:
    await call.open_stream()
    for token in call.tokens:
        await call.event(call.chunk(choices=[]))
        await call.token(token)
    await call.finish()


async def _azure(call: Call) -> None:
    """Azure's first chunk has no model, but the results of its content filter."""
    filters = [{"prompt_index": 0, "content_filter_results": {"hate": {"filtered": False, "severity": "safe"}}}]
    await call.open_stream()
    await call.event({"choices": [], "created": 0, "id": "", "model": "", "prompt_filter_results": filters})
    await call.role()
    for token in call.tokens:
        await call.token(token)
    await call.finish()


async def _comments(call: Call) -> None:
    await call.open_stream()
    for token in call.tokens[:8]:
        await call.raw(call.rng.choice([b": ping\n\n", b":\n\n", b"event: ping\n\n", b"retry: 3000\n\n"]))
        await call.wait(call.rng.uniform(0.0, 0.3))
        await call.token(token)
    await call.finish()


async def _crlf(call: Call) -> None:
    call.end_of_line = "\r\n"
    await _slowly(call)


async def _lone_cr(call: Call) -> None:
    call.end_of_line = "\r"
    await _at_once(call)


async def _no_done(call: Call) -> None:
    await call.open_stream()
    for token in call.tokens:
        await call.token(token)
    await call.finish(done=False)


async def _no_usage(call: Call) -> None:
    if not call.is_stream:
        await call.succeed(call.good_body(usage=None))
        return
    await call.open_stream()
    for token in call.tokens:
        await call.token(token)
    await call.finish(usage=False)


async def _reasoning(call: Call) -> None:
    """Reasoning for longer than HEARTBEAT_S."""
    await call.open_stream()
    await call.role()
    for _ in range(call.rng.randint(3, 9)):
        await call.event(call.chunk({"reasoning_content": " hm"}))
        await call.wait(0.3)
    for token in call.tokens:
        await call.token(token)
    await call.finish()


async def _long_line(call: Call) -> None:
    await call.open_stream()
    await call.token(call.tokens[0])
    await call.token("x" * _MEGABYTES)
    await call.token(" and on")
    await call.finish()


async def _shuffled(call: Call) -> None:
    body = call.embeddings(call.vectors())
    call.rng.shuffle(body["data"])
    await call.answer_json(body)
    call.note_whole()


async def _no_reason(call: Call) -> None:
    """A complete answer without a finish reason. It is billed, so it counts as an answer."""
    if not call.is_stream:
        await call.answer_json(call.completion(call.text(), reason=None))
        call.note_whole()
        return
    await call.open_stream()
    for token in call.tokens:
        await call.token(token)
    call.note_whole()
    await call.event(b"[DONE]")
    await call.end_body()


async def _other_form(call: Call) -> None:
    """A server that ignores "stream", or always streams."""
    if call.is_stream:
        call.attempt.streamed = call.text()
        await call.answer_json(call.completion(call.text()))
        call.note_whole()
        return
    await call.open_stream()
    for token in call.tokens:
        await call.token(token)
    await call.finish()


MODES = [
    Mode("at once", _at_once, ANY, weight=8),
    Mode("no finish_reason", _no_reason, TEXT, weight=0.5),
    Mode("JSON for events, events for JSON", _other_form, CHATS, weight=0.5),
    Mode("slowly", _slowly, ANY, weight=6),
    Mode("after a long silence", _after_long_silence, ANY, weight=2),
    Mode("hanging up after it", _hanging_up_after, ANY, weight=2),
    Mode("byte by byte", _drip, ANY),
    Mode("a letter in two writes", _split_letter, TEXT),
    Mode("no usage", _no_usage, TEXT),
    Mode("choices: [] in between", _empty_choices, STREAM),
    Mode("Azure's empty first chunk", _azure, STREAM),
    Mode("comments and pings", _comments, STREAM),
    Mode("line ends CRLF", _crlf, STREAM),
    Mode("line ends CR", _lone_cr, STREAM, weight=0.5),
    Mode("no [DONE]", _no_done, STREAM),
    Mode("reasoning first", _reasoning, STREAM),
    Mode("a line of 5 MB", _long_line, STREAM, weight=0.15),
    Mode("vectors out of order", _shuffled, EMBEDDINGS, weight=2),
]
