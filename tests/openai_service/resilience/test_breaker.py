"""The circuit breaker: when a model is left alone, what its callers get meanwhile, and how it comes back."""

from __future__ import annotations

import itertools
import random
import socket
import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass

import httpx2
import pytest

from app import create_app
from app.config import BreakerSettings, Config
from app.openai_service.errors import CircuitOpen
from app.openai_service.resilience.breaker import CircuitBreaker
from app.storage.shared_state import MemoryState, open_state
from app.upstream_http.call_state import Tick
from tests.fakes.servers import wait_until
from tests.fakes.tables import crossed, further, in_part
from tests.fakes.upstreams.openai_answers import chunk, completion, embeddings, error, sse, stream_of
from tests.fakes.wire.bodies import EVERY_SMALLEST, ONE_OF_EACH_KIND, OTHER_ROUTES, SMALLEST
from tests.fakes.wire.reading import without_padding

pytestmark = pytest.mark.one_attempt

CHAT = {"messages": [{"role": "user", "content": "Hi"}]}
FIRST, SECOND = "gpt-6.1-terra", "gpt-6-luna"
COOLDOWN_S = 30
BOTH = ["/api/chat", "/api/chat/stream"]
RARER_FAULTS = [503, httpx2.ReadTimeout("x"), httpx2.ReadError("x")]
OF_VECTORS = ("/api/embeddings", "/api/embeddings/similarity")


class Clock:
    """The clock that the breaker reads, moved by hand."""

    def __init__(self):
        self.now = 1_800_000_000.0

    def time(self):
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("app.runtime.clock.now", clock.time)
    return clock


class Stall:
    """What the upstream answers, but only once it is let go."""

    def __init__(self, answer=lambda: httpx2.Response(200, json=completion())):
        self.begun, self.go = threading.Event(), threading.Event()
        self._answer = answer

    def __call__(self, sent):
        self.begun.set()
        assert self.go.wait(5), "nobody let it go"
        return self._answer()


@pytest.fixture
def stall(upstream):
    """What the upstream answers to all that nothing was queued for."""
    upstream.otherwise = stall = Stall()
    yield stall
    stall.go.set()


@pytest.fixture
def together():
    """Runs calls in threads of their own."""
    with ThreadPoolExecutor(16) as threads:
        yield threads.submit


NUMBERS = itertools.count()


def chat(client, route="/api/chat", **fields):
    """A request that nobody has sent before, unless its messages are given."""
    new = {"messages": [{"role": "user", "content": f"Hi {next(NUMBERS)}"}]}
    return client.post(route, json=new | fields)


def outcome(answer):
    return answer.status_code, answer.json and answer.json.get("code")


OPEN = (503, "circuit_open")


def fail(client, upstream, times):
    for _ in range(times):
        upstream.answers(error(), status=500)
        assert outcome(chat(client)) == (502, "upstream_failed")


def is_asked(client, upstream, **fields):
    """Whether a call reaches the upstream; if not, it is told so."""
    before = len(upstream.sent)
    answer = chat(client, **fields)
    if len(upstream.sent) > before:
        return True
    assert outcome(answer) == OPEN
    return False


def models_asked(upstream):
    return [sent.body["model"] for sent in upstream.sent]


def over_a_store(upstream, state, **settings):
    own = {"openai_api_key": "sk-test", "retry_max_attempts": 1, "chat_fallback_models": ()}
    return create_app(Config(**own | settings), http_client=upstream.http_client, shared_state=state).test_client()


class TestOpening:
    @pytest.mark.parametrize(
        ("failures", "attempts"), [*crossed([5, 1], [3, 1]), *further((2, 3), (7, 3), (2, 1), (7, 1))]
    )
    def test_it_opens_with_so_many_failed_requests_and_not_before(self, make_app, upstream, failures, attempts):
        client = make_app(breaker_failures=failures, retry_max_attempts=attempts).test_client()
        upstream.otherwise = lambda sent: httpx2.Response(500, json=error())

        # The one that opened it as well tells what happened to it.
        assert [outcome(chat(client)) for _ in range(failures)] == [(502, "upstream_failed")] * failures
        assert len(upstream.sent) == (failures - 1) * attempts + 1  # the one that opens it is not tried again
        upstream.sent.clear()

        assert [outcome(chat(client)) for _ in range(5)] == [OPEN] * 5
        assert upstream.sent == []

    def test_a_call_that_waits_while_it_opens_tells_its_own_failure(self, make_app, upstream, monkeypatch):
        app = make_app(retry_max_attempts=3)
        upstream.otherwise = lambda sent: httpx2.Response(500, json=error())
        is_first_wait = iter([True])

        def meanwhile(seconds):
            if next(is_first_wait, False):
                while is_asked(app.test_client(), upstream):
                    pass

        monkeypatch.setattr("app.openai_service.streaming.ticks.sleep", meanwhile)
        upstream.answers(error(), status=503, headers={"Retry-After": "1"})

        answer = chat(app.test_client())

        assert outcome(answer) == (502, "upstream_failed")
        assert len(upstream.sent) == 1 + 3 * 3 + 1

    def test_five_failures_are_enough_by_default(self):
        assert (Config().breaker_failures, Config().breaker_cooldown_s) == (5, COOLDOWN_S)

    @pytest.mark.parametrize(
        ("after_s", "retry_after"), [(12.5, "18"), (29.999, "1"), *further((0, "30"), (29.5, "1"))]
    )
    def test_while_it_is_open_every_route_of_the_model_is_told_so_without_a_call(
        self, records, client, upstream, clock, after_s, retry_after
    ):
        fail(client, upstream, 5)
        upstream.sent.clear()
        records.clear()
        clock.now += after_s

        routes = ["/api/chat", "/api/chat/stream", "/api/chat/openai"]
        for route in routes:
            answer = client.post(route, json=SMALLEST[route])
            assert answer.status_code == 503
            assert answer.json["message"] if route == "/api/chat/openai" else outcome(answer) == OPEN
            assert answer.headers["Retry-After"] == retry_after
            assert 0 < int(answer.headers["Retry-After-Ms"]) <= (COOLDOWN_S - after_s) * 1000 + 1

        assert upstream.sent == []
        assert [(record.outcome, record.attempts, record.models) for record in records] == (
            [("circuit_open", 0, [])] * len(routes)
        )

    def test_it_holds_up_no_other_model(self, make_app, upstream):
        client = make_app(allowed_models=("other",)).test_client()
        fail(client, upstream, 5)
        upstream.sent.clear()

        assert is_asked(client, upstream, model="other")
        for route in OF_VECTORS:
            upstream.answers(embeddings([[1.0, 0.0]] * (2 if route.endswith("similarity") else 1)))
            assert client.post(route, json=SMALLEST[route]).status_code == 200
        assert models_asked(upstream) == ["other", *["text-embedding-3-small"] * 2]

    def test_vectors_have_a_circuit_of_their_own(self, client, upstream):
        for text in "abcde":
            upstream.answers(error(), status=500)
            assert client.post("/api/embeddings", json={"input": text}).status_code == 502

        assert [outcome(client.post(route, json=SMALLEST[route])) for route in OF_VECTORS] == [OPEN] * 2
        assert len(upstream.sent) == 5
        assert is_asked(client, upstream)

    def test_it_is_shared_by_all_that_share_the_store_and_the_upstream(self, upstream):
        state = MemoryState()
        one, other = over_a_store(upstream, state), over_a_store(upstream, state)
        elsewhere = over_a_store(upstream, state, openai_base_url="https://llm.example.com/v1")
        azure = over_a_store(upstream, state, azure_openai_endpoint="https://a.openai.azure.com")
        fail(one, upstream, 2)
        fail(other, upstream, 3)

        assert [is_asked(client, upstream) for client in (one, other, elsewhere, azure)] == [
            False,
            False,
            True,
            True,
        ]

    def test_a_success_starts_the_count_again(self, client, upstream):
        for _ in range(3):
            fail(client, upstream, 4)
            assert chat(client).status_code == 200
        fail(client, upstream, 4)
        fail(client, upstream, 1)
        assert not is_asked(client, upstream)


class TestFallback:
    @pytest.fixture
    def client(self, records, make_app, upstream):
        client = make_app(chat_fallback_models=(SECOND,)).test_client()
        upstream.otherwise = lambda sent: httpx2.Response(200, json=completion() | {"model": None})
        for _ in range(5):
            upstream.answers(error(), status=500)
            answer = chat(client)
            assert (answer.status_code, answer.headers["X-Attempts"]) == (200, "2")
        assert models_asked(upstream) == [FIRST, SECOND] * 5
        upstream.sent.clear()
        return client

    @pytest.mark.parametrize("route", ["/api/chat", "/api/chat/stream", "/api/chat/openai"])
    def test_an_open_circuit_goes_straight_to_the_fallback(self, client, upstream, records, route):
        records.clear()
        if route != "/api/chat":
            upstream.otherwise = lambda sent: httpx2.Response(200, json=completion("{}") | {"model": None})
        if "stream" in route or "openai" in route:
            upstream.streams(*[chunk({"content": "Hi"}, model=""), *stream_of(usage=None)])

        answer = client.post(route, json=SMALLEST[route])

        assert (answer.status_code, answer.headers["X-Model"], answer.headers["X-Attempts"]) == (200, SECOND, "1")
        assert answer.data
        assert models_asked(upstream) == [SECOND]
        assert [(record.models, record.outcome) for record in records] == [([SECOND], "complete")]

    def test_images_and_structured_answers_have_circuits_of_their_own(self, client, upstream):
        upstream.otherwise = lambda sent: httpx2.Response(200, json=completion("{}") | {"model": None})
        for route in ("/api/vision", "/api/structured"):
            assert client.post(route, json=SMALLEST[route]).status_code == 200
        assert models_asked(upstream) == [FIRST] * 2

    def test_one_that_is_open_as_well_is_left_alone_as_well(self, client, upstream, clock):
        clock.now += 10
        for _ in range(5):
            upstream.answers(error(), status=503, headers={"Retry-After": "77"})
            answer = chat(client)
            # What was asked for and failed says more than what was not asked.
            assert (*outcome(answer), answer.headers["Retry-After"]) == (502, "upstream_failed", "77")
        assert models_asked(upstream) == [SECOND] * 5

        answer = chat(client)

        assert outcome(answer) == OPEN
        assert answer.headers["Retry-After"] == "20", "when the first of them may be back"
        assert len(upstream.sent) == 5

    def test_the_first_model_is_back_after_its_probe(self, client, upstream, clock):
        clock.now += COOLDOWN_S
        assert [chat(client).status_code for _ in range(3)] == [200] * 3
        assert models_asked(upstream) == [FIRST] * 3

    def test_whoever_probes_in_vain_is_served_by_the_fallback(self, client, upstream, clock):
        clock.now += COOLDOWN_S
        upstream.answers(error(), status=500)
        assert [chat(client).status_code for _ in range(3)] == [200] * 3
        assert models_asked(upstream) == [FIRST, *[SECOND] * 3]


FAILURES = {
    "500": lambda upstream: upstream.answers(error(), status=500),
    "502": lambda upstream: upstream.answers(b"<html>", status=502),
    "503": lambda upstream: upstream.answers(error(), status=503, headers={"Retry-After": "1"}),
    "504": lambda upstream: upstream.answers(b"", status=504),
    "529": lambda upstream: upstream.answers(error(), status=529),
    "refused": lambda upstream: upstream.raises(httpx2.ConnectError("refused")),
    "reset": lambda upstream: upstream.raises(httpx2.ReadError("reset")),
    "not HTTP": lambda upstream: upstream.raises(httpx2.RemoteProtocolError("no")),
    "no connection in time": lambda upstream: upstream.raises(httpx2.ConnectTimeout("")),
    "no answer in time": lambda upstream: upstream.raises(httpx2.ReadTimeout("")),
    "HTML": lambda upstream: upstream.answers(b"<html>busy</html>", headers={"Content-Type": "text/html"}),
    "error object": lambda upstream: upstream.answers(error(kind="server_error")),
}
QUICK_FAILURES = {
    "500",
    "503",
    "refused",
    "reset",
    "no connection in time",
    "no answer in time",
    "HTML",
    "error object",
}
FAILED_STREAMS = {
    "error object": [sse(chunk(), error(code="server_error"))],
    "nothing": [],
    "no token": [sse(chunk({"role": "assistant", "content": ""}))],
    "no reason": [sse(chunk(), "[DONE]")],
    "reset": [sse(chunk()), httpx2.ReadError("reset")],
    "silence": [b": comment\n\n", httpx2.ReadTimeout("")],
    "half a chunk": [b'data: {"choices": [\n\n'],
}


# What a model that works may answer to a request.
REFUSALS = {
    **{
        str(status): lambda upstream, status=status: upstream.answers(error(), status=status)
        for status in (400, 401, 403, 404, 408, 409, 413, 422, 429)
    },
    "too long": lambda upstream: upstream.answers(error(code="context_length_exceeded"), status=400),
    "no credit": lambda upstream: upstream.answers(error(code="insufficient_quota"), status=429),
    "no credit, as a 500": lambda upstream: upstream.answers(error(code="insufficient_quota"), status=500),
}
QUICK_REFUSALS = {"400", "401", "404", "408", "429", "too long", "no credit, as a 500"}
CODES = ["insufficient_quota", "rate_limit_exceeded", "context_length_exceeded", "content_filter"]


class TestWhatCounts:
    @pytest.mark.parametrize(("route", "failure"), crossed(BOTH, FAILURES, by_default=QUICK_FAILURES))
    def test_no_answer_or_none_in_time_counts(self, client, upstream, route, failure):
        for _ in range(5):
            failure(upstream)
            assert chat(client, route).status_code in {502, 504}
        assert len(upstream.sent) == 5
        assert not is_asked(client, upstream)

    @pytest.mark.parametrize(
        "pieces", in_part(FAILED_STREAMS, by_default={"error object", "nothing", "no token", "reset"})
    )
    def test_a_stream_without_a_first_token_counts(self, client, upstream, pieces):
        for _ in range(5):
            upstream.streams_bytes(pieces)
            assert chat(client, "/api/chat/stream").status_code in {502, 504}
        assert (len(upstream.sent), upstream.open_streams) == (5, 0)
        assert not is_asked(client, upstream)

    def test_what_happens_after_the_first_token_does_not(self, client, upstream):
        for end in (httpx2.ReadError("reset"), httpx2.ReadTimeout(""), sse(error(code="server_error")), b""):
            for _ in range(3):
                upstream.streams_bytes([sse(*stream_of("Hel")[:2]), end])
                assert b'"code":"upstream_' in chat(client, "/api/chat/stream").data
        assert len(upstream.sent) == 12
        assert is_asked(client, upstream)

    @pytest.mark.parametrize(("route", "refuse"), crossed(BOTH, REFUSALS, by_default=QUICK_REFUSALS))
    @pytest.mark.chat_form
    def test_a_refusal_neither_counts_nor_starts_the_count_again(self, client, upstream, route, refuse):
        fail(client, upstream, 4)
        for _ in range(2):
            refuse(upstream)
            assert chat(client, route).status_code != 200
        assert len(upstream.sent) == 6
        fail(client, upstream, 1)
        assert not is_asked(client, upstream)

    @pytest.mark.parametrize(("route", "code"), crossed(BOTH, CODES, by_default=CODES[:2]))
    def test_a_refusal_in_a_200_does_neither(self, client, upstream, route, code):
        fail(client, upstream, 4)
        for _ in range(2):
            if route == "/api/chat":
                upstream.answers(error(code=code))
            else:
                upstream.streams(chunk(), error(code=code))
            assert chat(client, route).status_code != 200
        assert len(upstream.sent) == 6
        fail(client, upstream, 1)
        assert not is_asked(client, upstream)

    def test_a_visitor_that_leaves_before_the_answer_does_not_count(self, client, upstream):
        ours, theirs = socket.socketpair()
        theirs.close()
        for asked in range(6):
            upstream.raises(Tick())
            answer = client.post("/api/chat", json=CHAT, environ_overrides={"gunicorn.socket": ours})
            assert outcome(answer) == (499, "client_gone")
            wait_until(
                lambda n=2 * (asked + 1): len(upstream.sent) == n, "it is read on, which asks this upstream again"
            )
        ours.close()
        assert is_asked(client, upstream)

    @pytest.mark.parametrize("begin", [b"", sse(*stream_of("Hel")[:2])], ids=["before", "after"])
    def test_a_visitor_that_leaves_a_stream_before_or_after_its_first_token_does_not_count(
        self, make_app, upstream, records, begin
    ):
        client = make_app(heartbeat_s=0.001).test_client()
        for _ in range(6):
            upstream.streams_bytes(piece for pieces in ([begin], iter(lambda: b"", None)) for piece in pieces)
            with chat(client, "/api/chat/stream") as answer:
                assert without_padding(next(answer.iter_encoded())) == (
                    b'data: {"token":"Hel"}\n\n' if begin else b": heartbeat\n\n"
                )
            assert upstream.open_streams == 0
        assert [record.outcome for record in records] == ["client_gone"] * 6
        assert is_asked(client, upstream)


class TestWhoseFaultItIs:
    """One request, or one caller, moves nobody else's circuit."""

    @pytest.fixture
    def site(self, make_app, upstream):
        """Fails whatever mentions poison, and answers the rest."""

        def answer(sent):
            is_poison = "poison" in str(sent.body)
            return httpx2.Response(500 if is_poison else 200, json=error() if is_poison else completion())

        upstream.otherwise = answer
        return make_app(retry_max_attempts=3).test_client()

    def ask(self, site, text, address="127.0.0.1", route="/api/chat"):
        fields = {"messages": [{"role": "user", "content": text}]}
        return site.post(route, json=fields, environ_overrides={"REMOTE_ADDR": address}).status_code

    def test_one_request_counts_once_however_often_it_is_sent(self, site):
        assert [self.ask(site, "poison") for _ in range(12)] == [502] * 12
        assert self.ask(site, "well") == 200

    @pytest.mark.parametrize("route", ["/api/chat", "/api/chat/stream"])
    def test_the_requests_of_one_caller_close_it_to_that_caller_alone(self, site, route):
        assert [self.ask(site, f"poison {n}", route=route) for n in range(6)] == [502] * 5 + [503]
        assert self.ask(site, "well") == 503
        assert self.ask(site, "well", "10.0.0.2") == 200, "as nobody else has failed"
        assert self.ask(site, "well") == 200, "as it works for another"

    def test_one_that_fails_others_as_well_is_closed_to_all(self, site):
        assert [self.ask(site, f"poison {n}") for n in range(5)] == [502] * 5
        assert self.ask(site, "poison", "10.0.0.2") == 502
        assert [self.ask(site, "well", f"10.0.0.{n}") for n in range(1, 5)] == [503] * 4

    def test_the_same_request_of_several_callers_counts_for_each(self, site):
        assert [self.ask(site, "poison", f"10.0.0.{n}") for n in range(5)] == [502] * 5
        assert [self.ask(site, "well", f"10.0.1.{n}") for n in range(3)] == [503] * 3

    def open_to_all(self, site, clock):
        """Have five callers fail, and wait until a probe is due."""
        assert [self.ask(site, "poison", f"10.0.0.{n}") for n in range(5)] == [502] * 5
        assert self.ask(site, "well") == 503
        clock.now += COOLDOWN_S

    def test_a_probe_that_may_be_at_fault_itself_keeps_it_open_to_nobody_else(self, site, clock):
        self.open_to_all(site, clock)
        assert self.ask(site, "poison", "10.0.0.9") == 502
        assert self.ask(site, "well", "10.0.0.9") == 503, "it is the turn of others"
        assert self.ask(site, "well", "10.0.0.8") == 200
        assert self.ask(site, "well", "10.0.0.9") == 200, "as it works for another"

    def test_a_second_callers_probe_in_vain_opens_it_again(self, site, clock):
        self.open_to_all(site, clock)
        assert [self.ask(site, "poison", f"10.0.0.{n}") for n in (9, 8, 7)] == [502, 502, 503]
        clock.now += COOLDOWN_S - 0.001
        assert self.ask(site, "well", "10.0.0.6") == 503
        clock.now += 0.002
        assert self.ask(site, "well", "10.0.0.6") == 200

    def test_whoever_is_alone_probes_again_after_a_cooldown(self, site, clock):
        self.open_to_all(site, clock)
        assert self.ask(site, "poison", "10.0.0.9") == 502
        clock.now += COOLDOWN_S - 0.001
        assert self.ask(site, "well", "10.0.0.9") == 503
        clock.now += 0.002
        assert self.ask(site, "well", "10.0.0.9") == 200

    def test_images_that_a_model_cannot_take_leave_its_conversations_alone(self, site, upstream):
        good = upstream.otherwise
        upstream.otherwise = lambda sent: (
            httpx2.Response(500, json=error()) if "image_url" in str(sent.body) else good(sent)
        )
        for _ in range(6):
            assert site.post("/api/vision", json=SMALLEST["/api/vision"]).status_code == 502
        assert self.ask(site, "well") == 200

    @pytest.mark.parametrize(
        ("route", "failure"),
        [
            *crossed(ONE_OF_EACH_KIND, [500, *RARER_FAULTS], by_default=["500", "ReadTimeout('x')"]),
            *crossed(OTHER_ROUTES, [500, *RARER_FAULTS], by_default=[]),
        ],
    )
    def test_what_one_caller_sends_closes_no_operation_to_others(self, make_app, upstream, route, failure):
        site = make_app().test_client()

        def fail(_):
            if isinstance(failure, Exception):
                raise failure
            return httpx2.Response(failure, json=error())

        upstream.otherwise = fail
        for number in range(7):
            site.post(route, json=EVERY_SMALLEST[route] | {"temperature": number / 10}).get_data()
            site.post(route, json=EVERY_SMALLEST[route]).get_data()
        upstream.sent.clear()
        site.post(route, json=EVERY_SMALLEST[route], environ_overrides={"REMOTE_ADDR": "10.0.0.2"}).get_data()
        assert upstream.sent, "another is asked for"

    def test_the_retries_of_one_caller_leave_others_theirs(self, site, upstream):
        for number in range(15):
            self.ask(site, f"poison {number % 2}")
        upstream.sent.clear()
        assert self.ask(site, "poison", "10.0.0.2") == 502
        assert len(upstream.sent) == 3

    def test_a_request_that_reached_nobody_is_no_ones_fault(self, site, upstream):
        for _ in range(2):
            upstream.otherwise = lambda sent: (_ for _ in ()).throw(httpx2.ConnectError("refused"))
            self.ask(site, "well")
        assert self.ask(site, "well", "10.0.0.2") == 503

    def test_neither_callers_nor_requests_are_to_be_read_in_the_store(self, upstream):
        class Kept(MemoryState):
            seen = b""

            def update(self, key, change, *, ttl_s):
                value = super().update(key, change, ttl_s=ttl_s)
                Kept.seen += value or b""
                return value

        client = over_a_store(upstream, Kept())
        fail(client, upstream, 5)
        assert b"failures" in Kept.seen
        assert b"127.0.0.1" not in Kept.seen


class TestComingBack:
    @pytest.fixture
    def client(self, make_app, upstream, clock):
        """Its circuit is open, and the cooldown has just passed."""
        client = make_app().test_client()
        fail(client, upstream, 5)
        clock.now += COOLDOWN_S - 0.001
        assert not is_asked(client, upstream)
        clock.now += 0.001
        upstream.sent.clear()
        return client

    @pytest.mark.parametrize("fallback", [(), (SECOND,)])
    def test_of_many_calls_at_once_one_is_the_probe(self, make_app, upstream, clock, together, fallback):
        app = make_app(chat_fallback_models=fallback)
        for _ in range(5):
            upstream.answers(error(), status=500)
            chat(app.test_client())
        clock.now += COOLDOWN_S
        upstream.sent.clear()
        probes = Stall()
        upstream.otherwise = lambda sent: (
            probes(sent) if sent.body["model"] == FIRST else httpx2.Response(200, json=completion())
        )
        start = threading.Barrier(16)

        def call():
            client = app.test_client()
            start.wait(5)
            return chat(client)

        try:
            waiting = {together(call) for _ in range(16)}
            others = []
            while len(waiting) > 1:
                done, waiting = wait(waiting, timeout=5, return_when=FIRST_COMPLETED)
                assert done, f"{len(waiting)} calls are on their way"
                others += [future.result() for future in done]
            assert probes.begun.wait(5), "the probe did not arrive"
            if fallback:
                assert {answer.status_code for answer in others} == {200}
                assert sorted(models_asked(upstream)) == sorted([FIRST, *[SECOND] * 15])
            else:
                assert [(*outcome(answer), answer.headers["Retry-After"]) for answer in others] == [
                    (*OPEN, "1")
                ] * 15
                assert models_asked(upstream) == [FIRST]
        finally:
            probes.go.set()
        assert waiting.pop().result(5).status_code == 200
        upstream.sent.clear()
        assert chat(app.test_client()).status_code == 200
        assert models_asked(upstream) == [FIRST]

    def test_a_probe_that_succeeds_closes_it_with_a_count_from_zero(self, client, upstream):
        assert is_asked(client, upstream)
        fail(client, upstream, 4)
        assert is_asked(client, upstream)

    def test_a_stream_is_a_probe_as_well_and_closes_it_with_its_first_token(self, client, upstream):
        upstream.streams_bytes(iter([sse(*stream_of("Hel")[:2]), httpx2.ReadError("reset")]))
        with chat(client, "/api/chat/stream") as answer:
            assert answer.status_code == 200
            fail(client, upstream, 4)
            assert is_asked(client, upstream)

    @pytest.mark.parametrize("attempts", [3, *further(1)])
    def test_a_probe_that_fails_opens_it_again_for_a_whole_cooldown(
        self, make_app, upstream, clock, attempts, waits
    ):
        client = make_app(retry_max_attempts=attempts).test_client()
        upstream.otherwise = lambda sent: httpx2.Response(500, json=error())
        while is_asked(client, upstream):
            pass
        for _ in range(3):
            clock.now += COOLDOWN_S + 12
            upstream.sent.clear()
            waits.clear()
            assert outcome(chat(client)) == (502, "upstream_failed")
            answer = chat(client)
            assert (*outcome(answer), answer.headers["Retry-After"]) == (*OPEN, "30")
            clock.now += COOLDOWN_S - 0.001
            assert not is_asked(client, upstream)
            assert (len(upstream.sent), waits) == (1, [])

    @pytest.mark.parametrize("status", [429, *further(400, 401)])
    def test_a_probe_that_says_nothing_leaves_it_to_the_next_call(self, client, upstream, status, together, stall):
        for _ in range(3):
            upstream.answers(error(), status=status)
            assert is_asked(client, upstream)
        probe = together(chat, client.application.test_client())
        assert stall.begun.wait(5)
        assert not is_asked(client, upstream)
        stall.go.set()
        assert probe.result(5).status_code == 200
        assert is_asked(client, upstream)

    def test_a_visitor_that_leaves_takes_its_probe_along(self, make_app, upstream, clock):
        client = make_app(heartbeat_s=0.001).test_client()
        fail(client, upstream, 5)
        clock.now += COOLDOWN_S
        for _ in range(3):
            upstream.streams_bytes(iter(lambda: b"", None))
            with chat(client, "/api/chat/stream") as answer:
                assert answer.status_code == 200, "a heartbeat has begun it"
                assert not is_asked(client, upstream)
        assert is_asked(client, upstream)
        fail(client, upstream, 4)
        assert is_asked(client, upstream)

    def test_a_bug_does_not_keep_the_probe(self, client, upstream):
        upstream.raises(ZeroDivisionError("a bug"))
        assert chat(client).status_code == 500
        assert is_asked(client, upstream)

    def test_a_probe_that_never_reports_back_is_replaced_after_its_lease(
        self, client, upstream, clock, together, stall
    ):
        lost = together(chat, client.application.test_client())
        assert stall.begun.wait(5)
        clock.now += 64
        assert not is_asked(client, upstream)
        clock.now += 1.5  # REQUEST_TIMEOUT_S, and a few seconds more
        upstream.answers(error(), status=500)
        assert is_asked(client, upstream)
        assert not is_asked(client, upstream)

        stall.go.set()
        assert lost.result(5).status_code == 200
        assert not is_asked(client, upstream), "what it reports late is of no use"

    def test_calls_from_before_the_opening_change_nothing(self, make_app, upstream, clock, together, stall):
        app = make_app()
        early = together(chat, app.test_client())
        assert stall.begun.wait(5)
        fail(app.test_client(), upstream, 5)

        stall.go.set()
        assert early.result(5).status_code == 200
        assert not is_asked(app.test_client(), upstream)

    def test_failures_from_before_the_opening_do_not_count_after_it(self, make_app, upstream, clock, together):
        app = make_app()
        upstream.otherwise = late = Stall(lambda: httpx2.Response(500, json=error()))
        early = [together(chat, app.test_client()) for _ in range(5)]
        wait_until(lambda: len(upstream.sent) == 5, "all are on their way")
        client = app.test_client()
        fail(client, upstream, 5)
        clock.now += COOLDOWN_S
        upstream.answers(completion())
        assert is_asked(client, upstream)

        late.go.set()
        assert [call.result(5).status_code for call in early] == [502] * 5
        fail(client, upstream, 4)
        assert is_asked(client, upstream)

    @pytest.mark.parametrize("back_s", [5, 10 * 365 * 86_400, *further(3600)])
    def test_a_clock_that_was_set_back_does_not_keep_it_open(self, client, upstream, clock, together, back_s):
        stall = upstream.otherwise = Stall()
        lost = together(chat, client.application.test_client())  # a probe that does not come back either
        assert stall.begun.wait(5)
        clock.now -= back_s
        upstream.otherwise = lambda sent: httpx2.Response(200, json=completion())
        clock.now += COOLDOWN_S + 66
        try:
            assert is_asked(client, upstream)
        finally:
            stall.go.set()
        lost.result(5)
        assert is_asked(client, upstream)

    def test_a_clock_that_differs_a_little_neither_opens_nor_prolongs_it(self, make_app, upstream, clock):
        client = make_app().test_client()
        fail(client, upstream, 5)
        for back_s in (0.001, 0.25, 0.25):
            clock.now -= back_s
            answer = chat(client)
            assert (*outcome(answer), answer.headers["Retry-After"]) == (*OPEN, "30")
        assert len(upstream.sent) == 5


class Spoilt(MemoryState):
    """A store that holds something else wherever nothing was stored."""

    def __init__(self, value):
        super().__init__()
        self._value = value

    def read(self, key):
        return super().read(key) or self._value


class TestStore:
    @pytest.mark.parametrize("redis_url", ["", "redis://127.0.0.1:1/0"], ids=["file", "redis"])
    def test_without_its_store_it_works_within_the_process(self, upstream, clock, tmp_path, redis_url):
        (tmp_path / "state").write_text("no directory")
        client = over_a_store(upstream, open_state(directory=tmp_path / "state", redis_url=redis_url))
        fail(client, upstream, 5)
        assert not is_asked(client, upstream)
        clock.now += COOLDOWN_S
        assert is_asked(client, upstream)
        fail(client, upstream, 4)
        assert is_asked(client, upstream)

    UNREADABLE = (
        b"\xff\x00",
        b"null",
        b"{",
        b'{"failures": [1.5, 2.5]}',
        b'{"failures": null, "openings": {}}',
        b'{"failures": true, "open_until": "soon"}',
        b'{"open_until": 1, "probe": 5, "probe_until": "later", "openings": "7"}',
        b'{"open_until": 1, "probe": "a", "probe_until": null}',
        b"",
        b"7",
        b"[]",
        b'{"state": "open"}',
        b'{"failures": "4"}',
        b'{"open_until": 1800000010, "openings": null}',
    )

    @pytest.mark.parametrize("value", UNREADABLE)
    def test_what_a_breaker_cannot_read_is_as_if_nothing_were_there(self, clock, value):
        breaker = CircuitBreaker(Spoilt(value), BreakerSettings(failures=5, cooldown_s=COOLDOWN_S), upstream="u")

        breaker.admit("m", lease_s=65).succeeded()
        for _ in range(5):
            breaker.admit("m", lease_s=65).failed()
        with pytest.raises(CircuitOpen):
            breaker.admit("m", lease_s=65)
        clock.now += COOLDOWN_S
        breaker.admit("m", lease_s=65)

    @pytest.mark.parametrize("value", [UNREADABLE[0], *further(*UNREADABLE[1:])])
    def test_what_it_cannot_read_is_as_if_nothing_were_there(self, upstream, clock, value):
        client = over_a_store(upstream, Spoilt(value))
        assert chat(client).status_code == 200
        fail(client, upstream, 5)
        assert not is_asked(client, upstream)
        clock.now += COOLDOWN_S
        assert is_asked(client, upstream)

    @pytest.mark.parametrize("failures", [0, 1])
    def test_nothing_is_held_during_a_call(self, make_app, upstream, together, failures):
        app = make_app()
        fail(app.test_client(), upstream, failures)
        at_once = threading.Barrier(4)

        def answer_when_all_are_there(sent):
            at_once.wait(5)
            return httpx2.Response(200, json=completion())

        upstream.otherwise = answer_when_all_are_there
        calls = [together(chat, app.test_client()) for _ in range(4)]
        assert [call.result(10).status_code for call in calls] == [200] * 4


@dataclass(eq=False)
class Call:
    """One that the model of the breaker has let through."""

    era: int
    is_probe: bool


class Model:
    """What the breaker shall do, for one process and one call at a time."""

    def __init__(self):
        self.era = self.failures = 0
        self.open_until: float | None = None
        self.probe: Call | None = None
        self.probe_until = 0.0

    def admit(self, now, lease_s):
        if self.open_until is None:
            return Call(self.era, is_probe=False)
        if now < self.open_until or (self.probe and now < self.probe_until):
            return None
        self.probe, self.probe_until = Call(self.era, is_probe=True), now + lease_s
        return self.probe

    def report(self, call, how, now):
        if call is not self.probe if call.is_probe else (call.era != self.era or self.open_until is not None):
            return "old"
        if how == "failed":
            self.failures += 1
            if call.is_probe or self.failures == 5:
                self.era, self.failures, self.open_until, self.probe = self.era + 1, 0, now + COOLDOWN_S, None
                return "opened"
        elif how == "succeeded":
            self.failures, self.open_until, self.probe = 0, None, None
            return "closed" if call.is_probe else "counted"
        elif call.is_probe:
            self.probe = None
            return "released"
        return "counted"


@pytest.mark.parametrize("seed", [0, *further(1, 2, 3, 4, 5)])
def test_whatever_happens_in_whatever_order_it_does_what_its_model_does(clock, seed):
    draw = random.Random(seed)
    state = MemoryState()
    settings = BreakerSettings(failures=5, cooldown_s=COOLDOWN_S)
    breakers = [CircuitBreaker(state, settings, upstream="u") for _ in range(3)]
    model = Model()
    calls = []
    seen = dict.fromkeys(["probe", "replaced", "refused", "opened", "closed", "released", "old", "counted"], 0)
    success = 0.0
    for step in range(6_000):
        if step % 200 == 0:
            success = draw.choice([0.02, 0.3, 0.8])  # an outage, or better times
        kind = draw.choices(["admit", "report", "wait"], [5, 4, 1])[0]
        if kind == "wait":
            clock.now += draw.choice([0.001, 1, 9, COOLDOWN_S - 1, COOLDOWN_S, 65])
        elif kind == "admit":
            replaces = model.probe is not None
            expected = model.admit(clock.now, 65)
            try:
                permit = draw.choice(breakers).admit("m", lease_s=65)
            except CircuitOpen as refusal:
                assert expected is None, f"step {step}: refused"
                assert 0 < refusal.retry_after_s <= COOLDOWN_S
                seen["refused"] += 1
                continue
            assert expected is not None, f"step {step}: let through"
            seen["probe"] += expected.is_probe
            seen["replaced"] += expected.is_probe and replaces
            calls.append((expected, permit))
        elif calls:
            call, permit = calls.pop(draw.randrange(len(calls)))
            how = draw.choices(["succeeded", "failed", "release"], [success, 0.9 - success, 0.1])[0]
            seen[model.report(call, how, clock.now)] += 1
            getattr(permit, how)()
            permit.release()  # as the policy does; it must not take anything back
        is_open = model.open_until is not None and clock.now < model.open_until
        assert draw.choice(breakers).is_open("m") == is_open, f"step {step}: {kind}"
    assert min(seen.values()) >= 3, seen
