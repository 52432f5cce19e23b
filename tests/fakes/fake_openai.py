"""FakeOpenAI: an upstream at the wire, below the real client. It scripts HTTP answers and keeps the requests."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import httpx2

from app.model_families import find_refusal
from tests.fakes.openai_answers import completion, sse

TODAY = date(2026, 11, 27)
"""The day on which the upstream lives: it decides which models are gone."""


@dataclass(frozen=True)
class Sent:
    """One request as it arrived."""

    path: str
    headers: httpx2.Headers
    body: dict[str, Any]


class FakeOpenAI:
    """BatchResults with what was queued, in order; with a plain completion, or what else is said, when nothing is."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.otherwise = lambda sent: httpx2.Response(200, json=completion())
        self.open_streams = 0
        self.is_strict = True
        self.today = TODAY
        self._answers: deque[Callable[[], httpx2.Response]] = deque()

    @property
    def http_client(self) -> httpx2.Client:
        return httpx2.Client(transport=httpx2.MockTransport(self._handle))

    def answers(self, body: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        """Queue an answer in one piece: JSON, or bytes as they are."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **(headers or {})}
        self._answers.append(lambda: httpx2.Response(status, headers=headers, content=content))

    def streams(self, *payloads: Any) -> None:
        """Queue an event stream, each payload arriving on its own."""
        self.streams_bytes([sse(payload) for payload in payloads])

    def streams_bytes(self, pieces: Iterable[bytes]) -> None:
        """Queue a body that arrives in exactly these pieces."""
        self._answers.append(lambda: self.event_stream(pieces))

    def event_stream(self, pieces: Iterable[bytes]) -> httpx2.Response:
        return httpx2.Response(200, headers={"Content-Type": "text/event-stream"}, stream=_Pieces(self, pieces))

    def raises(self, error: Exception) -> None:
        """Queue a failure of the connection."""

        def fail() -> httpx2.Response:
            raise error

        self._answers.append(fail)

    def _handle(self, request: httpx2.Request) -> httpx2.Response:
        sent = Sent(request.url.path, request.headers, json.loads(request.content))
        self.sent.append(sent)
        if self.is_strict and (refusal := find_refusal(sent.path, sent.body, today=self.today)) is not None:
            return httpx2.Response(refusal.status, json={"error": refusal.error})
        if self._answers:
            return self._answers.popleft()()
        return self.otherwise(sent)


class _Pieces(httpx2.SyncByteStream):
    """A body that counts itself among the fake's open streams until it is closed."""

    def __init__(self, fake: FakeOpenAI, pieces: Iterable[bytes]) -> None:
        self._fake = fake
        self._pieces = pieces
        self._is_open = True
        fake.open_streams += 1

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._fake.open_streams -= 1
