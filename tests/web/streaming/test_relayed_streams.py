"""Streams that are kept while the server's relay writes them: who resumes, repeats, leaves or stops one notices nothing of it."""

from __future__ import annotations

import json
import threading
from contextlib import closing, suppress

import pytest

from app import create_app
from app.config import Config
from app.openai_service import Token
from app.storage.shared_state import MemoryState, open_records
from app.storage.shared_state.replays import AnswerLog, AnswerReader
from app.upstream_http.client import UpstreamClient
from app.web.encoders.padding import get_padding
from app.web.encoders.token_sse import TokenSse
from app.web.replays.holding import HoldingEncoder
from tests.fakes.servers import FakeUpstream, wait_until
from tests.fakes.tables import in_part
from tests.fakes.wire.relays import RelayingSocket

WORDS = ("One", " two", " three", " \U0001f44b", "\n\n", ' "five"', " six")
_TOKENS = len(WORDS)
STREAM = "/api/chat/stream"
UI_MESSAGES = [{"role": "user", "parts": [{"type": "text", "text": "Hi"}]}]
MESSAGES = [{"role": "user", "content": "Hi"}]
AGUI = {"threadId": "t", "runId": "r", "messages": [{"id": "m", "role": "user", "content": "Hi"}]}
FORMATS = {
    "tokens": (STREAM, {"message": "Hi", "resumable": True}),
    "UI message": ("/api/chat", {"messages": UI_MESSAGES, "resumable": True}),
    "UI message of a chat": ("/api/chat", {"messages": UI_MESSAGES, "id": "chat-1"}),
    "AG-UI": ("/api/agui", {**AGUI, "forwardedProps": {"resumable": True}}),
    "chunks": ("/v1/chat/completions", {"messages": MESSAGES, "stream": True, "resumable": True}),
    "response": ("/v1/responses", {"input": "Hi", "stream": True, "resumable": True}),
}
each_format = pytest.mark.parametrize(("route", "body"), FORMATS.values(), ids=FORMATS)
some_formats = pytest.mark.parametrize(
    ("route", "body"), in_part(FORMATS, by_default={"tokens", "UI message", "response"})
)


@pytest.fixture
def wire():
    with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture
def make_app(wire):
    with closing(UpstreamClient(wire.url, connect_timeout_s=5.0)) as http_client:

        def make(**settings):
            config = Config(openai_api_key="sk-test", openai_base_url=wire.url, **settings)
            return create_app(config, http_client=http_client, shared_state=MemoryState())

        yield make


class Page:
    """A client whose server has a relay."""

    def __init__(self, client, route, body, **headers):
        self._socket = RelayingSocket()
        self.relay = self._socket.relay
        self.received = self._socket.received
        self.response = client.post(
            route, json=body, headers=headers, buffered=False, environ_overrides={"gunicorn.socket": self._socket}
        )
        assert self.response.status_code == 200, self.response.text
        self.pieces = iter(self.response.response)

    @property
    def url(self):
        return f"{STREAM}/{self.response.headers['X-Stream-Id']}"

    def read(self):
        """Read until the end, and return all that came."""
        for piece in self.pieces:
            self.received.append(piece)
        self.response.close()
        return b"".join(self.received)

    def read_one_by_one(self, gate, tokens=_TOKENS):
        """Read a stream of which one token comes after the other; the first has come."""
        reading = self.read_in_background()
        wait_until(lambda: self.received, "the first")
        for _ in range(tokens - 1):
            count = len(self.received)
            gate.release()
            wait_until(lambda count=count: len(self.received) > count, "the next")
        gate.release_all()
        reading.join(20)
        return b"".join(self.received)

    def read_in_background(self):
        reading = threading.Thread(target=self.read)
        reading.start()
        return reading


def kept_of(app, page):
    """Return what is kept of a stream, whoever may read it."""
    reader = app.extensions["gatehouse"].answers.open(page.url.rpartition("/")[2])
    return reader.read_new(reader.read_head())


def events_of(data):
    return [event + b"\n\n" for event in data.split(b"\n\n") if event]


@each_format
def test_what_was_relayed_goes_on_after_each_event(app, client, wire, route, body):
    gate = wire.streams(*WORDS)
    gate.release(2)
    page = Page(client, route, body)
    events = events_of(page.read_one_by_one(gate))

    assert page.relay.passed_on >= 4, "what is escaped goes the long way, as do the ends"
    assert kept_of(app, page) == b"".join(events)
    assert events[0].startswith(b"id: 1\n") == ("id" not in body)
    if events[0].startswith(b"id: 1\n"):
        for has in range(len(events)):
            resumed = client.get(page.url, headers={"Last-Event-ID": str(has)})
            assert (resumed.status_code, resumed.data) == (200, b"".join(events[has:]))
        assert client.get(page.url, headers={"Last-Event-ID": str(len(events))}).status_code == 204
    assert len(wire.received) == 1


@some_formats
def test_it_says_what_a_stream_says_that_is_not_relayed(client, wire, make_app, route, body):
    def texts_of(data):
        data = json.loads(data.partition(b"data: ")[2])
        kept = {name: data[name] for name in ("token", "delta", "choices", "type") if name in data}
        return json.dumps(kept)

    gate = wire.streams(*WORDS)
    gate.release(2)
    relayed = Page(client, route, body).read_one_by_one(gate)
    wire.streams(*WORDS).release_all()
    plain = client.post(route, json=body).data

    ends = b"[DONE]"
    assert [texts_of(event) for event in events_of(relayed) if ends not in event] == [
        texts_of(event) for event in events_of(plain) if ends not in event
    ]


def test_a_repeated_request_gets_what_was_relayed(client, wire):
    gate = wire.streams(*WORDS)
    gate.release(2)
    page = Page(client, STREAM, {"message": "Hi"}, **{"Idempotency-Key": "relayed-1"})
    whole = page.read_one_by_one(gate)

    again = client.post(STREAM, json={"message": "Hi"}, headers={"Idempotency-Key": "relayed-1"})

    assert page.relay.passed_on
    assert (again.headers["Idempotent-Replay"], again.data) == ("true", whole)
    assert len(wire.received) == 1


def test_others_find_what_was_relayed_a_second_ago(app, client, wire, clock):
    gate = wire.streams(*[f" {number}" for number in range(20)])
    gate.release(2)
    page = Page(client, *FORMATS["tokens"])
    reading = page.read_in_background()
    wait_until(lambda: page.received, "the first")

    def relay_one():
        count = page.relay.passed_on
        gate.release()
        wait_until(lambda: page.relay.passed_on > count, "a token was relayed")

    relay_one()
    relay_one()
    assert b" 2" not in kept_of(app, page)
    clock.move(1.0)
    relay_one()
    wait_until(lambda: b" 2" in kept_of(app, page), "what waited is kept")
    for _ in range(10):
        relay_one()
    assert page.relay.wakes <= 1
    gate.release_all()
    reading.join(10)
    assert kept_of(app, page) == b"".join(page.received)


def test_the_relay_wakes_when_it_is_time_to_write_what_was_kept(clock, tmp_path):
    records = open_records(directory=tmp_path, redis_url="")
    log = AnswerLog(records, "u", "a", ttl_s=60, is_numbered=True)
    log.open(200, [])
    log.append(log.number(b"data: 1\n\n"))
    woken = []
    encoder = HoldingEncoder(TokenSse("r", get_padding(0)), log, lambda: woken.append(clock.now()))
    close = encoder.token_frame.close

    assert encoder.encode([Token("a")]) == b'id: 2\ndata: {"token":"a"}\n\n'
    assert close(b'data: {"token":"b"') == b'id: 3\ndata: {"token":"b"}\n\n'
    clock.move(0.9)
    encoder.encode([Token("c")])
    assert not woken
    clock.move(0.1)
    close(b'data: {"token":"d"')
    assert woken == [clock.now()]
    log.flush()
    reader = AnswerReader(records, "a")
    assert reader.read_new(reader.read_head()).count(b"id: ") == 5
    records.close()


@some_formats
def test_the_generation_goes_on_for_a_client_who_left(records, make_app, wire, route, body):
    client = make_app(resume_linger_s=60.0).test_client()
    gate = wire.streams(*WORDS)
    gate.release(3)
    page = Page(client, route, body)
    page.received.append(next(page.pieces))
    page.relay.is_broken = True
    gate.release(1)
    with pytest.raises(BrokenPipeError):
        page.read()
    page.response.close()  # as the server does then
    gate.release_all()
    wait_until(lambda: records, "the call is recorded")

    resumed = kept_of(client.application, page)

    assert resumed.startswith(b"".join(page.received))
    assert all(json.dumps(word)[1:-1].encode() in resumed or word.encode() in resumed for word in WORDS)
    assert [record.outcome for record in records] == ["complete"]
    assert len(wire.received) == 1


def test_who_left_and_does_not_come_back_ends_it(records, make_app, wire):
    client = make_app(resume_linger_s=0.0).test_client()
    gate = wire.streams(*WORDS)
    gate.release(3)
    page = Page(client, *FORMATS["UI message of a chat"])
    page.received.append(next(page.pieces))
    page.relay.is_broken = True
    gate.release(1)
    with suppress(BrokenPipeError):
        page.read()
    page.response.close()

    assert gate.left.wait(10)
    assert [record.outcome for record in records] == ["client_gone"]
    assert b"broke off" in kept_of(client.application, page)


@pytest.mark.parametrize("pause_s", [0.01, 0.15], ids=["fast", "slow"])
def test_its_owner_may_stop_it_while_it_is_relayed(records, app, client, wire, pause_s):
    gate = wire.streams(*["on"] * 1000)
    gate.release(2)
    page = Page(client, *FORMATS["UI message of a chat"])
    reading = page.read_in_background()
    wait_until(lambda: page.received, "the first")
    gate.release(1)
    wait_until(lambda: page.relay.passed_on, "a token was relayed")
    assert app.test_client().post(f"{page.url}/stop").status_code == 204
    while reading.is_alive():
        gate.release(1)
        reading.join(pause_s)

    assert [event.partition(b"data: ")[2].strip() for event in events_of(b"".join(page.received))[-2:]] == [
        b'{"type":"abort"}',
        b"[DONE]",
    ]
    assert len(page.received) < 500
    assert [record.outcome for record in records] == ["client_gone"]
    assert kept_of(app, page) == b"".join(page.received)


def test_what_is_too_long_is_sent_but_not_kept(client, wire):
    text = "x" * 500_000
    gate = wire.streams("One", *[text] * 10)
    gate.release(2)
    page = Page(client, *FORMATS["tokens"])
    whole = page.read_one_by_one(gate, 11)

    assert whole.count(text.encode()) == 10
    assert client.get(page.url).status_code == 404
