"""What the record of a call says of each of its attempts, and what they cost together."""

from __future__ import annotations

import httpx2
import pytest

from app.models.pricing.catalog import Prices
from app.models.token_counts import Usage
from tests.fakes.person import Person
from tests.fakes.upstreams.openai_answers import MODEL, USAGE, chunk, completion, embeddings, error, stream_of

FIRST, SECOND = "gpt-6.1-terra", "gpt-6-luna"
HI = {"message": "Hi"}
NO_RETRY = {"x-should-retry": "false"}


def attempts(records):
    """Of each attempt: who was asked, who served, and whether it is billed."""
    return [(attempt.model, attempt.served, attempt.billed) for attempt in records[-1].attempt_log]


def test_an_answer_is_billed_as_its_usage_says(records, client, upstream):
    upstream.answers(completion("word " * 8))

    client.post("/api/chat", json=HI)

    [attempt] = records[0].attempt_log
    assert attempts(records) == [(FIRST, MODEL, "yes")]
    assert (attempt.usage.raw, attempt.received) == (USAGE, 0)  # nothing had to be estimated


def test_a_stream_counts_what_came_even_without_a_usage(records, client, upstream):
    upstream.streams(*stream_of("a", "b", "c", usage=None))

    client.post("/api/chat/stream", json=HI).get_data()

    [attempt] = records[0].attempt_log
    assert attempts(records) == [(FIRST, MODEL, "unknown")]
    assert (attempt.usage, attempt.received) == (None, records[0].received)
    assert attempt.received >= 3


def test_vectors_are_billed_as_their_usage_says(records, client, upstream):
    upstream.answers(embeddings([[1]]))

    client.post("/api/embeddings", json={"input": "a"})

    assert [billed for _, _, billed in attempts(records)] == ["yes"]


def test_what_the_upstream_refused_is_not_billed_and_what_it_never_answered_may_be(records, client, upstream):
    upstream.answers(error(), status=500)
    upstream.raises(httpx2.ReadTimeout("too late"))
    upstream.answers(completion())

    client.post("/api/chat", json=HI)

    assert [billed for _, _, billed in attempts(records)] == ["no", "unknown", "yes"]


def test_a_fallback_is_an_attempt_of_its_own(records, client, upstream):
    upstream.answers(error(), status=500, headers=NO_RETRY)
    upstream.answers({**completion(), "model": SECOND})

    client.post("/api/chat", json=HI)

    assert attempts(records) == [(FIRST, None, "no"), (SECOND, SECOND, "yes")]


def test_a_parameter_that_is_left_out_makes_no_further_attempt(records, make_app, upstream):
    client = make_app(chat_model="owner-model").test_client()
    upstream.answers(error("no", code="unsupported_value", param="temperature"), status=400)
    upstream.answers(completion())

    client.post("/api/chat", json=HI | {"temperature": 0.5})

    assert records[0].attempts == 2
    assert [billed for _, _, billed in attempts(records)] == ["yes"]


def test_a_stream_that_breaks_may_be_billed_for_what_came(records, client, upstream):
    upstream.streams(chunk({"content": "a"}), chunk({"content": "b"}))

    client.post("/api/chat/stream", json=HI).get_data()

    [attempt] = records[0].attempt_log
    assert (attempt.served, attempt.billed, attempt.received) == (MODEL, "unknown", 2)


def test_what_the_caller_cannot_pay_for_is_refused_and_never_sent(make_app, upstream, records):
    person = Person(make_app(user_budget_usd=0.000001))

    person.ask()

    [attempt] = records[0].attempt_log
    assert (attempt.is_refused, attempt.billed, records[0].is_refused) == (True, "no", True)
    assert (records[0].outcome, upstream.sent) == ("not_admitted", [])


@pytest.mark.parametrize("route", ["/api/structured", "/api/structured/stream"])
def test_each_answer_costs_what_the_model_that_gave_it_does(make_app, upstream, records, route):
    person = Person(make_app())
    for text in ("no JSON", "{}"):
        if route == "/api/structured":
            upstream.answers({**completion(text), "model": SECOND})
        else:
            served = [
                payload if isinstance(payload, str) else {**payload, "model": SECOND}
                for payload in stream_of(text)
            ]
            upstream.streams(*served)

    person.ask(route).get_data()

    assert attempts(records) == [(FIRST, SECOND, "yes")] * 2
    assert person.row()["cost_micro_usd"] == 2 * Prices().cost_micro_usd(SECOND, Usage.parse(USAGE))
    assert Prices().cost_micro_usd(SECOND, Usage.parse(USAGE)) != Prices().cost_micro_usd(
        FIRST, Usage.parse(USAGE)
    )
