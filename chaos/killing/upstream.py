"""An upstream that bills each token when it writes it, even if no client reads it."""

import asyncio
import json
import random
import re
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

from app.models.families import Refusal, find_refusal

INPUT, OUTPUT = 1, 8
"""What a token costs, in micro-dollars."""
MODEL = "storm"
PRICES = f'[models."{MODEL}"]\ninput = {INPUT}\noutput = {OUTPUT}\n'
_FRAME_TOKENS = 7
_TOKEN = re.compile(r"\w+|[^\w\s]")


@dataclass
class Bill:
    """The part of an answer that was sent."""

    is_streamed: bool
    prompt: int
    written: int = 0

    @property
    def micro_usd(self) -> int:
        return INPUT * self.prompt + OUTPUT * self.written

    @property
    def usage(self) -> dict[str, int]:
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.written,
            "total_tokens": self.prompt + self.written,
        }


class BillingUpstream:
    """Begins after 0.1 to 0.6 s and writes 40 to 120 tokens a second. Only a stream ends when its reader has gone."""

    def __init__(self, seed: int) -> None:
        self.bills: dict[str, list[Bill]] = {}
        """The bill of each call, by the number at the end of its message."""
        self.refused: list[str] = []
        """The requests that OpenAI would refuse. They are not billed."""
        self.port = 0
        self._random = random.Random(seed)
        self._server: asyncio.Server | None = None

    async def start(self, host: str = "127.0.0.1") -> None:
        self._server = await asyncio.start_server(self._serve, host, 0, limit=1 << 20, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Accept no more connections, and serve the open ones to their end."""
        assert self._server is not None
        self._server.close()
        if serving := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(serving)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Cancelled at the end of the run, as it keeps connections.
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: *(\d+)", head)
                body = json.loads(await reader.readexactly(int(length.group(1)) if length else 0))
                path = head.split(b" ", 2)[1].decode("ascii", "replace")
                if (refusal := find_refusal(path, body)) is not None:
                    await self._refuse(refusal, path, writer)
                elif not await self._answer(body, reader, writer):
                    break
        writer.close()

    async def _refuse(self, refusal: Refusal, path: str, writer: asyncio.StreamWriter) -> None:
        self.refused.append(f"{path}: {refusal.message}")
        _begin(writer, "application/json", data := json.dumps({"error": refusal.error}).encode(), refusal.status)
        writer.write(data)
        await writer.drain()

    async def _answer(
        self, body: dict[str, object], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        message = str(body["messages"][-1]["content"])  # type: ignore[index]
        bill = Bill(bool(body.get("stream")), len(_TOKEN.findall(message)) + _FRAME_TOKENS)
        self.bills.setdefault(message.rpartition("#")[2], []).append(bill)
        tokens, pace = self._random.randint(40, 300), self._random.uniform(40, 120)
        await asyncio.sleep(self._random.uniform(0.1, 0.6))
        if not bill.is_streamed:
            await asyncio.sleep(tokens / pace)
            bill.written = tokens
            choice = {"index": 0, "message": {"role": "assistant", "content": " word" * tokens}}
            answer = {"object": "chat.completion", "choices": [choice | {"finish_reason": "stop"}]}
            _begin(writer, "application/json", data := _encode(answer | {"usage": bill.usage}))
            writer.write(data)
            await writer.drain()
            return True
        _begin(writer, "text/event-stream", None)
        for _ in range(tokens):
            if reader.at_eof():
                return False
            bill.written += 1
            _write_event(writer, {"choices": [{"index": 0, "delta": {"content": " word"}, "finish_reason": None}]})
            await writer.drain()
            await asyncio.sleep(1 / pace)
        _write_event(writer, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        _write_event(writer, {"choices": [], "usage": bill.usage})
        _write_chunk(writer, b"data: [DONE]\n\n")
        _write_chunk(writer, b"")
        await writer.drain()
        return True


def _encode(answer: dict[str, object]) -> bytes:
    return json.dumps({"id": "chatcmpl-storm", "created": 1, "model": MODEL} | answer).encode()


def _begin(writer: asyncio.StreamWriter, content_type: str, whole: bytes | None, status: int = 200) -> None:
    framing = "Transfer-Encoding: chunked" if whole is None else f"Content-Length: {len(whole)}"
    reason = HTTPStatus(status).phrase
    writer.write(f"HTTP/1.1 {status} {reason}\r\nContent-Type: {content_type}\r\n{framing}\r\n\r\n".encode())


def _write_event(writer: asyncio.StreamWriter, chunk: dict[str, object]) -> None:
    _write_chunk(writer, b"data: %b\n\n" % _encode({"object": "chat.completion.chunk"} | chunk))


def _write_chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(b"%x\r\n%b\r\n" % (len(data), data))
