"""Run streams across the reload, and clients that send one request after another."""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field

_BODY = json.dumps({"message": "Hello"}).encode()


@dataclass
class Load:
    """The results of all requests through Nginx.

    Attributes:
        port: Nginx's.
        ends: of streams, by the last event's kind.
        answers: to the other requests, by status, with the beginning of an error, or the kind of failure.
    """

    port: int
    ends: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)

    async def stream(self) -> None:
        """Read one stream to its end."""
        try:
            status, body = await self._post("/api/chat/stream")
        except (OSError, asyncio.IncompleteReadError) as error:
            self.ends[type(error).__name__] += 1
            return
        last = body.rstrip(b"0\r\n").rsplit(b"data: ", 1)[-1]
        is_end = b'"done"' in last or b'"error"' in last
        kind = "done" if b'"done"' in last else "error event"
        self.ends[kind if status == 200 and is_end else f"no end ({status})"] += 1

    async def ask_until(self, must_stop: asyncio.Event) -> None:
        """Ask one request after the other."""
        while not must_stop.is_set():
            try:
                status, body = await self._post("/api/chat")
                self.answers["200" if status == 200 else f"{status} {body.decode(errors='replace')[:80]}"] += 1
            except (OSError, asyncio.IncompleteReadError) as error:
                self.answers[type(error).__name__] += 1

    async def _post(self, path: str) -> tuple[int, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\n"
            writer.write(f"{head}Content-Length: {len(_BODY)}\r\n\r\n".encode() + _BODY)
            answer = await reader.readuntil(b"\r\n\r\n")
            return int(answer.split(b" ", 2)[1]), await reader.read()
        finally:
            writer.close()
