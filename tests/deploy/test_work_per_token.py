"""What a token of a stream takes on its way from the upstream's connection to the client's, in calls of functions."""

from __future__ import annotations

import cProfile
import socket
from types import SimpleNamespace
from typing import Any

import pytest

from app.openai_service import Events
from app.openai_service.responses.stream import ResponseReader
from app.openai_service.results import Attempt
from app.openai_service.streaming.chunks import ChunkReader
from app.openai_service.streaming.passing import Passing, Writing
from app.upstream_http.call_state import CallState
from app.upstream_http.connection import Connection
from app.upstream_http.relaying import Relaying, relay_parts
from app.web.encoders.padding import get_padding
from app.web.encoders.token_sse import TokenSse
from bench import answers, response_answers
from server.relay import Relay

_TOKENS = 400
# As measured, of Python and C, with those that count a few tokens at a time; whatever lowers one of them lowers it here.
CALLS = {"chat completions": 27, "responses": 48}
SLACK = 1.05


class _DrivenRelay(Relay):
    """The relay of the server, whose loop does nothing but read what is there."""

    def __init__(self, client: Any, pieces: list[bytes]) -> None:
        super().__init__(client, is_chunked=True)
        self._pieces = pieces
        self.profile = cProfile.Profile()

    def wait(self, sock: Any, take: Any, size: int, timeout_s: float) -> None:
        assert take(self._pieces[0])  # from which is learnt what the others are like
        self.profile.enable()
        for piece in self._pieces[1:]:
            take(piece)


def _chat_events() -> tuple[bytes, list[bytes]]:
    before, after = answers.stamped_chunk("m")
    return answers.role_chunk("m"), [b"%b%020d%b" % (before, number, after) for number in range(_TOKENS)]


def _response_events() -> tuple[bytes, list[bytes]]:
    before, between, after = response_answers.stamped_event("m")
    first = response_answers.FIRST_NUMBER
    numbered = [b"%b%020d%b%d%b" % (before, at, between, first + at, after) for at in range(_TOKENS)]
    return response_answers.opening_events("m") + numbered[0], numbered[1:]


@pytest.mark.parametrize("wire", CALLS)
def test_token_of_a_stream_takes_no_more_calls_than_measured(wire: str) -> None:
    if wire == "chat completions":
        reader, (opening, events) = ChunkReader(), _chat_events()
    else:
        reader, (opening, events) = ResponseReader("m"), _response_events()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = Connection(ours)
        theirs.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + opening)
        connection.receive(5.0)
        reader.feed(connection.take_body(), [])
        sent: list[bytes] = []
        client = SimpleNamespace(_sock=SimpleNamespace(send=lambda data: sent.append(data) or len(data)))
        relay = _DrivenRelay(client, events)
        call_state = CallState(deadline=1e12, tick_s=1.0)
        passing = Passing(reader, Attempt("m"), call_state, idle_timeout_s=30.0)
        encoder = TokenSse("r", get_padding(32))

        def write(tokens: Events) -> None:
            relay.write(encoder.encode(tokens))

        writing = Writing(relay, write, lambda: encoder.token_frame)
        relay_parts(connection, Relaying(relay, lambda: passing.begin(writing)), 5.0)
        passing.count()
        relay.profile.disable()

    assert len(sent) == len(events)
    assert b"t=%020d;" % (_TOKENS - 1) in sent[-1]
    calls = sum(entry.callcount for entry in relay.profile.getstats()) / (len(events) - 1)
    assert calls <= CALLS[wire] * SLACK, calls
