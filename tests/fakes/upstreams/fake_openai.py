"""FakeOpenAI: an upstream at the wire, below the real client. It scripts HTTP answers and keeps the requests."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx2

from app.models.families import find_refusal
from tests.fakes.upstreams.openai_answers import completion, sse
from tests.fakes.upstreams.responses_form import EventStream, to_chat_body, to_response
from tests.fakes.upstreams.strictness import TODAY


@dataclass(frozen=True)
class Sent:
    """One request as it arrived; `body` is in the form of chat completions whatever the path, `raw` as it was sent."""

    path: str
    headers: httpx2.Headers
    raw: dict[str, Any]

    @property
    def is_response(self) -> bool:
        return self.path.endswith("/responses")

    @cached_property
    def body(self) -> dict[str, Any]:
        return to_chat_body(self.raw) if self.is_response else self.raw


class FakeOpenAI:
    """Answers with what was queued, in order; with a plain completion, or what else is said, when nothing is.

    What is queued for chat completions is answered in the form of /responses to a request for one.
    """

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.otherwise = lambda sent: httpx2.Response(200, json=completion())
        self.open_streams = 0
        self.today = TODAY
        self._answers: deque[Callable[[Sent], httpx2.Response]] = deque()

    @property
    def http_client(self) -> httpx2.Client:
        return httpx2.Client(transport=httpx2.MockTransport(self._handle))

    def clear(self) -> None:
        """Forget what was sent, and what is queued: for the next row of a table."""
        self.sent.clear()
        self._answers.clear()

    def make_restore(self) -> Callable[[], None]:
        """Return what restores the requests that were sent, and the answers that are to come, as they are now."""
        sent, queued, otherwise = [*self.sent], [*self._answers], self.otherwise

        def restore() -> None:
            self.sent[:] = sent
            self._answers, self.otherwise = deque(queued), otherwise

        return restore

    def answers(self, body: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        """Queue an answer in one piece: JSON, or bytes as they are."""
        headers = {"Content-Type": "application/json", **(headers or {})}

        def answer(sent: Sent) -> httpx2.Response:
            said = to_response(body) if sent.is_response and _is_completion(body) else body
            content = said if isinstance(said, bytes) else json.dumps(said).encode()
            return httpx2.Response(status, headers=headers, content=content)

        self._answers.append(answer)

    def streams(self, *payloads: Any) -> None:
        """Queue an event stream, each payload arriving on its own."""
        self.streams_bytes([sse(payload) for payload in payloads])

    def streams_bytes(self, pieces: Iterable[bytes]) -> None:
        """Queue a body that arrives in exactly these pieces."""
        self._answers.append(
            lambda sent: self.event_stream(EventStream().convert(pieces) if sent.is_response else pieces)
        )

    def streams_events(self, *events: dict[str, Any], end: bytes = b"", cut_at: int = 0) -> None:
        """Queue the stream of a response, each event arriving on its own or in pieces, numbered unless it has a number."""
        numbered = [{"sequence_number": number, **event} for number, event in enumerate(events)]
        pieces = [f"event: {event['type']}\n".encode() + sse(event) for event in numbered]
        if cut_at:
            wire = b"".join(pieces)
            pieces = [wire[at : at + cut_at] for at in range(0, len(wire), cut_at)]
        self._answers.append(lambda _: self.event_stream([*pieces, end] if end else pieces))

    def event_stream(self, pieces: Iterable[bytes]) -> httpx2.Response:
        return httpx2.Response(200, headers={"Content-Type": "text/event-stream"}, stream=_Pieces(self, pieces))

    def raises(self, error: Exception) -> None:
        """Queue a failure of the connection."""

        def fail(_: Sent) -> httpx2.Response:
            raise error

        self._answers.append(fail)

    def _handle(self, request: httpx2.Request) -> httpx2.Response:
        is_form = request.headers.get("Content-Type", "").startswith("multipart/")  # a file, as it is uploaded
        sent = Sent(request.url.path, request.headers, {} if is_form else json.loads(request.content))
        refusal = find_refusal(sent.path, sent.raw, today=self.today)
        is_queued = refusal is None and bool(self._answers)
        make_answer = self._answers.popleft() if is_queued else self.otherwise
        # Only now: what a test queues or changes once it has seen this request in `sent` is for the next one.
        self.sent.append(sent)
        if refusal is not None:
            return httpx2.Response(refusal.status, json={"error": refusal.error})
        answer = make_answer(sent)
        if is_queued:
            return answer
        if sent.is_response and answer.headers["Content-Type"] == "application/json":
            body = json.loads(answer.read())
            return httpx2.Response(answer.status_code, json=to_response(body) if _is_completion(body) else body)
        if sent.is_response:
            pieces = [answer.content] if answer.is_stream_consumed else answer.iter_raw()
            return self.event_stream(EventStream().convert(pieces))
        return answer


def _is_completion(body: Any) -> bool:
    return isinstance(body, dict) and isinstance(body.get("choices"), list)


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
