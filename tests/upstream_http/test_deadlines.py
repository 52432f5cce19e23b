"""The four limits in time of a call: connecting, the first token, between two chunks, and the whole request."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace

import pytest

from app.config import BreakerSettings, Config
from app.openai_service import ChatCall, Done, Failed, OpenAIService, Token, build_client
from app.openai_service.errors import UpstreamFailed, UpstreamRateLimited, UpstreamTimeout, UpstreamUnavailable
from app.openai_service.resilience.breaker import CircuitBreaker
from app.openai_service.resilience.policy import Policy
from app.openai_service.results import CallRecord
from app.openai_service.transport.request import PendingRequest
from app.storage.shared_state import MemoryState
from app.upstream_http.call_state import CallState
from tests.fakes.servers import wait_until
from tests.fakes.stopwatch import Stopwatch
from tests.fakes.tables import further, in_part
from tests.fakes.upstreams.openai_answers import chunk, completion, embeddings, error, sse, stream_of
from tests.fakes.upstreams.raw_server import READ, RawServer, answer, chunked

CALL = ChatCall("chat", [{"role": "user", "content": "Hi"}], "r1")
HELLO = answer(completion("Hello"))
STREAM = chunked(sse(*stream_of("Hello")))
HEAD = chunked()[0]
# What every limit below is short of, and no call that keeps to it comes near.
SOON_S = 1.5


def in_chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


COMMENT = in_chunk(b": OPENROUTER PROCESSING\n\n")
ROLE = in_chunk(sse(chunk({"role": "assistant", "content": ""})))
EMPTY = in_chunk(sse({**chunk(), "choices": []}))
TOKEN = in_chunk(sse(chunk({"content": "x"})))
TOKEN_AS_OPENAI_WRITES = in_chunk(
    b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}\n\n'
)
REASONING = in_chunk(sse(chunk({"reasoning_content": "hm"})))
TOOL = in_chunk(sse(chunk({"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "f", "arguments": ""}}]})))
REST = chunked(sse(*stream_of()[1:]))[1:]


def slowly(piece, *, times=200, pause_s=0.02):
    return [step for _ in range(times) for step in (pause_s, piece)]


@pytest.fixture
def records():
    return []


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """Here the waits between attempts take their time, which by default is short."""
    monkeypatch.setattr("app.openai_service.streaming.ticks.sleep", time.sleep)
    monkeypatch.setattr("app.openai_service.resilience.retry._FIRST_WAIT_S", 0.01)


@pytest.fixture
def service_for(monkeypatch, records):
    """Builds the service over real sockets to a URL."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    with ExitStack() as stack:

        def make(url, **settings):
            own = {"retry_max_attempts": 1, "chat_fallback_models": (), "heartbeat_s": 0.02}
            config = Config(**{"openai_api_key": "sk-test", "openai_base_url": url, **own, **settings})
            client = stack.enter_context(build_client(config.connection))
            return OpenAIService(config.service, client, MemoryState(), [records.append])

        yield make


def chat(service):
    return service.chat(CALL).text


def events(service):
    """What a stream held; a failure before anything else is raised, as it becomes a status."""
    answering = service.stream_chat(CALL)
    try:
        found = [event for batch in answering for event in batch]
    finally:
        answering.close()
    if isinstance(found[0], Failed):
        raise found[0].error
    return found


def text_of(service):
    return "".join(event.text for event in events(service) if isinstance(event, Token))


BOTH_WAYS = pytest.mark.parametrize("ask", [chat, text_of])


@contextmanager
def taking(least_s, most_s=SOON_S):
    """What is done in here takes so long."""
    watch = Stopwatch()
    yield
    assert watch.wall_s() >= least_s
    assert watch.elapsed_s() < most_s


@contextmanager
def full_listener():
    """A port where the handshake is never finished, since as many wait there as may."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            knocking = stack.enter_context(socket.socket())
            knocking.setblocking(False)
            knocking.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"


class TestConnecting:
    @BOTH_WAYS
    def test_a_connection_that_is_not_made_in_time_is_a_timeout(self, service_for, records, ask):
        with full_listener() as url:
            service = service_for(url, connect_timeout_s=0.1)

            with taking(0.09), pytest.raises(UpstreamTimeout):
                ask(service)

        assert [(record.outcome, record.attempts) for record in records] == [("upstream_timeout", 1)]

    @BOTH_WAYS
    def test_each_attempt_and_each_model_has_its_own_time_to_connect(self, service_for, records, ask):
        with full_listener() as url:
            service = service_for(
                url, connect_timeout_s=0.05, retry_max_attempts=2, chat_fallback_models=("b",), request_timeout_s=9
            )

            with taking(0.19, 4), pytest.raises(UpstreamTimeout):
                ask(service)

        [record] = records
        assert (record.attempts, record.models) == (4, ["gpt-6.1-terra", "b"])

    @pytest.mark.parametrize(
        ("ask", "limit"),
        [(chat, "request_timeout_s"), (text_of, "request_timeout_s"), (text_of, "first_token_timeout_s")],
    )
    def test_connecting_is_part_of_what_limits_it(self, service_for, ask, limit):
        with full_listener() as url:
            service = service_for(url, connect_timeout_s=9, **{limit: 0.1})

            with taking(0.09), pytest.raises(UpstreamTimeout):
                ask(service)


# What an upstream may send without any part of an answer in it.
NO_TOKENS = {
    "nothing": [],
    "the head only": [HEAD],
    "the head byte by byte": [b"HTTP/1.1 200 OK\r\nX-A: ", *slowly(b"a")],
    "comments": [HEAD, *slowly(COMMENT)],
    "role chunks": [HEAD, *slowly(ROLE)],
    "chunks without a choice": [HEAD, *slowly(EMPTY)],
    "an event byte by byte": [HEAD, in_chunk(b"data: "), *slowly(in_chunk(b" "))],
    "a refusal byte by byte": [b"HTTP/1.1 500 Oops\r\nContent-Length: 999\r\n\r\n", *slowly(b" ")],
}


class TestFirstToken:
    @pytest.mark.parametrize(
        "steps", in_part(NO_TOKENS, by_default=["nothing", "comments", "role chunks", "an event byte by byte"])
    )
    def test_a_stream_without_a_token_in_time_is_a_timeout_and_closed(self, service_for, records, steps):
        with RawServer([READ, *steps]) as server:
            service = service_for(server.url, first_token_timeout_s=0.12, idle_timeout_s=0.05)

            with taking(0.11), pytest.raises(UpstreamTimeout):
                events(service)

            wait_until(lambda: server.left == 1, "the connection is closed", SOON_S)
        assert [record.outcome for record in records] == ["upstream_timeout"]

    @pytest.mark.parametrize(
        "steps",
        [
            NO_TOKENS["nothing"],
            NO_TOKENS["comments"],
            *(
                pytest.param(steps, marks=pytest.mark.thorough)
                for name, steps in NO_TOKENS.items()
                if name not in {"nothing", "comments"}
            ),
        ],
        ids=["nothing", "comments", *(name for name in NO_TOKENS if name not in {"nothing", "comments"})],
    )
    def test_after_it_the_same_model_is_asked_again(self, service_for, records, steps):
        with RawServer([READ, *steps], [READ, *STREAM]) as server:
            service = service_for(server.url, first_token_timeout_s=0.5, retry_max_attempts=2)

            assert text_of(service) == "Hello"
            wait_until(lambda: server.left >= 1, "the first connection is closed", SOON_S)

        [record] = records
        assert (record.outcome, record.attempts, record.models) == ("complete", 2, ["gpt-6.1-terra"])

    def test_after_it_the_next_model_is_asked(self, service_for, records):
        with RawServer([READ, HEAD], [READ, *STREAM]) as server:
            service = service_for(server.url, first_token_timeout_s=0.2, chat_fallback_models=("b",))

            with taking(0.19):
                assert text_of(service) == "Hello"

            assert b'{"model":"b"' in server.requests[1]
        assert [(record.outcome, record.models) for record in records] == [("complete", ["gpt-6.1-terra", "b"])]

    @pytest.mark.parametrize("first", [REASONING, *further(TOKEN, TOKEN_AS_OPENAI_WRITES, TOOL)])
    def test_once_anything_of_the_answer_has_come_it_holds_no_more(self, service_for, first):
        with RawServer([READ, HEAD, 0.05, first, 0.7, *REST]) as server:
            service = service_for(server.url, first_token_timeout_s=0.6)

            assert isinstance(events(service)[-1], Done)

    def test_being_sent_again_for_a_parameter_does_not_begin_it_anew(self, service_for):
        refused = answer(error(code="unsupported_value", param="temperature"), status="400 Bad Request")
        call = ChatCall("chat", CALL.messages, "r1", model="owner-model", model_is_pinned=True, temperature=0.5)
        with RawServer([READ, 0.4, refused, READ, 0.4, *STREAM]) as server:
            answering = service_for(server.url, first_token_timeout_s=0.7).stream_chat(call)

            with taking(0.69):
                *_, [failed] = answering

            answering.close()
            assert type(failed.error) is UpstreamTimeout
            assert len(server.requests) == 2

    def test_an_answer_in_one_piece_has_none(self, service_for):
        with RawServer([READ, 0.1, HELLO[:-9], 0.1, HELLO[-9:]]) as server:
            service = service_for(server.url, first_token_timeout_s=0.05, idle_timeout_s=0.05)

            assert chat(service) == "Hello"


# What may come between two chunks without being one.
NO_CHUNKS = {
    "nothing": [],
    "comments": slowly(COMMENT),
    "half an event": [in_chunk(b'data: {"id": "'), *slowly(in_chunk(b"x"))],
    "half of HTTP's own chunk": [b"ff\r\n", *slowly(b"x")],
    "empty lines": slowly(in_chunk(b"\n\n")),
}
# Each of these says that the model is at work, with or without a word for the visitor.
CHUNKS = {
    "text": TOKEN,
    "text as OpenAI writes it": TOKEN_AS_OPENAI_WRITES,
    "reasoning": REASONING,
    "a tool call": TOOL,
    "an empty delta": ROLE,
    "no choice": EMPTY,
}


class TestIdle:
    @pytest.mark.parametrize("steps", in_part(NO_CHUNKS, by_default=["nothing", "comments", "half an event"]))
    def test_a_stream_that_falls_silent_ends_with_what_came_and_is_closed(self, service_for, records, steps):
        with RawServer([READ, HEAD, TOKEN, *steps]) as server:
            service = service_for(
                server.url, idle_timeout_s=0.12, retry_max_attempts=3, chat_fallback_models=("b",)
            )

            with taking(0.11):
                token, failed = events(service)

            assert (token, type(failed.error)) == (Token("x"), UpstreamTimeout)
            wait_until(lambda: server.left == 1, "the connection is closed", SOON_S)
            assert server.connections == 1
        assert [record.outcome for record in records] == ["upstream_timeout"]

    @pytest.mark.parametrize("piece", in_part(CHUNKS, by_default=["no choice"]))
    def test_every_chunk_gives_it_anew(self, service_for, piece):
        with RawServer([READ, HEAD, TOKEN, *slowly(piece, times=12, pause_s=0.04), *REST]) as server:
            service = service_for(server.url, idle_timeout_s=0.3)

            with taking(0.45):
                assert isinstance(events(service)[-1], Done)

    def test_an_end_that_never_comes_is_not_waited_for_longer(self, service_for):
        finish = in_chunk(sse(chunk(finish_reason="stop")))
        with RawServer([READ, HEAD, TOKEN, finish]) as server, taking(0.09):
            assert events(service_for(server.url, idle_timeout_s=0.1))[0] == Token("x")

    def test_the_time_that_a_visitor_takes_to_read_is_not_the_upstreams(self, service_for):
        with RawServer([READ, HEAD, TOKEN, 0.05, TOKEN, *REST]) as server:
            answering = service_for(server.url, idle_timeout_s=0.1).stream_chat(CALL)
            found = []
            for batch in answering:
                found += batch
                if batch:
                    time.sleep(0.15)
            answering.close()

        assert [type(event) for event in found] == [Token, Token, Done]


def failing(status="500 Oops", after_s=0.0, *headers):
    return [READ, after_s, answer(error(), *headers, status=status)]


class TestTheWholeRequest:
    @pytest.mark.parametrize("ask", [chat, pytest.param(text_of, marks=pytest.mark.thorough)])
    def test_it_covers_all_attempts_at_all_models(self, service_for, records, ask):
        busy = failing("503 Busy", 0.03, "retry-after-ms: 20")
        with RawServer(busy * 90) as server:
            service = service_for(
                server.url,
                request_timeout_s=0.9,
                retry_max_attempts=20,
                chat_fallback_models=("b", "c"),
                breaker_failures=99,
            )

            with taking(0.1), pytest.raises(UpstreamUnavailable):
                ask(service)

            begun = len(server.requests)
            assert begun > 2
            assert records[0].attempts - begun in (0, 1)  # the last may have ended before it was read
        assert records[0].waited_ms < 900

    @BOTH_WAYS
    def test_what_is_left_of_it_is_all_that_a_further_attempt_has(self, service_for, records, ask):
        with RawServer([*failing(after_s=0.1), READ]) as server:
            service = service_for(server.url, request_timeout_s=0.4, chat_fallback_models=("b",))

            with taking(0.39), pytest.raises(UpstreamTimeout):
                ask(service)

            wait_until(lambda: server.left == 1, "the connection is closed", SOON_S)
        assert [(record.attempts, record.outcome) for record in records] == [(2, "upstream_timeout")]

    @BOTH_WAYS
    def test_a_model_that_hangs_leaves_nothing_for_others(self, service_for, ask):
        with RawServer([READ], [READ, *STREAM]) as server:
            service = service_for(server.url, request_timeout_s=0.12, chat_fallback_models=("b",))

            with taking(0.11), pytest.raises(UpstreamTimeout):
                ask(service)

            assert server.connections == 1

    @BOTH_WAYS
    def test_a_model_that_was_not_asked_any_more_is_not_named(self, service_for, records, ask):
        with RawServer([READ]) as server, pytest.raises(UpstreamTimeout):
            ask(service_for(server.url, request_timeout_s=0.1, chat_fallback_models=("b",)))

        assert [(record.model, record.models) for record in records] == [("gpt-6.1-terra", ["gpt-6.1-terra"])]

    @BOTH_WAYS
    def test_a_wait_that_would_outlast_it_is_not_begun(self, service_for, ask):
        with RawServer(failing("429 Slow down", 0, "retry-after-ms: 400")) as server:
            service = service_for(server.url, request_timeout_s=0.35, retry_max_attempts=3)

            with taking(0, 0.25), pytest.raises(UpstreamRateLimited):
                ask(service)

            assert server.connections == 1

    @pytest.mark.parametrize("piece", in_part(CHUNKS, by_default=["text", "no choice"]))
    def test_a_stream_that_goes_on_and_on_ends_with_it(self, service_for, records, piece):
        with RawServer([READ, HEAD, TOKEN, *slowly(piece)]) as server:
            service = service_for(server.url, request_timeout_s=0.4)

            with taking(0.39):
                first, *_, failed = events(service)

            assert (first, type(failed.error)) == (Token("x"), UpstreamTimeout)
            wait_until(lambda: server.left == 1, "the connection is closed", SOON_S)
        assert [record.outcome for record in records] == ["upstream_timeout"]

    def test_it_ends_a_stream_of_which_there_is_always_more_to_read(self, service_for):
        with RawServer([READ, HEAD, *[TOKEN * 1_000] * 2_000]) as server:
            service = service_for(server.url, request_timeout_s=0.4)

            with taking(0.39):
                assert type(events(service)[-1].error) is UpstreamTimeout

    def test_the_shortest_limit_counts(self, service_for):
        with RawServer([READ, HEAD, TOKEN]) as server:
            service = service_for(server.url, request_timeout_s=0.5, idle_timeout_s=9, first_token_timeout_s=9)

            with taking(0.49):
                assert type(events(service)[-1].error) is UpstreamTimeout

    def test_vectors_have_it_as_well(self, service_for):
        body = answer(embeddings([[1]]))
        with RawServer(
            [READ, body[:-30], *[step for at in range(30) for step in (0.02, body[-30:][at : at + 1])]]
        ) as server:
            service = service_for(server.url, request_timeout_s=0.12)

            with taking(0.11), pytest.raises(UpstreamTimeout):
                service.embed(["a"], request_id="r1")
            wait_until(lambda: server.left == 1, "the connection is closed", SOON_S)

    def test_an_answer_that_has_to_be_mended_gets_no_more(self, service_for):
        schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
        call = ChatCall("structured", CALL.messages, "r1", response_format=schema)
        with RawServer([READ, 0.1, answer(completion("no JSON")), READ]) as server:
            service = service_for(server.url, request_timeout_s=0.4)

            with taking(0.39), pytest.raises(UpstreamTimeout):
                service.structured(call)
            assert len(server.requests) == 2

    def test_calls_in_parallel_have_one_each(self, service_for):
        with RawServer([READ], [READ], [READ, 0.6, HELLO]) as server:
            service, patient = (service_for(server.url, request_timeout_s=limit_s) for limit_s in (0.1, 2))
            seen = []

            def ask():
                with pytest.raises(UpstreamTimeout):
                    chat(service)
                seen.append(time.monotonic())

            hasty = [threading.Thread(target=ask) for _ in range(2)]
            begun = time.monotonic()
            for thread in hasty:
                thread.start()
            wait_until(lambda: server.connections == 2, "both have connected", SOON_S)
            assert chat(patient) == "Hello"
            for thread in hasty:
                thread.join()

        assert [0.09 <= at - begun < 0.6 for at in seen] == [True, True]


class TestNothingIsBegunAfterIt:
    """By a clock that only attempts and waits move."""

    @pytest.fixture
    def clock(self, monkeypatch):
        clock = SimpleNamespace(now=1_000.0)
        monkeypatch.setattr("app.upstream_http.call_state.time", SimpleNamespace(monotonic=lambda: clock.now))

        def sleep(seconds):
            clock.now += seconds

        monkeypatch.setattr("app.openai_service.streaming.ticks.sleep", sleep)
        return clock

    def begun(self, clock, failure, *, takes_s):
        """When attempts were begun, in seconds from the start, until the call was given up."""
        began = clock.now
        breaker = CircuitBreaker(MemoryState(), BreakerSettings(failures=99, cooldown_s=1), upstream="x")
        begun = []

        def attempt(model):
            begun.append(clock.now - began)
            for _ in range(takes_s):
                clock.now += 1
                yield
            raise failure

        record, state = CallRecord("r1", "chat", "a"), CallState(began + 60, tick_s=1.0)
        request = PendingRequest("/chat/completions", {"messages": []}, ("a", "b", "c"), state, record)
        ticks = Policy(breaker, max_attempts=20).run(attempt, request)
        with pytest.raises(UpstreamUnavailable):
            for _ in ticks:
                pass
        return begun

    @pytest.mark.parametrize("takes_s", [1, 7, 20, 59, 60, 61, 200])
    @pytest.mark.parametrize(
        "failure",
        [UpstreamTimeout(), UpstreamFailed(status=500), UpstreamFailed(status=503, retry_after_s=4.0)],
        ids=["timeout", "500", "Retry-After"],
    )
    def test_not_however_long_each_attempt_takes(self, clock, failure, takes_s):
        begun = self.begun(clock, failure, takes_s=takes_s)

        assert begun[0] == 0
        assert all(at < 60 for at in begun)
        assert len(begun) > 1 or takes_s >= 59
