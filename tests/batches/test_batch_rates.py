"""A batch counts in the rates as all of its requests, each with the most tokens that it may use."""

from __future__ import annotations

import pytest

from tests.batches.conftest import chats

KINDS = ["", "tenant_", "address_"]


@pytest.fixture
def now(monkeypatch):
    class Clock:
        s = 6_000_000.0

    clock = Clock()
    monkeypatch.setattr("app.runtime.clock.now", lambda: clock.s)
    return clock


def submit(client, number, **fields):
    return client.post("/api/batches", json=chats(*["Hi"] * number, **fields))


@pytest.mark.parametrize("kind", KINDS)
def test_each_request_of_a_batch_counts_as_one(start, upstream, now, kind):
    client = start(**{f"{kind}rate_limit": "6/hour"}).test_client()

    taken = submit(client, 5)
    assert taken.status_code == 201, taken.text
    assert (taken.headers["RateLimit-Limit"], taken.headers["RateLimit-Remaining"]) == ("6", "1")
    refused = submit(client, 2)
    assert (refused.status_code, refused.json["code"]) == (429, "rate_limited")
    assert refused.headers["RateLimit-Remaining"] == "1"
    assert int(refused.headers["Retry-After"]) > 60
    assert len(upstream.names) == 1

    now.s += int(refused.headers["Retry-After"])
    assert submit(client, 2).status_code == 201


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_that_can_never_fit_is_told_so(start, upstream, now, kind):
    client = start(**{f"{kind}rate_limit": "6/hour"}).test_client()

    refused = submit(client, 7)

    assert (refused.status_code, refused.json["code"]) == (400, "invalid_request")
    assert refused.json["error"] == (
        "requests: this batch may use 7 requests, and at most 6 are allowed in 3,600 s: send smaller batches."
    )
    assert upstream.asked == []
    assert submit(client, 5).status_code == 201  # and has counted as the one request that it was


@pytest.mark.parametrize("kind", KINDS)
def test_the_tokens_of_a_batch_count_as_well(start, upstream, now, kind):
    settings = {f"{kind}token_rate_limit": "10000/hour", "max_tokens": 1_000}
    client = start(**settings).test_client()

    too_many = submit(client, 10, maxTokens=1_000)
    assert (too_many.status_code, "tokens" in too_many.json["error"]) == (400, True)
    assert submit(client, 6, maxTokens=1_000).status_code == 201
    refused = submit(client, 6, maxTokens=1_000)
    assert (refused.status_code, refused.json["code"]) == (429, "rate_limited")
    assert int(refused.headers["Retry-After"]) > 60
    assert submit(client, 2, maxTokens=1_000).status_code == 201
    assert len(upstream.names) == 2


@pytest.mark.parametrize("fault", ["upstream", "budget", "tokens"])
def test_what_is_not_submitted_counts_as_one_request_and_no_token(start, upstream, now, fault):
    limits = {"budget": {"user_budget_tokens": 10_000}, "tokens": {"token_rate_limit": "100000/hour"}}.get(
        fault, {}
    )
    client = start(**{"rate_limit": "20/hour", "token_rate_limit": "500000/hour", **limits}).test_client()
    begun = 0
    if fault == "upstream":
        upstream.fail("POST /v1/files", 400)
    elif fault == "tokens":
        begun = 2
        assert submit(client, begun, maxTokens=8_192).status_code == 201

    refused = submit(client, 11, maxTokens=8_192)

    assert refused.status_code == (400 if fault == "upstream" else 429), refused.text
    shown = client.get("/api/usage")
    assert int(shown.headers["RateLimit-Remaining"]) == 20 - begun - 2
    if fault == "upstream":
        assert submit(client, 9, maxTokens=8_192).status_code == 201


def test_nobody_sends_thousands_of_chats_by_six_requests(start, upstream, now):
    client = start(rate_limit="6/hour", user_budget_usd=0).test_client()

    assert {submit(client, 1_000).status_code for _ in range(2)} == {400}
    assert upstream.asked == []
