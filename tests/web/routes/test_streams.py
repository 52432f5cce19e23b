"""Resumable streams: read on where they broke, by whoever began them, and stopped by nobody else."""

from __future__ import annotations

import base64
import io
import threading
import time

import pytest

from app.openai_service.resilience.drain import DrainPool
from app.storage.shared_state.replays.answer_log import ALIVE_S
from app.web.encoders.base import BrokenStream
from tests.fakes.servers import wait_until
from tests.fakes.site import bearer
from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import chunk, sse, stream_of
from tests.media.images.pictures import png

STREAM = "/api/chat/stream"
BODY = {"message": "Hello", "resumable": True}
MESSAGES = {"messages": [{"role": "user", "content": "Hi"}]}
PNG = png(2, 2)
IMAGE = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
WORDS = ("One", " two", " three", " 👋", " five")


@pytest.fixture
def whole(client, upstream):
    upstream.streams(*stream_of(*WORDS))
    response = client.post(STREAM, json=BODY)
    assert response.data
    return response


class Gate:
    """A streamed upstream answer that waits in the middle."""

    def __init__(self, upstream, *words):
        self.opened = threading.Event()
        self._pieces = [sse(piece) for piece in stream_of(*words)]
        upstream.streams_bytes(self._run())

    def _run(self):
        yield from self._pieces[:3]
        self.opened.wait(10)
        yield from self._pieces[3:]


def events_of(data):
    return [event + b"\n\n" for event in data.split(b"\n\n") if event]


def write_on_and_on(upstream):
    """What a model writes until its client leaves."""
    yield sse(chunk({"content": "on and "}))
    while upstream.open_streams:
        time.sleep(0.01)  # the pace of the model
        yield sse(chunk({"content": "on"}))


def begin(client, **body):
    """Begin a stream, and read its first event."""
    response = client.post(STREAM, json={**BODY, **body}, buffered=False)
    rest = iter(response.response)
    return response, next(rest), rest


def test_each_event_has_a_number(whole):
    events = events_of(whole.data)

    assert len(events) == len(WORDS) + 1
    assert [event.partition(b"\n")[0] for event in events] == [b"id: %d" % n for n in range(1, len(events) + 1)]
    assert whole.headers["X-Stream-Id"]


def test_a_stream_that_may_not_be_resumed_has_no_numbers(client, upstream):
    upstream.streams(*stream_of(*WORDS))
    response = client.post(STREAM, json={"message": "Hello"})

    assert b"id:" not in response.data.replace(b'"id":', b"")
    assert "X-Stream-Id" not in response.headers


@each_row("has", range(len(WORDS) + 1))
@each_row("by", ["header", "query"])
def test_a_stream_goes_on_after_the_event_that_the_reader_has(client, upstream, whole, has, by):
    url = f"{STREAM}/{whole.headers['X-Stream-Id']}"
    asked = {"headers": {"Last-Event-ID": str(has)}} if by == "header" else {"query_string": {"after": has}}
    resumed = client.get(url, **asked)

    assert resumed.status_code == 200
    assert resumed.data == b"".join(events_of(whole.data)[has:])
    assert resumed.headers["Content-Type"] == whole.headers["Content-Type"]
    assert resumed.headers["X-Accel-Buffering"] == "no"
    assert len(upstream.sent) == 1


@pytest.mark.parametrize("has", [len(WORDS) + 1, 1000])
def test_there_is_nothing_more_after_the_last_event(client, whole, has):
    answer = client.get(f"{STREAM}/{whole.headers['X-Stream-Id']}", headers={"Last-Event-ID": str(has)})

    assert (answer.status_code, answer.data) == (204, b"")


@each_row("position", ["x", "-1", "1.5", "9" * 30, "٣"])
def test_a_position_that_is_no_number_is_refused(client, whole, position):
    answer = client.get(f"{STREAM}/{whole.headers['X-Stream-Id']}", query_string={"after": position})

    assert (answer.status_code, answer.json["code"]) == (400, "invalid_request")


FORMATS = {
    "tokens": (STREAM, BODY),
    "vision": ("/api/vision/stream", {"prompt": "What?", "imageUrl": IMAGE, "resumable": True}),
    "structured": ("/api/structured/stream", {"prompt": "Write.", "resumable": True}),
    "chunks": ("/v1/chat/completions", {**MESSAGES, "stream": True, "resumable": True}),
    "UI message": (
        "/api/chat",
        {"messages": [{"role": "user", "parts": [{"type": "text", "text": "Hi"}]}], "resumable": True},
    ),
    "AG-UI": (
        "/api/agui",
        {
            "threadId": "t",
            "runId": "r",
            "messages": [{"id": "m", "role": "user", "content": "Hi"}],
            "forwardedProps": {"resumable": True},
        },
    ),
}
each_format = each_row(("route", "body"), FORMATS.values(), ids=FORMATS)


@each_format
def test_every_format_goes_on_after_each_event(client, upstream, monkeypatch, route, body):
    monkeypatch.setattr("app.openai_service.structured.partial_json.MIN_S", 0)
    monkeypatch.setattr("app.openai_service.structured.partial_json.CHARS_PER_S", float("inf"))
    upstream.streams(*stream_of('{"a":', ' "👋"', "}"))
    whole = client.post(route, json=body)
    events = events_of(whole.data)
    url = f"{STREAM}/{whole.headers['X-Stream-Id']}"

    assert len(events) > 1
    for has in range(len(events)):
        resumed = client.get(url, headers={"Last-Event-ID": str(has)})
        assert (resumed.status_code, resumed.data) == (200, b"".join(events[has:]))
        assert resumed.headers["Content-Type"] == whole.headers["Content-Type"]
    assert client.get(url, headers={"Last-Event-ID": str(len(events))}).status_code == 204
    assert len(upstream.sent) == 1


@each_row("after", [1, 3, 99])
def test_a_stream_without_numbers_begins_at_its_beginning(client, upstream, after):
    upstream.streams(*stream_of(*WORDS))
    route, body = FORMATS["UI message"]
    body = {name: value for name, value in body.items() if name != "resumable"}
    whole = client.post(route, json={**body, "id": f"chat-{after}"})
    assert b"\nid: " not in whole.data

    again = client.get(f"{STREAM}/{whole.headers['X-Stream-Id']}?after={after}")

    assert (again.status_code, again.data) == (200, whole.data)


def test_the_stream_of_a_form_can_be_resumed(client, upstream):
    upstream.streams(*stream_of(*WORDS))
    form = {"prompt": "What?", "resumable": "true", "image": (io.BytesIO(PNG), "a.png")}
    whole = client.post("/api/vision/stream", data=form)
    assert whole.data  # nobody else would read it on
    resumed = client.get(f"{STREAM}/{whole.headers['X-Stream-Id']}?after=2")

    numbered = [event for event in events_of(whole.data) if event.startswith(b"id: ")]  # no heartbeats
    assert events_of(resumed.data)[-2:] == numbered[-2:]
    assert b"id: 3\n" in resumed.data
    assert b"id: 2\n" not in resumed.data


@each_format
def test_no_format_shows_a_stream_to_another(site, upstream, route, body):
    upstream.streams(*stream_of('{"a":', " 1", "}"))
    scopes = ["chat", "vision", "structured"]
    hers, his = (bearer(site.token(userId=user, scopes=scopes)) for user in ("anna", "bert"))
    url = f"{STREAM}/{site.client.post(route, json=body, headers=hers).headers['X-Stream-Id']}"

    assert site.client.get(url, headers=his).status_code == 404
    assert site.client.post(f"{url}/stop", headers=his).status_code == 404
    assert site.client.post(f"{url}/stop", headers=hers).status_code == 204


@each_row(
    ("route", "fields"),
    [
        ("/api/chat", {"message": "Hi"}),
        ("/api/vision", {"prompt": "What?", "imageUrl": IMAGE}),
        ("/api/structured", {"prompt": "Write."}),
        ("/api/structured/stream?format=text", {"prompt": "Write."}),
        ("/api/completion", {"prompt": "Hi"}),
        ("/api/chat/openai", {"chatSettings": {}, **MESSAGES}),
        ("/v1/chat/completions", MESSAGES),
    ],
)
def test_what_is_no_stream_of_events_cannot_be_resumed(client, upstream, route, fields):
    refused = client.post(route, json={**fields, "resumable": True})

    assert refused.status_code == 400
    assert "resumable" in refused.text
    assert not upstream.sent


def test_a_form_that_is_answered_at_once_cannot_be_resumed(client, upstream):
    form = {"prompt": "What?", "resumable": "true", "image": (io.BytesIO(PNG), "a.png")}
    refused = client.post("/api/vision", data=form)

    assert (refused.status_code, refused.json["error"]) == (
        400,
        "resumable: only a stream of events can be resumed.",
    )
    assert not upstream.sent


def test_a_reader_follows_a_stream_that_still_runs(app, client, upstream):
    gate = Gate(upstream, *WORDS)
    response, first, _ = begin(client)
    found = []
    url = f"{STREAM}/{response.headers['X-Stream-Id']}"
    reader = threading.Thread(target=lambda: found.append(app.test_client().get(url).data))
    reader.start()
    gate.opened.set()
    rest = b"".join(response.response)
    reader.join(10)

    assert found == [first + rest]
    assert len(upstream.sent) == 1


def test_the_generation_goes_on_for_a_reader_who_comes_back(make_app, upstream, records):
    client = make_app(resume_linger_s=60.0).test_client()
    gate = Gate(upstream, *WORDS)
    response, first, _ = begin(client)
    response.close()  # a lost connection
    gate.opened.set()
    wait_until(lambda: records, "the call is recorded")

    resumed = client.get(f"{STREAM}/{response.headers['X-Stream-Id']}", headers={"Last-Event-ID": "1"})

    assert b'"done":true' in resumed.data
    assert first + resumed.data == client.get(f"{STREAM}/{response.headers['X-Stream-Id']}").data
    assert [record.outcome for record in records] == ["complete"]
    assert len(upstream.sent) == 1


def test_nobody_reads_a_stream_for_longer_than_it_lingers(records, make_app, upstream):
    client = make_app(resume_linger_s=0.0).test_client()
    gate = Gate(upstream, *WORDS)
    response, _, _ = begin(client)
    gate.opened.set()
    response.close()

    assert [record.outcome for record in records] == ["client_gone"]
    assert upstream.open_streams == 0


def test_one_that_nobody_reads_is_not_drained_either(records, make_app, upstream):
    client = make_app(resume_linger_s=0.0, disconnect_policy="drain").test_client()
    upstream.streams_bytes(write_on_and_on(upstream))
    response, _, _ = begin(client)

    response.close()

    assert [record.outcome for record in records] == ["client_gone"]
    assert upstream.open_streams == 0


def test_its_owner_may_stop_it(records, app, upstream):
    upstream.streams_bytes(write_on_and_on(upstream))
    client = app.test_client()
    response, _, rest = begin(client)
    url = f"{STREAM}/{response.headers['X-Stream-Id']}"

    assert client.post(f"{url}/stop").status_code == 204
    assert b'"code":"stopped"' in b"".join(rest)  # it ends
    response.close()

    assert client.post(f"{url}/stop").status_code == 204, "it may be stopped again"
    assert [record.outcome for record in records] == ["client_gone"]
    assert upstream.open_streams == 0


def test_a_ui_message_that_was_stopped_is_no_error(client, upstream):
    def endless():
        while True:
            yield sse(chunk({"content": "on"}))
            time.sleep(0.01)  # the pace of the model

    upstream.streams_bytes(endless())
    route, body = FORMATS["UI message"]
    response = client.post(route, json=body, buffered=False)
    rest = iter(response.response)
    next(rest)
    client.post(f"{STREAM}/{response.headers['X-Stream-Id']}/stop")
    end = events_of(b"".join(rest))[-3:]
    response.close()

    assert [event.partition(b"data: ")[2].strip() for event in end] == [
        b'{"type":"text-end","id":"1"}',
        b'{"type":"abort"}',
        b"[DONE]",
    ]


def test_another_caller_finds_nothing(site, upstream):
    upstream.streams(*stream_of(*WORDS))
    hers, his = (bearer(site.token(userId=user)) for user in ("anna", "bert"))
    stream_id = site.client.post(STREAM, json=BODY, headers=hers).headers["X-Stream-Id"]

    for answer in (
        site.client.get(f"{STREAM}/{stream_id}", headers=his),
        site.client.post(f"{STREAM}/{stream_id}/stop", headers=his),
        site.client.get(f"{STREAM}/{'0' * 32}", headers=hers),
    ):
        assert (answer.status_code, answer.json["code"]) == (404, "not_found")
    assert site.client.get(f"{STREAM}/{stream_id}", headers=hers).status_code == 200
    assert site.client.get(f"{STREAM}/{stream_id}").status_code == 401


def test_an_event_source_may_send_its_token_in_the_url(site, upstream):
    upstream.streams(*stream_of(*WORDS))
    token = site.token(userId="anna")
    stream_id = site.client.post(STREAM, json=BODY, headers=bearer(token)).headers["X-Stream-Id"]

    assert site.client.get(f"{STREAM}/{stream_id}", query_string={"access_token": token}).status_code == 200
    for other in ("x", site.new_key()):
        assert site.client.get(f"{STREAM}/{stream_id}", query_string={"access_token": other}).status_code == 401
    assert site.client.post("/api/chat", json=BODY, query_string={"access_token": token}).status_code == 401


def test_too_many_running_streams_of_one_user_are_refused(client, upstream):
    gates = [Gate(upstream, *WORDS) for _ in range(20)]
    running = [begin(client) for _ in gates]
    refused = client.post(STREAM, json=BODY)

    assert (refused.status_code, refused.json["code"]) == (429, "concurrency_limit")
    for gate in gates:
        gate.opened.set()
    for response, _, _ in running:
        b"".join(response.response)
    upstream.streams(*stream_of("Hello"))
    assert client.post(STREAM, json=BODY).status_code == 200


def test_streams_that_were_refused_do_not_count_as_running(make_app, upstream):
    client = make_app(max_concurrent_streams=1).test_client()
    gate = Gate(upstream, *WORDS)
    response, _, _ = begin(client)
    refused = [client.post(STREAM, json=BODY) for _ in range(20)]
    gate.opened.set()
    b"".join(response.response)
    response.close()

    assert {answer.status_code for answer in refused} == {503}
    upstream.streams(*stream_of("Hello"))
    assert client.post(STREAM, json=BODY).status_code == 200


def test_a_repeated_request_joins_a_stream_that_still_runs(app, client, upstream):
    key = {"Idempotency-Key": "join-1"}
    gate = Gate(upstream, *WORDS)
    response = client.post(STREAM, json={"message": "Hello"}, headers=key, buffered=False)
    first = next(iter(response.response))
    joined = []
    joiner = threading.Thread(
        target=lambda: joined.append(app.test_client().post(STREAM, json={"message": "Hello"}, headers=key).data)
    )
    joiner.start()
    gate.opened.set()
    rest = b"".join(response.response)
    joiner.join(10)

    assert joined == [first + rest]
    assert len(upstream.sent) == 1


def test_a_stream_with_a_key_goes_on_without_its_client(records, client, upstream):
    key = {"Idempotency-Key": "goes-on-1"}
    gate = Gate(upstream, *WORDS)
    response = client.post(STREAM, json={"message": "Hello"}, headers=key, buffered=False)
    next(iter(response.response))
    response.close()
    gate.opened.set()
    wait_until(lambda: records, "the call is recorded")

    again = client.post(STREAM, json={"message": "Hello"}, headers=key)

    assert b'"done":true' in again.data
    assert len(upstream.sent) == 1
    assert [record.outcome for record in records] == ["complete"]


def test_a_writer_that_died_ends_the_stream_of_its_readers(app, client, upstream, clock, monkeypatch):
    gate = Gate(upstream, *WORDS)
    response, first, _ = begin(client)
    monkeypatch.setattr("app.storage.shared_state.replays.answer_log.AnswerLog.renew", lambda self: None)
    clock.move(ALIVE_S + 1)
    answer = app.test_client().get(f"{STREAM}/{response.headers['X-Stream-Id']}")
    gate.opened.set()

    assert answer.data.startswith(first)
    assert b'"code":"answer_lost"' in answer.data


def test_who_comes_back_too_late_is_told_that_the_answer_broke_off(records, make_app, upstream):
    client = make_app(resume_linger_s=0.0).test_client()
    gate = Gate(upstream, *WORDS)
    response, first, _ = begin(client)
    gate.opened.set()
    response.close()
    stream = f"{STREAM}/{response.headers['X-Stream-Id']}"

    late = client.get(stream)

    assert late.data.startswith(first)
    last = events_of(late.data)[-1]
    assert last.startswith(b"id: 2\n")
    assert b'"code":"answer_lost"' in last
    assert client.get(f"{stream}?after=1").data == last
    assert client.get(f"{stream}?after=2").status_code == 204
    assert [record.outcome for record in records] == ["client_gone"]


def test_who_joined_a_text_that_breaks_off_is_told_so(app, client, upstream):
    opened = threading.Event()

    def pieces():
        yield sse(chunk({"content": "Hal"}))
        opened.wait(10)

    upstream.streams_bytes(pieces())
    ask = {"json": {"prompt": "Hello"}, "headers": {"Idempotency-Key": "cut-1"}, "buffered": False}
    first = client.post("/api/completion", **ask)
    begun = iter(first.response)
    assert next(begun) == b"Hal"
    joined = app.test_client().post("/api/completion", **ask)
    assert joined.headers["Idempotent-Replay"] == "true"
    opened.set()

    with pytest.raises(BrokenStream):
        list(begun)
    with pytest.raises(BrokenStream):
        list(joined.response)


def test_a_pool_that_is_full_ends_the_stream(records, make_app, upstream, monkeypatch):
    monkeypatch.setattr(DrainPool, "adopt", lambda *_: False)
    client = make_app(resume_linger_s=60.0).test_client()
    gate = Gate(upstream, *WORDS)
    response, _, _ = begin(client)
    gate.opened.set()
    response.close()

    assert [record.outcome for record in records] == ["client_gone"]
