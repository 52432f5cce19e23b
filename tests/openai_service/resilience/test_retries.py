from __future__ import annotations

import time
from email.utils import formatdate

import httpx2
import pytest

from app.openai_service.errors import UpstreamFailed, UpstreamRateLimited
from app.openai_service.resilience.retry import BackoffWaits, RetryBudget
from tests.fakes.tables import crossed, further
from tests.fakes.upstreams.openai_answers import USAGE, chunk, completion, embeddings, error, sse, stream_of
from tests.fakes.wire.bodies import SMALLEST
from tests.fakes.wire.reading import events_of

CHAT = {"messages": [{"role": "user", "content": "Hi"}]}
FIRST, SECOND = "gpt-6.1-terra", "gpt-6-luna"
BOTH = ["/api/chat", "/api/chat/stream"]
BOTH_ROUTES = pytest.mark.parametrize("route", BOTH)
BROKEN = [
    httpx2.ConnectError("refused"),
    httpx2.ReadError("reset"),
    httpx2.RemoteProtocolError("no answer"),
    httpx2.ConnectTimeout(""),
]


@pytest.fixture
def ask(make_app, upstream):
    """Asks a route for an answer; what the upstream says after its queued answers fits the route."""

    def post(route="/api/chat", **settings):
        client = make_app(**settings).test_client()
        if route.endswith("/stream"):
            upstream.otherwise = lambda sent: upstream.event_stream([sse(*stream_of("Hello"))])
        return client.post(route, json=CHAT)

    return post


def models_asked(upstream):
    return [sent.body["model"] for sent in upstream.sent]


@pytest.mark.parametrize(
    ("route", "status"),
    crossed(BOTH, [408, 409, 429, 500, 502, 503, 504, 520, 529], by_default=["408", "409", "429", "500", "529"]),
)
def test_what_may_pass_is_tried_again(ask, upstream, waits, route, status):
    upstream.answers(error(), status=status)

    answer = ask(route)

    assert (answer.status_code, answer.headers["X-Attempts"]) == (200, "2")
    assert models_asked(upstream) == [FIRST, FIRST]
    assert len(waits) == 1


@pytest.mark.parametrize(("route", "failure"), crossed(BOTH, BROKEN))
def test_a_connection_that_broke_is_tried_again(ask, upstream, route, failure):
    upstream.raises(failure)

    assert ask(route).headers["X-Attempts"] == "2"


NO_ANSWERS = {
    "HTML": b"<html>busy</html>",
    "half": b'{"choices": [',
    "nothing": b" ",
    "error object": b'{"error": {"message": "overloaded", "type": "server_error"}}',
}


@pytest.mark.parametrize(("route", "body"), crossed(BOTH, NO_ANSWERS))
def test_a_200_that_holds_no_answer_is_tried_again(ask, upstream, route, body):
    upstream.answers(body)

    answer = ask(route)

    assert (answer.status_code, answer.headers["X-Attempts"]) == (200, "2")


def test_vectors_that_do_not_fit_are_asked_for_again(client, upstream):
    upstream.answers(embeddings([]) | {"usage": None})
    upstream.answers(embeddings([[0.5, None]]) | {"usage": {}})
    upstream.answers(embeddings([[0.6, 0.8]]))

    answer = client.post("/api/embeddings", json={"input": "a"})

    assert answer.json["embeddings"] == [[0.6, 0.8]]
    assert answer.headers["X-Attempts"] == "3"


# Answers in good JSON that cannot be used, though their usage says that they were paid for.
PAID_FOR_NOTHING = {
    "no choices": ("/api/chat", completion() | {"choices": []}),
    "no message": ("/api/chat", completion() | {"choices": [{"index": 0, "text": "Hi"}]}),
    "no text": ("/api/chat", completion([1])),
    "no tool calls": ("/api/chat", completion(None, tool_calls=[{"id": "a"}])),
    "no choices, structured": ("/api/structured", completion() | {"choices": None}),
    "too few vectors": ("/api/embeddings", embeddings([])),
    "no numbers": ("/api/embeddings", embeddings([[0.5, None]])),
}


@pytest.mark.chat_form
@pytest.mark.parametrize(("route", "body"), PAID_FOR_NOTHING.values(), ids=PAID_FOR_NOTHING)
def test_an_answer_that_was_paid_for_is_not_asked_for_again(make_app, upstream, records, route, body):
    client = make_app(chat_fallback_models=("gpt-6-luna",)).test_client()
    for _ in range(3):
        upstream.answers(body)

        answer = client.post(route, json=SMALLEST[route])

        assert (answer.status_code, answer.json["code"]) == (502, "upstream_failed")
    assert len(upstream.sent) == 3
    assert [record.attempt_log[0].usage.raw for record in records] == [body["usage"]] * 3
    assert {record.attempt_log[0].billed for record in records} == {"yes"}


@pytest.mark.chat_form
def test_a_stream_of_nothing_that_was_paid_for_is_not_asked_for_again(make_app, upstream, records):
    upstream.streams(*stream_of(finish_reason=None))

    answer = make_app().test_client().post("/api/chat/stream", json=SMALLEST["/api/chat/stream"])

    assert answer.status_code == 502
    assert len(upstream.sent) == 1
    assert records[0].attempt_log[0].usage.raw == USAGE


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [b": comment\n\n"],
        [sse(chunk({"role": "assistant", "content": ""}))],
        [sse(chunk(), error(code="server_error"))],
        [sse(chunk(), "[DONE]")],
        [b"data: {\n\n"],
        [sse(chunk()), httpx2.ReadError("reset")],
    ],
)
def test_a_stream_that_fails_before_its_first_token_is_tried_again(ask, upstream, records, pieces):
    upstream.streams_bytes(pieces)

    answer = ask("/api/chat/stream")

    assert [next(iter(event)) for event in events_of(answer.data)] == ["token", "done"]
    assert answer.headers["X-Attempts"] == "2"
    assert [(record.outcome, record.attempts) for record in records] == [("complete", 2)]


REFUSALS = [
    {"type": "invalid_request_error", "code": None},
    {"type": "invalid_request_error", "code": "context_length_exceeded"},
    {"type": "BadRequestError", "code": 400},
    {"type": "x", "code": 422},
]


@pytest.mark.parametrize(("route", "refusal"), crossed(BOTH, REFUSALS))
def test_a_refusal_inside_a_200_is_the_callers_fault(ask, upstream, route, refusal):
    upstream.answers(sse({"error": refusal}) if route.endswith("/stream") else {"error": refusal})

    assert ask(route).status_code == 400
    assert len(upstream.sent) == 1


@pytest.mark.parametrize(("route", "code"), crossed(BOTH, [401, 403, "invalid_api_key"]))
def test_our_own_fault_inside_a_200_is_not(ask, upstream, route, code):
    refusal = {"error": {"type": "invalid_request_error", "code": code}}
    upstream.answers(sse(refusal) if route.endswith("/stream") else refusal)

    assert ask(route, retry_max_attempts=1, chat_fallback_models=()).status_code == 502


def test_a_stream_that_fails_after_its_first_token_is_not(ask, upstream, records):
    upstream.streams_bytes([sse(*stream_of("Hel")[:2]), httpx2.ReadError("reset")])

    events = events_of(ask("/api/chat/stream").data)

    assert [event.get("code") for event in events] == [None, "upstream_failed"]
    assert len(upstream.sent) == 1
    assert [record.outcome for record in records] == ["upstream_error"]


@pytest.mark.chat_form
@pytest.mark.parametrize(
    ("route", "status"), crossed(BOTH, [400, 401, 403, 404, 413, 422], by_default=["400", "401", "404"])
)
def test_a_refusal_is_believed(ask, upstream, waits, route, status):
    upstream.answers(error(), status=status)

    assert ask(route).status_code in {400, 413, 502}
    assert (len(upstream.sent), waits) == (1, [])


@BOTH_ROUTES
def test_an_account_without_money_is_asked_once(ask, upstream, waits, route):
    upstream.answers(error(code="insufficient_quota"), status=429, headers={"Retry-After": "1"})

    assert ask(route).status_code == 502
    assert (len(upstream.sent), waits) == (1, [])


def test_each_model_is_tried_so_often_and_no_more(ask, upstream, records):
    for _ in range(9):
        upstream.answers(error(), status=500)

    answer = ask(chat_fallback_models=("b", "c"), breaker_failures=100)

    assert (answer.status_code, answer.json["code"]) == (502, "upstream_failed")
    assert models_asked(upstream) == [FIRST] * 3 + ["b"] * 3 + ["c"] * 3
    [record] = records
    assert (record.attempts, record.models, record.outcome) == (9, [FIRST, "b", "c"], "upstream_error")
    assert record.waited_ms > 0


def test_one_attempt_may_be_all(ask, upstream, waits):
    upstream.answers(error(), status=500)

    assert ask(retry_max_attempts=1, chat_fallback_models=()).status_code == 502
    assert (len(upstream.sent), waits) == (1, [])


@pytest.mark.parametrize(("word", "status", "attempts"), [("false", 500, 1), ("false", 429, 1), ("true", 400, 2)])
def test_the_upstreams_own_word_on_trying_again_is_taken(ask, upstream, word, status, attempts):
    upstream.answers(error(), status=status, headers={"x-should-retry": word})

    ask(chat_fallback_models=())

    assert len(upstream.sent) == attempts


NOW = 1_800_000_000.0


@pytest.fixture
def fixed_time(monkeypatch):
    monkeypatch.setattr(time, "time", lambda: NOW)


WORDS = [
    ({"Retry-After": "2"}, 2),
    ({"Retry-After": "0.5"}, 0.5),
    ({"Retry-After": "0"}, 0),
    ({"Retry-After": formatdate(NOW + 3, usegmt=True)}, 3),
    ({"Retry-After": formatdate(NOW - 3, usegmt=True)}, 0),
    ({"retry-after-ms": "1500"}, 1.5),
    ({"retry-after-ms": "1500", "Retry-After": "9"}, 1.5),
]


@pytest.mark.parametrize(
    ("status", "headers", "asked_s"), [*crossed([429, 503], WORDS), *crossed([500, 529], WORDS, by_default=[])]
)
@pytest.mark.usefixtures("fixed_time")
def test_the_upstream_says_how_long_to_wait(ask, upstream, waits, status, headers, asked_s):
    upstream.answers(error(), status=status, headers=headers)

    answer = ask(chat_fallback_models=())

    assert answer.status_code == 200
    # In steps of a second at most, so that who waits can be looked after.
    assert asked_s <= sum(waits) + 1e-6 <= asked_s + min(1, asked_s) + 1e-3
    assert all(wait <= 1 for wait in waits)


@BOTH_ROUTES
def test_a_wait_that_does_not_fit_is_not_begun(ask, upstream, waits, route):
    upstream.answers(error(), status=429, headers={"Retry-After": "61"})

    answer = ask(route, chat_fallback_models=())

    assert (answer.status_code, answer.json["code"]) == (503, "upstream_rate_limited")
    assert answer.headers["Retry-After"] == "61"
    assert (len(upstream.sent), waits) == (1, [])


def test_a_failure_hands_on_how_long_to_wait_as_well(ask, upstream):
    upstream.answers(error(), status=503, headers={"Retry-After": "100"})

    answer = ask(chat_fallback_models=())

    assert (answer.status_code, answer.headers["Retry-After"]) == (502, "100")
    assert answer.headers["Retry-After-Ms"] == "100000"


def test_without_a_word_of_the_upstreams_the_wait_has_full_jitter():
    for number in range(6):
        for failure, first_s in ((UpstreamFailed(), 0.5), (UpstreamRateLimited(), 1.0)):
            ceiling = min(first_s * 2**number, 20)
            drawn = sorted(_wait(failure, number) / ceiling for _ in range(2_000))
            # The largest distance from a uniform distribution; by chance above 0.05 once in 10,000 times.
            assert max(abs(value - rank / 2_000) for rank, value in enumerate(drawn)) < 0.05


def _wait(failure, number):
    waits = BackoffWaits()
    for _ in range(number):
        waits.next_s(failure)
    return waits.next_s(failure)


@pytest.mark.parametrize("calls", [100, *further(500)])
def test_an_outage_is_not_multiplied(make_app, upstream, monkeypatch, calls):
    monkeypatch.setattr("app.openai_service.resilience.retry.monotonic", lambda: 1000.0)  # all within one window
    client = make_app(breaker_failures=1_000_000, chat_fallback_models=()).test_client()
    upstream.otherwise = lambda sent: httpx2.Response(500, json=error())

    for _ in range(calls):
        assert client.post("/api/chat", json=CHAT).status_code == 502

    assert 20 <= len(upstream.sent) - calls <= 50


def test_the_retry_budget_fills_again_with_time(monkeypatch):
    now = 1000.0
    monkeypatch.setattr("app.openai_service.resilience.retry.monotonic", lambda: now)
    budget = RetryBudget()
    while budget.take():
        pass

    now += budget.WINDOW_S - 0.1
    assert not budget.take()
    now += 0.2
    assert budget.take()


class TestFallback:
    @BOTH_ROUTES
    def test_another_model_stands_in_for_one_that_fails(self, ask, upstream, records, route):
        for status in (500, 503, 529):
            upstream.answers(error(), status=status)

        answer = ask(route)

        assert answer.status_code == 200
        assert answer.data
        assert models_asked(upstream) == [FIRST] * 3 + [SECOND]
        assert [(record.models, record.outcome) for record in records] == [([FIRST, SECOND], "complete")]

    def test_x_model_says_who_served(self, ask, upstream):
        for _ in range(3):
            upstream.answers(error(), status=500)
        upstream.answers({"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]})

        assert ask().headers["X-Model"] == SECOND

    def test_a_limited_model_is_not_waited_for_long_while_there_is_another(self, ask, upstream, waits):
        upstream.answers(error(), status=429, headers={"Retry-After": "20"})

        assert ask().status_code == 200
        assert (models_asked(upstream), waits) == ([FIRST, SECOND], [])

    def test_a_model_that_callers_name_is_stood_in_for_as_well(self, make_app, upstream):
        client = make_app(allowed_models=("other",), retry_max_attempts=1).test_client()
        upstream.answers(error(), status=500)

        assert client.post("/api/chat", json=CHAT | {"model": "other"}).status_code == 200
        assert models_asked(upstream) == ["other", SECOND]

    def test_the_last_real_failure_is_told(self, ask, upstream):
        upstream.answers(error(), status=500)
        upstream.answers(error(), status=429, headers={"Retry-After": "90"})

        answer = ask(retry_max_attempts=1)

        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "90")

    @pytest.mark.parametrize(
        ("route", "body"),
        [
            ("/api/embeddings", {"input": "a"}),
            ("/api/vision", {"prompt": "?", "imageUrl": "https://a.example/b.png"}),
        ],
    )
    def test_vectors_and_images_have_no_stand_in(self, make_app, upstream, route, body):
        for _ in range(3):
            upstream.answers(error(), status=500)

        assert make_app().test_client().post(route, json=body).status_code == 502
        assert len(set(models_asked(upstream))) == 1

    def test_what_one_model_does_not_take_is_still_sent_to_the_other(self, make_app, upstream):
        models = {"chat_model": "owner-model", "chat_fallback_models": ("gpt-4o",)}
        client = make_app(retry_max_attempts=1, **models).test_client()
        upstream.answers(error(code="unsupported_value", param="temperature"), status=400)
        upstream.answers(error(), status=500)

        answer = client.post("/api/chat", json=CHAT | {"temperature": 0.5})

        assert answer.status_code == 200
        assert ["temperature" in sent.body for sent in upstream.sent] == [True, False, True]
        assert "X-Params-Adjusted" not in answer.headers
