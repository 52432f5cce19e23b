"""An upstream whose streams last as long as requested, and whose other answers are immediate."""

import asyncio
import json

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n%b\r\n"
_USAGE = {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}


class Upstream:
    """Answers chat completions; each stream has one token every quarter of a second."""

    def __init__(self, stream_s: float) -> None:
        self._tokens = max(2, int(stream_s * 4))

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
                )
                body = json.loads(await reader.readexactly(length))
                await (self._stream(writer) if body.get("stream") else self._answer_whole(writer))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _answer_whole(self, writer: asyncio.StreamWriter) -> None:
        message = {"role": "assistant", "content": "Hello"}
        whole = _chunk(choices=[{"index": 0, "message": message, "finish_reason": "stop"}], usage=_USAGE)
        content = json.dumps(whole | {"object": "chat.completion"}).encode()
        writer.write(_HEAD % (b"application/json", b"Content-Length: %d\r\n" % len(content)) + content)
        await writer.drain()

    async def _stream(self, writer: asyncio.StreamWriter) -> None:
        writer.write(_HEAD % (b"text/event-stream", b"Transfer-Encoding: chunked\r\n"))
        for _ in range(self._tokens):
            _write_event(
                writer, _chunk(choices=[{"index": 0, "delta": {"content": "word "}, "finish_reason": None}])
            )
            await writer.drain()
            await asyncio.sleep(0.25)
        _write_event(writer, _chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}]))
        _write_event(writer, _chunk(choices=[], usage=_USAGE))
        writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
        await writer.drain()


def _chunk(**members: object) -> dict[str, object]:
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-6.1-terra"} | members


def _write_event(writer: asyncio.StreamWriter, payload: object) -> None:
    event = b"data: %b\n\n" % json.dumps(payload).encode()
    writer.write(b"%x\r\n%b\r\n" % (len(event), event))
