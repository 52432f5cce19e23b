"""What a token of a stream takes on its way from the upstream's connection to the client's, in calls of functions."""

from __future__ import annotations

import cProfile
import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.openai_service import Events, Token
from app.openai_service.responses.stream import ResponseReader
from app.openai_service.results import Attempt
from app.openai_service.streaming.chunks import ChunkReader
from app.openai_service.streaming.passing import TokenRelay, TokenWriter
from app.storage.shared_state import open_records
from app.storage.shared_state.replays import AnswerLog, AnswerReader
from app.upstream_http.call_state import CallState
from app.upstream_http.connection import Connection
from app.upstream_http.relaying import Relaying, relay_parts
from app.web.encoders import agui
from app.web.encoders.base import Encoder, TokenEncoder
from app.web.encoders.call_ids import CallIds
from app.web.encoders.padding import get_padding
from app.web.encoders.token_sse import TokenSse
from app.web.encoders.ui_message_stream import UIMessageStream
from app.web.replays.holding import HoldingEncoder
from bench.upstream import answers, response_answers
from server.connections.relay import Relay
from tests.fakes.identity_provider import MovableClock

_TOKENS = 400
# As measured, of Python and C, with those that count a few tokens at a time; whatever lowers one of them lowers it here.
CALLS = {"chat completions": 19, "responses": 44}
# The same over chat completions, as other formats than token events, and kept: to be resumed, or given again.
FORMAT_CALLS = {
    "UI message": 19,
    "UI message of a chat": 26,
    "UI message to be resumed": 29,
    "AG-UI": 19,
    "AG-UI to be resumed": 29,
}
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


def _ui_message() -> Encoder:
    return UIMessageStream("m", call_ids=CallIds([]), padding=get_padding(32), request_id="r")


def _agui() -> Encoder:
    run = {"threadId": "t", "runId": "r"}
    padding = get_padding(32, agui.PADDING)
    return agui.Agui(run, token="t", call_ids=CallIds([]), padding=padding, request_id="r")


@pytest.mark.parametrize("wire", CALLS)
def test_token_of_a_stream_takes_no_more_calls_than_measured(wire: str) -> None:
    if wire == "chat completions":
        reader, (opening, events) = ChunkReader(), _chat_events()
    else:
        reader, (opening, events) = ResponseReader("m"), _response_events()

    calls = _count(reader, opening, events, lambda _: TokenSse("r", get_padding(32)))

    assert calls <= CALLS[wire] * SLACK, calls


@pytest.mark.parametrize("name", FORMAT_CALLS)
def test_no_format_costs_more_and_to_keep_it_little(name: str, tmp_path: Path, clock: MovableClock) -> None:
    records = open_records(directory=tmp_path, redis_url="")
    is_kept, is_numbered = name.endswith(("chat", "resumed")), name.endswith("resumed")
    log = AnswerLog(records, "u", "a", ttl_s=60.0, is_numbered=is_numbered)
    log.open(200, [])
    log.append(b"data: 1\n\n")

    def wrap(relay: Relay) -> TokenEncoder:
        encoder = _agui() if name.startswith("AG-UI") else _ui_message()
        encoder.encode([Token("Begun")])
        return HoldingEncoder(encoder, log, relay.wake) if is_kept else encoder

    calls = _count(ChunkReader(), *_chat_events(), wrap)
    log.flush()
    reader = AnswerReader(records, "a")
    head = reader.read_head()
    assert head is not None
    kept = reader.read_new(head) or b""
    records.close()

    assert calls <= FORMAT_CALLS[name] * SLACK, calls
    assert kept.count(b"\n\n") == 1 + is_kept * _TOKENS


def _count(
    reader: Any, opening: bytes, events: list[bytes], make_encoder: Callable[[Relay], TokenEncoder]
) -> float:
    """Return the calls for each of the events that the relay writes."""
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
        passing = TokenRelay(reader, Attempt("m"), call_state, idle_timeout_s=30.0)
        encoder = make_encoder(relay)

        def write(tokens: Events) -> None:
            relay.write(encoder.encode(tokens))

        writing = TokenWriter(relay, write, lambda: encoder.token_frame)
        relay_parts(connection, Relaying(relay, lambda: passing.begin(writing)), 5.0)
        passing.count()
        relay.profile.disable()

    assert len(sent) == len(events)
    assert b"t=%020d;" % (_TOKENS - 1) in sent[-1]
    return sum(entry.callcount for entry in relay.profile.getstats()) / (len(events) - 1)
