"""Call: the methods with which a mode answers one request, correctly or not."""

import asyncio
import json
import random
import time
from typing import Any, Protocol

from chaos.trace import Attempt

USAGE = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}
_WORDS = (
    "gate", "house", "Schlüssel", "naïve", "日本語", "🔑", "\u2028", "line\nbreak", '"quoted"', "back\\slash", "a",
    "keeper", "Ωmega", "data: {}", "night", "👩‍👩‍👧", "\t", "who passes", "[DONE]", "is seen",
)  # fmt: skip


class Gone(Exception):
    """The application has closed the connection during an answer."""


class Wire(Protocol):
    """The part of the connection that a mode may control."""

    async def send(self, data: bytes) -> None: ...
    async def wait(self, seconds: float) -> None: ...
    def close(self) -> None: ...
    def reset(self) -> None: ...


class Call:
    """One request to answer. Everything that is sent through it is recorded in the attempt."""

    def __init__(self, wire: Wire, attempt: Attempt, params: dict[str, Any], rng: random.Random) -> None:
        self._wire = wire
        self.attempt = attempt
        self.params = params
        self.rng = rng
        self.is_silent = False
        self.end_of_line = "\n"
        self._is_chunked = False
        words = rng.choices(_WORDS, k=rng.randint(3, 24))
        self.tokens = [f"<{attempt.id}/{attempt.number}>", *(f" {word}" for word in words)]

    @property
    def is_stream(self) -> bool:
        return self.attempt.operation == "stream"

    # The wire itself.

    async def write(self, data: bytes) -> None:
        await self._wire.send(data)

    async def wait(self, seconds: float) -> None:
        """Send nothing for some time."""
        self.is_silent = seconds >= 0.5
        await self._wire.wait(seconds)
        self.is_silent = False

    async def stall(self) -> None:
        """Send nothing until the application gives up."""
        await self.wait(60.0)

    def close(self) -> None:
        self._wire.close()

    def reset(self) -> None:
        self._wire.reset()

    # Whole answers.

    def head(self, status: int, content_type: str, *headers: str, length: int | None) -> bytes:
        """Return the head of an answer. Without a length, its body is chunked."""
        self.attempt.status = status
        self.attempt.answered_at = time.monotonic()
        self._is_chunked = length is None
        framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
        upstream_id = f"x-request-id: up-{self.attempt.id}-{self.attempt.number}"
        lines = [f"HTTP/1.1 {status} Whatever", f"Content-Type: {content_type}", framing, upstream_id, *headers]
        return "\r\n".join([*lines, "", ""]).encode()

    async def answer(self, status: int, content: bytes, content_type: str, *headers: str) -> None:
        await self.write(self.head(status, content_type, *headers, length=len(content)) + content)

    async def answer_json(self, body: Any) -> None:
        await self.answer(200, _json(body), "application/json")

    async def error(self, status: int, error: dict[str, Any], *headers: str) -> None:
        await self.answer(status, _json({"error": error}), "application/json", *headers)

    async def succeed(self, content: bytes) -> None:
        """Answer with a body from good_body()."""
        await self.answer(200, content, "application/json")
        self.note_whole()

    def good_body(self, *, usage: Any = USAGE) -> bytes:
        """Return a correct answer to the request, in one piece."""
        if self.attempt.operation == "embeddings":
            return _json(self.embeddings(self.vectors()))
        return _json(self.completion(self.text(), usage=usage))

    def note_whole(self) -> None:
        """Record that a correct answer was sent completely."""
        if self.attempt.operation == "embeddings":
            self.attempt.vectors = self.vectors()
        else:
            self.attempt.whole = self.text()

    def text(self) -> str:
        text = "".join(self.tokens)
        if self.attempt.operation == "structured":
            return json.dumps({"answer": text, "count": self.attempt.number}, ensure_ascii=False)
        return text

    def completion(self, text: str, reason: str | None = "stop", **fields: Any) -> dict[str, Any]:
        message = {"role": "assistant", "content": text, "refusal": fields.pop("refusal", None)}
        choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
        return self._object("chat.completion", **{"choices": [choice], "usage": USAGE, **fields})

    def vectors(self) -> list[list[float]]:
        """Return a vector for each text, which contains the number of the attempt and its own index."""
        texts = self.params["input"]
        count = 1 if isinstance(texts, str) else len(texts)
        return [[float(self.attempt.number), float(place), 0.25, -0.5] for place in range(count)]

    def embeddings(self, vectors: list[Any]) -> dict[str, Any]:
        data = [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(vectors)]
        usage = {"prompt_tokens": 5, "total_tokens": 5}
        return {"object": "list", "data": data, "model": self.attempt.model, "usage": usage}

    # Streams.

    async def open_stream(self) -> None:
        await self.write(self.head(200, "text/event-stream; charset=utf-8", length=None))

    async def raw(self, data: bytes) -> None:
        """Send bytes of the body."""
        await self.write(b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked else data)

    async def event(self, data: Any) -> None:
        await self.raw(self.event_bytes(data))

    def event_bytes(self, data: Any) -> bytes:
        text = data if isinstance(data, bytes) else _json(data)
        return b"data: " + text + (self.end_of_line * 2).encode()

    def chunk(self, delta: dict[str, Any] | None = None, reason: str | None = None, **fields: Any) -> Any:
        choice = {"index": 0, "delta": delta or {}, "finish_reason": reason, "logprobs": None}
        return self._object("chat.completion.chunk", **{"choices": [choice], **fields})

    async def role(self) -> None:
        await self.event(self.chunk({"role": "assistant", "content": ""}))

    async def token(self, text: str) -> None:
        self.attempt.streamed += text
        await self.event(self.chunk({"content": text}))

    async def some_tokens(self) -> None:
        """Send the first few tokens, with short pauses."""
        for token in self.tokens[: self.rng.randint(1, len(self.tokens) - 1)]:
            await self.token(token)
            await self.wait(0.01)

    async def finish(self, *, usage: bool = True, done: bool = True) -> None:
        """End a stream correctly."""
        await self.event(self.chunk(reason="stop"))
        self.attempt.whole = self.attempt.streamed
        if usage:
            await self.event(self.chunk(choices=[], usage=USAGE))
        if done:
            await self.event(b"[DONE]")
        await self.end_body()

    async def end_body(self) -> None:
        await self.write(b"0\r\n\r\n")

    def _object(self, kind: str, **fields: Any) -> dict[str, Any]:
        own_id = f"chatcmpl-{self.attempt.id}-{self.attempt.number}"
        return {"id": own_id, "object": kind, "created": 1763640000, "model": self.attempt.model, **fields}


async def drip(call: Call, data: bytes, apart_s: float) -> None:
    """Write byte by byte."""
    for i in range(len(data)):
        await call.write(data[i : i + 1])
        await (call.wait(apart_s) if apart_s else asyncio.sleep(0))


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
