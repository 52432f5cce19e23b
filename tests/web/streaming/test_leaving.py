"""A visitor who leaves: what is still asked for on its behalf, and the one record that is left of it."""

from __future__ import annotations

import os
import socket
import ssl
import struct
import threading
import time
from contextlib import ExitStack, closing, suppress

import pytest

from app import create_app
from app.config import Config
from app.openai_service.errors import CallerGone
from app.openai_service.resilience.drain import DrainPool
from app.runtime.lifecycle import Lifecycle
from app.storage.shared_state import MemoryState
from app.upstream_http.client import UpstreamClient
from app.web.client_connection import ClientConnection
from tests.fakes.servers import wait_until
from tests.fakes.stopwatch import Stopwatch
from tests.fakes.tables import crossed, in_part
from tests.fakes.upstreams.openai_answers import USAGE, chunk, completion, error, sse, stream_of
from tests.fakes.upstreams.raw_server import READ, RawServer, answer, chunked
from tests.fakes.wire.bodies import ROUTES, SMALLEST

STREAM, TEXT, CHAT = "/api/chat/stream", "/api/chat/openai", "/api/chat"
VISION, STRUCTURED = "/api/vision/stream", "/api/structured/stream"
STREAMED = [STREAM, TEXT, VISION]
# Where a first token begins the answer, and where it takes the beginning of a value.
ALL_STREAMED = [*STREAMED, STRUCTURED]
PLAIN = [route for route in ROUTES if route not in ALL_STREAMED]
AT_ONCE_S = 1.5

HEAD = chunked()[0]
HELLO = answer(completion("Hello"))
WHOLE = chunked(sse(*stream_of("Hello")))


def in_chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


TOKEN = in_chunk(sse(chunk({"content": "x"})))
REASONING = in_chunk(sse(chunk({"reasoning_content": "hm"})))
REST = in_chunk(sse(*stream_of()[1:])) + b"0\r\n\r\n"


def slowly(piece, *, times=250, pause_s=0.02):
    return [step for _ in range(times) for step in (pause_s, piece)]


# What an upstream may be at while nothing of an answer has come, and what after that.
BEFORE_A_TOKEN = {
    "silence": [],
    "the head only": [HEAD],
    "comments": [HEAD, *slowly(in_chunk(b": PROCESSING\n\n"))],
    "role chunks": [HEAD, *slowly(in_chunk(sse(chunk({"role": "assistant", "content": ""}))))],
    "reasoning": [HEAD, *slowly(REASONING)],
    "a tool call": [HEAD, *slowly(in_chunk(sse(chunk({"tool_calls": [{"index": 0, "id": "c"}]}))))],
}
AFTER_A_TOKEN = {
    "silence": [HEAD, TOKEN],
    "half an event": [HEAD, TOKEN, in_chunk(b"data: {")],
    "comments": [HEAD, TOKEN, *slowly(in_chunk(b": PROCESSING\n\n"))],
    "reasoning": [HEAD, TOKEN, *slowly(REASONING)],
    "tokens": [HEAD, TOKEN, *slowly(TOKEN)],
    "many tokens": [HEAD, TOKEN, *slowly(TOKEN * 50, pause_s=0.005)],
}


def part_of(routes, *by_default):
    """Return the routes as parameters, of which the others are left to `make thorough`."""
    return in_part({route: route for route in routes}, by_default=by_default)


class Person:
    """Someone at the far end of a request's connection."""

    def __init__(self):
        self.far, self.near = socket.socketpair()

    def leaves(self):
        self.far.close()

    def close(self):
        self.far.close()
        self.near.close()


class Site:
    """The application before an upstream, as one visitor after the other sees it."""

    def __init__(self, app, server):
        self.app = app
        self.server = server

    def ask(self, route, person, **fields):
        return self.app.test_client().post(
            route,
            json={**SMALLEST[route], **fields},
            environ_overrides={"gunicorn.socket": person.near},
            buffered=False,
        )

    def status_of(self, route, person, **fields):
        """Ask, and read all that comes."""
        with self.ask(route, person, **fields) as answered:
            with suppress(ConnectionError):
                answered.get_data()
            return answered.status_code

    def begin(self, person, route=STREAM):
        """A stream of which the first piece of an answer has come."""
        answered = self.ask(route, person)
        while b"x" not in next(answered.response):
            pass
        return answered

    def left_while(self, person, condition, route, **fields):
        """Ask, and have the visitor leave when something is so; the answer's status."""
        statuses = []
        asking = threading.Thread(target=lambda: statuses.append(self.status_of(route, person, **fields)))
        asking.start()
        wait_until(condition, "the moment to leave", AT_ONCE_S)
        person.leaves()
        asking.join(5)
        return statuses.pop()

    def stop(self):
        self.app.extensions["gatehouse"].close()


def leave(answered, person):
    """What the server does once the visitor has left: go on until it is noticed, then close."""
    person.leaves()
    watch = Stopwatch()
    with suppress(ConnectionResetError):  # either end will do, as nobody hears of it
        list(answered.response)
    answered.close()
    assert watch.elapsed_s() < AT_ONCE_S


@pytest.fixture
def person():
    with closing(Person()) as person:
        yield person


@pytest.fixture
def left():
    """What an upstream waits for in a script: that the test says that the visitor has left."""
    return threading.Event()


@pytest.fixture
def people():
    with ExitStack() as stack:
        yield [stack.enter_context(closing(Person())) for _ in range(12)]


@pytest.fixture
def site(monkeypatch, records):
    """Starts an upstream that plays these scripts, and the application before it."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    with ExitStack() as stack:

        def make(*scripts, **settings):
            server = stack.enter_context(RawServer(*scripts))
            config = Config(
                **{
                    "openai_api_key": "sk-test",
                    "openai_base_url": server.url,
                    "chat_fallback_models": ("b",),
                    "request_timeout_s": 5,
                    "heartbeat_s": 0.02,
                    **settings,
                }
            )
            http_client = stack.enter_context(closing(UpstreamClient(server.url, connect_timeout_s=1)))
            site = Site(create_app(config, http_client=http_client, shared_state=MemoryState()), server)
            stack.callback(site.stop)
            return site

        yield make


def outcomes(records):
    return [record.outcome for record in records]


def assert_closed(site, count=1):
    wait_until(lambda: site.server.left == count, "the upstream's connection is closed", AT_ONCE_S)


class TestLeavingAnAnswerInOnePiece:
    """The upstream bills it all the same: it is read to its end, to learn what it costs."""

    @pytest.mark.parametrize("policy", ["cancel", "drain"])
    @pytest.mark.parametrize("route", part_of([CHAT, "/api/vision"], CHAT))
    def test_learns_its_usage_and_leaves_one_record(self, site, person, left, records, policy, route):
        site = site([READ, left, HELLO], disconnect_policy=policy)

        status = site.left_while(person, lambda: site.server.requests, route)

        assert status == 499
        assert records == []
        left.set()
        wait_until(lambda: records, "the record", AT_ONCE_S)
        assert [(record.outcome, record.usage.raw) for record in records] == [("client_gone", USAGE)]
        assert site.server.connections == 1

    @pytest.mark.parametrize("route", part_of(PLAIN, CHAT, "/api/embeddings"))
    def test_ends_at_the_deadline_of_its_call_with_one_record(self, site, person, records, route):
        site = site([READ], request_timeout_s=0.5)

        status = site.left_while(person, lambda: site.server.requests, route)

        assert status == 499
        assert_closed(site)
        wait_until(lambda: records, "the record", AT_ONCE_S)
        assert [(record.outcome, record.attempts) for record in records] == [("client_gone", 1)]
        assert site.server.connections == 1

    @pytest.mark.parametrize("body", [[HELLO[:-9]], [HELLO[:-200], *slowly(b" ")]], ids=["silent", "dripping"])
    def test_once_it_has_begun_to_come_is_noticed_as_well(self, site, person, records, body):
        site = site([READ, *body], request_timeout_s=1)
        watch = Stopwatch()

        site.left_while(person, lambda: watch.wall_s() > 0.2, CHAT)

        wait_until(lambda: records, "the record", AT_ONCE_S)
        assert outcomes(records) == ["client_gone"]

    def test_has_a_bound_beyond_which_it_closes_the_upstream(self, site, people, records, monkeypatch):
        monkeypatch.setattr(DrainPool, "MAX_CONCURRENT", 2)
        site = site(*[[READ]] * 3)
        for number, person in enumerate(people[:3]):
            site.left_while(person, lambda number=number: len(site.server.requests) > number, CHAT)

        assert_closed(site)
        assert [(record.outcome, record.attempt_log[0].billed) for record in records] == [
            ("client_gone", "unknown")
        ]

    def test_ends_with_the_process(self, site, people, records):
        site = site(*[[READ]] * 3)
        for number, person in enumerate(people[:3]):
            site.left_while(person, lambda number=number: len(site.server.requests) > number, CHAT)
        assert records == []

        watch = Stopwatch()
        site.stop()

        assert watch.elapsed_s() < AT_ONCE_S
        assert outcomes(records) == ["client_gone"] * 3


class TestLeavingDuringAWait:
    """Between two attempts."""

    @pytest.fixture
    def waits(self, monkeypatch, person):
        """The waits, at the first of which the visitor leaves."""
        slept = []

        def sleep(seconds):
            person.leaves()
            slept.append(seconds)
            time.sleep(seconds)

        monkeypatch.setattr("app.openai_service.streaming.ticks.sleep", sleep)
        return slept

    @pytest.mark.parametrize("route", part_of([CHAT, *ALL_STREAMED], CHAT, STREAM, TEXT))
    def test_ends_it(self, site, person, records, waits, route):
        site = site([READ, answer(error(), "Retry-After: 3", status="503 Busy"), READ, HELLO])

        with_heartbeat = route not in (CHAT, TEXT)
        assert site.status_of(route, person) in ((200, 499) if with_heartbeat else (499,))

        assert 0 < sum(waits) < 1
        assert len(site.server.requests) == 1
        assert [(record.outcome, record.attempts) for record in records] == [("client_gone", 1)]

    @pytest.mark.parametrize("route", part_of([CHAT, *ALL_STREAMED], CHAT, STREAM, TEXT))
    def test_is_followed_by_no_attempt_even_to_learn_the_usage(self, site, person, records, waits, route):
        refusal = answer(error(), "retry-after-ms: 100", status="503 Busy")
        site = site([READ, refusal, READ, HELLO], disconnect_policy="drain")

        site.status_of(route, person)

        wait_until(lambda: records, "the record", AT_ONCE_S)
        assert [(record.outcome, record.attempts) for record in records] == [("client_gone", 1)]
        assert len(site.server.requests) == 1


class TestLeavingAStream:
    @pytest.mark.parametrize(("route", "steps"), crossed(ALL_STREAMED, BEFORE_A_TOKEN))
    def test_before_its_first_token_closes_the_upstream(self, site, person, records, route, steps):
        site = site([READ, *steps])

        watch = Stopwatch()
        status = site.left_while(person, lambda: site.server.requests, route)

        assert watch.elapsed_s() < AT_ONCE_S
        assert status in (200, 499)  # 200 where a heartbeat had gone out
        assert_closed(site)
        assert outcomes(records) == ["client_gone"]
        assert site.server.connections == 1

    @pytest.mark.parametrize("route", part_of(ALL_STREAMED, STREAM, TEXT, STRUCTURED))
    def test_before_anything_was_told_is_499_and_no_heartbeat_is_waited_for(
        self, site, person, records, monkeypatch, route
    ):
        monkeypatch.setattr("app.web.streaming._CHECK_S", 0.02)
        monkeypatch.setattr("app.openai_service.service._TICK_S", 0.02)
        site = site([READ], heartbeat_s=15)

        assert site.left_while(person, lambda: site.server.requests, route) == 499
        assert outcomes(records) == ["client_gone"]

    @pytest.mark.parametrize("route", part_of([STREAM, VISION, STRUCTURED], STREAM))
    def test_a_resumable_one_does_not_wait_for_who_was_never_told_its_id(
        self, site, person, records, monkeypatch, route
    ):
        monkeypatch.setattr("app.web.streaming._CHECK_S", 0.02)
        monkeypatch.setattr("app.openai_service.service._TICK_S", 0.02)
        site = site([READ], heartbeat_s=15, resume_linger_s=60.0)

        assert site.left_while(person, lambda: site.server.requests, route, resumable=True) == 499
        assert outcomes(records) == ["client_gone"]

    @pytest.mark.parametrize(("route", "steps"), crossed(STREAMED, AFTER_A_TOKEN))
    def test_amid_it_closes_the_upstream(self, site, person, records, route, steps):
        site = site([READ, *steps])
        answered = site.begin(person, route)

        leave(answered, person)

        assert_closed(site)
        assert [(record.outcome, record.attempts) for record in records] == [("client_gone", 1)]
        assert records[0].first_token_ms is not None

    def test_after_its_end_changes_nothing(self, site, person, records):
        site = site([READ, *WHOLE])
        with site.ask(STREAM, person) as answered:
            while b'"done"' not in next(answered.response):
                pass
            person.leaves()

        assert [(record.outcome, record.usage.raw) for record in records] == [("complete", USAGE)]

    def test_gives_back_its_slot(self, site, people, records):
        site = site(*[[READ, HEAD, TOKEN]] * 3, max_concurrent_streams=1)

        for person in people[:3]:
            leave(site.begin(person), person)

        assert outcomes(records) == ["client_gone"] * 3

    def test_is_no_failure_of_the_model(self, site, people, records):
        site = site(*[[READ]] * 3, [READ, HELLO], breaker_failures=2)

        for number, person in enumerate(people[:3]):
            site.left_while(person, lambda number=number: len(site.server.requests) > number, STREAM)
        assert site.status_of(CHAT, people[3]) == 200

        assert outcomes(records) == ["client_gone"] * 3 + ["complete"]

    def test_is_not_seen_without_a_look_at_the_connection(self, site, person, records):
        site = site([READ, HEAD, TOKEN, 0.1, REST])
        person.leaves()

        answered = site.app.test_client().post(STREAM, json=SMALLEST[STREAM])

        assert b'"done":true' in answered.data
        assert outcomes(records) == ["complete"]


class TestTheLook:
    @pytest.fixture
    def look(self, person):
        return ClientConnection(person.near, Lifecycle()).check

    def test_sees_who_is_there(self, look):
        look()

    def test_sees_who_has_closed(self, look, person):
        person.leaves()

        for _ in range(2):
            with pytest.raises(CallerGone):
                look()

    def test_takes_nothing_of_what_a_visitor_sends(self, look, person):
        person.far.sendall(b"GET ")
        look()

        assert person.near.recv(9) == b"GET "

    @pytest.mark.parametrize("timeout_s", [None, 0.0, 30.0])
    def test_leaves_the_connection_as_it_was(self, look, person, timeout_s):
        person.near.settimeout(timeout_s)

        look()

        assert person.near.gettimeout() == timeout_s

    def test_sees_who_has_broken_off(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            far = socket.create_connection(listener.getsockname())
            near, _ = listener.accept()
        with near:
            far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            far.close()

            with pytest.raises(CallerGone):
                ClientConnection(near, Lifecycle()).check()

    def test_takes_a_half_that_the_server_closed_for_no_sign(self, person):
        class Connection(socket.socket):
            is_read_closed = True

        with Connection(fileno=person.near.detach()) as near:
            near.shutdown(socket.SHUT_RD)

            ClientConnection(near, Lifecycle()).check()

    def test_does_not_disturb_tls(self):
        with ssl.create_default_context().wrap_socket(socket.socket(), server_hostname="x") as connection:
            ClientConnection(connection, Lifecycle()).check()


class TestDraining:
    """DISCONNECT_POLICY=drain."""

    @pytest.fixture
    def site(self, site):
        return lambda *scripts, **settings: site(*scripts, **{"disconnect_policy": "drain", **settings})

    @pytest.mark.parametrize("route", part_of(STREAMED, STREAM, TEXT))
    def test_a_stream_that_was_left_is_read_to_its_end_for_its_usage(self, site, person, left, records, route):
        site = site([READ, HEAD, TOKEN, left, *slowly(TOKEN, times=3), REST, READ])

        leave(site.begin(person, route), person)

        assert records == []
        left.set()
        wait_until(lambda: records, "the record", AT_ONCE_S)
        [record] = records
        assert (record.outcome, record.usage.raw, record.finish_reason) == ("client_gone", USAGE, "stop")
        assert site.server.left == 0, "the connection is kept for the next call"

    @pytest.mark.parametrize("route", part_of(ALL_STREAMED, STREAM, STRUCTURED))
    def test_so_is_one_that_was_left_before_its_first_token(self, site, person, left, records, route):
        site = site([READ, left, *WHOLE])

        site.left_while(person, lambda: site.server.requests, route)

        assert records == []
        left.set()
        wait_until(lambda: records, "the record", AT_ONCE_S)
        assert [(record.outcome, record.usage.raw) for record in records] == [("client_gone", USAGE)]

    @pytest.mark.parametrize(
        "fault",
        [
            [in_chunk(sse(error())), b"0\r\n\r\n"],
            [b"0\r\n\r\n"],
            [b"no chunk"],
        ],
        ids=["error", "truncated", "broken"],
    )
    def test_what_fails_after_that_does_not_change_the_outcome(self, site, person, left, records, fault):
        site = site([READ, HEAD, TOKEN, left, *fault])

        leave(site.begin(person), person)
        left.set()

        wait_until(lambda: records, "the record", AT_ONCE_S)
        assert [(record.outcome, record.usage) for record in records] == [("client_gone", None)]
        assert site.server.connections == 1

    @pytest.mark.parametrize("route", part_of([CHAT, *STREAMED], CHAT, STREAM))
    def test_a_failure_is_not_tried_again_for_nobody(self, site, person, left, records, route):
        site = site([READ, left, answer(error(), status="500 Oops"), READ, HELLO], [READ, HELLO])

        site.left_while(person, lambda: site.server.requests, route)
        left.set()

        wait_until(lambda: records, "the record", AT_ONCE_S)
        assert [(record.outcome, record.attempts, record.waited_ms) for record in records] == [
            ("client_gone", 1, 0)
        ]
        assert len(site.server.requests) == 1

    def test_an_answer_is_not_mended_for_nobody(self, site, person, left, records):
        site = site([READ, left, answer(completion("no JSON")), READ, answer(completion("{}"))])

        site.left_while(person, lambda: site.server.requests, "/api/structured")
        left.set()

        wait_until(lambda: records, "the record", AT_ONCE_S)
        assert outcomes(records) == ["client_gone"]
        assert len(site.server.requests) == 1

    @pytest.mark.parametrize("route", [CHAT, STREAM])
    def test_a_parameter_that_is_refused_is_not_left_out_for_nobody(self, site, person, left, records, route):
        refused = answer(
            error(code="unsupported_parameter", param="max_completion_tokens"), status="400 Bad Request"
        )
        site = site([READ, left, refused, READ, HELLO])

        site.left_while(person, lambda: site.server.requests, route)
        left.set()

        wait_until(lambda: records, "the record", AT_ONCE_S)
        assert len(site.server.requests) == 1

    @pytest.mark.parametrize("steps", in_part(AFTER_A_TOKEN, by_default={"silence", "comments", "tokens"}))
    def test_it_takes_only_so_long(self, site, person, records, monkeypatch, steps):
        monkeypatch.setattr(DrainPool, "MAX_DURATION_S", 0.1)
        site = site([READ, *steps])

        leave(site.begin(person), person)

        watch = Stopwatch()
        assert_closed(site)
        assert watch.wall_s() > 0.05
        wait_until(lambda: records, "the record", AT_ONCE_S)
        assert [(record.outcome, record.usage) for record in records] == [("client_gone", None)]

    @pytest.mark.parametrize("route", part_of(STREAMED, STREAM))
    def test_nor_does_waiting_for_an_answer_take_longer(self, site, person, records, monkeypatch, route):
        monkeypatch.setattr(DrainPool, "MAX_DURATION_S", 0.1)
        site = site([READ])

        site.left_while(person, lambda: site.server.requests, route)

        assert_closed(site)
        wait_until(lambda: records, "the record", AT_ONCE_S)
        assert [(record.outcome, record.attempts) for record in records] == [("client_gone", 1)]
        assert site.server.connections == 1

    @pytest.mark.parametrize("route", [CHAT, STREAM])
    def test_giving_up_what_was_left_is_no_failure_of_the_model(self, site, people, records, monkeypatch, route):
        monkeypatch.setattr(DrainPool, "MAX_DURATION_S", 0.05)
        site = site(
            *[[READ]] * 2, [READ, HELLO], breaker_failures=2, chat_fallback_models=(), request_timeout_s=0.5
        )
        for number, person in enumerate(people[:2]):
            site.left_while(person, lambda number=number: len(site.server.requests) > number, route)
            wait_until(lambda number=number: len(records) > number, "the record", AT_ONCE_S)

        assert site.status_of(CHAT, people[2]) == 200

    def test_only_so_many_are_read_at_once_and_one_more_is_cancelled(self, site, people, records, monkeypatch):
        monkeypatch.setattr(DrainPool, "MAX_CONCURRENT", most := 3)
        site = site(*[[READ, HEAD, TOKEN]] * (most + 1))
        streams = [site.begin(person) for person in people[: most + 1]]

        for stream, person in zip(streams, people, strict=False):
            leave(stream, person)

        assert_closed(site)
        assert outcomes(records) == ["client_gone"]

    def test_where_one_has_ended_there_is_room_again(self, site, people, records, monkeypatch):
        monkeypatch.setattr(DrainPool, "MAX_CONCURRENT", 1)
        gates = [threading.Event(), threading.Event()]
        site = site([step for gate in gates for step in (READ, HEAD, TOKEN, gate, REST)])
        # With what other tests of this process have left, and the upstream's thread for the connection, which is kept.
        at_rest = threading.active_count() + 1

        for number, (person, gate) in enumerate(zip(people, gates, strict=False)):
            leave(site.begin(person), person)
            gate.set()
            wait_until(lambda number=number: len(records) > number, "the record", AT_ONCE_S)
            wait_until(lambda: threading.active_count() <= at_rest, "the background is at rest", AT_ONCE_S)

        assert [(record.outcome, record.usage.raw) for record in records] == [("client_gone", USAGE)] * 2

    def test_the_end_of_the_process_ends_them_and_they_leave_their_records(self, site, people, records):
        site = site(*[[READ, HEAD, TOKEN]] * 3, [READ, HEAD, *slowly(TOKEN)])
        for person in people[:4]:
            leave(site.begin(person), person)
        assert records == []

        watch = Stopwatch()
        site.stop()

        assert watch.elapsed_s() < AT_ONCE_S
        assert outcomes(records) == ["client_gone"] * 4
        assert_closed(site, 4)

    def test_after_the_end_of_the_process_nothing_is_taken_over(self, site, person, records):
        site = site([READ, HEAD, TOKEN])
        answered = site.begin(person)
        site.stop()

        leave(answered, person)

        assert outcomes(records) == ["client_gone"]
        assert_closed(site)

    def test_whoever_left_gives_back_the_slot_at_once(self, site, people):
        site = site([READ, HEAD, TOKEN], [READ, HEAD, TOKEN], max_concurrent_streams=1)
        leave(site.begin(people[0]), people[0])

        leave(site.begin(people[1]), people[1])

    def test_a_thread_that_cannot_be_had_is_no_room(self, site, person, records, monkeypatch):
        def start(_):
            raise RuntimeError("can't start new thread")

        site = site([READ, HEAD, TOKEN])
        answered = site.begin(person)
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", start)
            leave(answered, person)

        assert outcomes(records) == ["client_gone"]
        assert_closed(site)

    def test_an_answer_that_is_whole_is_not_read_on(self, site, person, records):
        site = site([READ, *WHOLE])
        with site.ask(STREAM, person) as answered:
            while b'"done"' not in next(answered.response):
                pass
            person.leaves()

        assert [(record.outcome, record.usage.raw) for record in records] == [("complete", USAGE)]
