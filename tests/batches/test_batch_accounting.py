"""What batches hold and what they are settled with, to the micro-dollar."""

from __future__ import annotations

import json
import math
import random
from fractions import Fraction

import pytest

from tests.batches.conftest import chats
from tests.fakes.upstreams.fake_batches import answer, line_of

# Of gpt-6.1-terra in a batch, in micro-dollars a token: half of what genai-prices has for single requests.
INPUT, CACHED, OUTPUT = Fraction("0.5"), Fraction("0.025"), Fraction("2.5")


def cost_of(*usages):
    """By usages of (prompt, cached, completion), rounded up once."""
    exact = sum(
        (prompt - cached) * INPUT + cached * CACHED + written * OUTPUT for prompt, cached, written in usages
    )
    return math.ceil(exact)


def books(rows):
    """The only entry, after a look at whether the accounts and the days agree with it."""
    (entry,) = rows("entries")
    for account in rows("accounts"):
        assert account["held_micro_usd"] == (entry["held_micro_usd"] if entry["state"] == "pending" else 0)
        assert account["held_tokens"] == (entry["held_tokens"] if entry["state"] == "pending" else 0)
        assert account["spent_micro_usd"] == (entry["cost_micro_usd"] or 0)
        assert account["spent_tokens"] == (entry["tokens"] or 0)
    days = rows("daily_totals")
    if entry["state"] == "settled":
        (day,) = days
        assert (day["day"], day["requests"], day["route"]) == ("2026-11-20", 1, "/api/batches")
        assert day["cost_micro_usd"] == (entry["cost_micro_usd"] or 0)
    else:
        assert days == []
    return entry


@pytest.fixture
def client(start):
    return start(user_budget_usd=5, tenant_budget_tokens=10_000_000).test_client()


def test_odd_counts_come_to_the_micro_dollar(client, upstream, time, rows):
    numbers = random.Random(7)
    usages = []
    for _ in range(37):
        prompt = numbers.randint(1, 4_001)
        usages.append((prompt, numbers.randint(0, prompt), numbers.randint(1, 911)))
    made = client.post("/api/batches", json=chats(*["Hi"] * 37, maxTokens=1_000))
    upstream.end(*[answer(prompt=p, cached=c, completion_tokens=w, reasoning=w // 2) for p, c, w in usages])
    time.move(10)

    shown = client.get(made.headers["Location"]).json

    entry = books(rows)
    assert entry["cost_micro_usd"] == shown["costMicroUsd"] == cost_of(*usages)
    assert (entry["outcome"], entry["source"], entry["attempts"]) == ("complete", "reported", 1)
    assert (entry["operation"], entry["model"], entry["served_model"]) == (
        "chat",
        "gpt-6.1-terra",
        "gpt-6.1-terra-2026-10-01",
    )
    assert entry["prompt_tokens"] == sum(prompt for prompt, _, _ in usages)
    assert entry["cached_tokens"] == sum(cached for _, cached, _ in usages)
    assert entry["completion_tokens"] == sum(written for _, _, written in usages)
    assert entry["reasoning_tokens"] == sum(written // 2 for _, _, written in usages)
    assert entry["tokens"] == entry["prompt_tokens"] + entry["completion_tokens"]
    assert entry["total_ms"] == 10_000


def test_each_request_is_priced_by_its_own_size(client, upstream, time, rows):
    """Beyond 272,000 input tokens they cost twice as much; two requests of half that do not."""
    client.post("/api/batches", json=chats("a", "b", "c"))
    upstream.end(
        answer("", prompt=200_001, completion_tokens=0),
        answer("", prompt=200_001, completion_tokens=0),
        answer(prompt=300_001, completion_tokens=10),
    )
    time.move(10)

    client.get("/api/batches/" + rows("batches")[0]["id"])

    assert books(rows)["cost_micro_usd"] == math.ceil(400_002 * INPUT + 300_001 * 1 + 10 * Fraction("3.75"))


def test_one_request_costs_half_of_what_it_costs_at_once(client, upstream, time, rows, start):
    from app.models.pricing.catalog import Prices
    from app.models.token_counts import Usage

    client.post("/api/batches", json=chats("a"))
    upstream.end(answer(prompt=1_001, cached=300, completion_tokens=77))
    time.move(10)
    client.get("/api/batches/" + rows("batches")[0]["id"])

    usage = {"prompt_tokens": 1_001, "completion_tokens": 77, "prompt_tokens_details": {"cached_tokens": 300}}
    at_once = Prices().cost_micro_usd("gpt-6.1-terra", Usage.parse(usage))
    assert books(rows)["cost_micro_usd"] == math.ceil(at_once / 2)


def test_the_hold_is_what_it_can_cost_at_most_and_lasts_for_days(client, rows, time):
    client.post("/api/batches", json=chats("Hi", "Ho", maxTokens=100))

    entry = books(rows)
    assert entry["state"] == "pending"
    (sent, _) = json.loads(rows("batches")[0]["requests"])
    name, max_input, max_output_tokens = sent
    assert (name, max_output_tokens) == ("0", 100)
    assert entry["held_tokens"] == 2 * (max_input + max_output_tokens)
    # The dearest input tokens are those that are written into the cache.
    assert entry["held_micro_usd"] == math.ceil(2 * (max_input * Fraction("0.625") + max_output_tokens * OUTPUT))
    assert entry["lease_until"] == time.now_ms + 7 * 86_400_000


def test_a_batch_that_runs_is_not_swept(client, app, rows, time):
    client.post("/api/batches", json=chats("Hi"))
    ledger = app.extensions["gatehouse"].ledger

    time.move(2 * 86_400)
    assert ledger.sweep() == 0
    time.move(6 * 86_400)
    assert ledger.sweep() == 1

    (entry,) = rows("entries")
    assert (entry["outcome"], entry["cost_micro_usd"]) == ("expired", entry["held_micro_usd"])


@pytest.mark.parametrize(
    "limit", [{"user_budget_usd": 0.01}, {"tenant_budget_usd": 0.01}, {"user_budget_tokens": 5_000}]
)
def test_a_budget_refuses_the_whole(start, upstream, rows, limit):
    client = start(**limit).test_client()

    refused = client.post("/api/batches", json=chats(*["Hi"] * 10, maxTokens=1_000))
    taken = client.post("/api/batches", json=chats("Hi", maxTokens=1_000))

    assert (refused.status_code, refused.json["code"]) == (429, "budget_exceeded")
    assert taken.status_code == 201, taken.text
    assert len(rows("batches")) == len(rows("entries")) == 1
    assert len(upstream.batches) == 1


def test_what_has_no_price_is_refused_where_money_is_limited(start, upstream, rows):
    client = start(chat_model="own-model", user_budget_usd=1).test_client()

    refused = client.post("/api/batches", json=chats("Hi"))

    assert (refused.status_code, refused.json["code"]) == (403, "forbidden")
    assert rows("batches") == rows("entries") == upstream.asked == []


def test_what_has_no_price_is_settled_without_one(start, upstream, rows, time):
    client = start(chat_model="own-model", chat_fallback_models=()).test_client()
    made = client.post("/api/batches", json=chats("Hi"))
    upstream.end(answer(prompt=5) | {"model": "own-model"})
    time.move(10)

    assert client.get(made.headers["Location"]).json["costMicroUsd"] is None
    assert (books(rows)["cost_micro_usd"], books(rows)["tokens"]) == (None, 8)


def test_only_what_was_answered_costs(client, upstream, time, rows):
    made = client.post("/api/batches", json=chats("a", "b", "c", "d"))
    upstream.end(answer(prompt=101, completion_tokens=7), (400, {"error": {}}), None, status="cancelled")
    time.move(10)

    client.get(made.headers["Location"])

    entry = books(rows)
    assert (entry["outcome"], entry["source"]) == ("cancelled", "reported")
    assert entry["cost_micro_usd"] == cost_of((101, 0, 7))


@pytest.mark.parametrize(("status", "outcome"), [("expired", "upstream_timeout"), ("cancelled", "cancelled")])
def test_what_ends_with_nothing_done_costs_nothing(client, upstream, time, rows, status, outcome):
    made = client.post("/api/batches", json=chats("a"))
    upstream.end(None, status=status)
    time.move(10)

    assert client.get(made.headers["Location"]).json["costMicroUsd"] == 0
    entry = books(rows)
    assert (entry["outcome"], entry["source"], entry["cost_micro_usd"], entry["tokens"]) == (
        outcome,
        "reported",
        0,
        0,
    )


def test_what_the_upstream_finds_invalid_costs_nothing(client, upstream, time, rows):
    made = client.post("/api/batches", json=chats("a", "b"))
    upstream.only["status"] = "failed"
    upstream.only["errors"] = {"data": [{"code": "token_limit_exceeded", "message": "secret words"}]}
    time.move(10)

    shown = client.get(made.headers["Location"])

    assert (shown.json["status"], shown.json["costMicroUsd"]) == ("failed", 0)
    assert shown.json["counts"] == {"total": 2, "completed": 0, "failed": 2}
    assert books(rows)["outcome"] == "rejected"
    results = client.get(f"{made.headers['Location']}/results")
    assert [result["body"]["code"] for result in results.json["results"]] == ["upstream_failed"] * 2
    assert "secret" not in results.text


def held_of(rows, *places):
    """What requests can cost at most: (input, output) tokens of each."""
    sent = json.loads(rows("batches")[0]["requests"])
    return [(sent[place][1], 0, sent[place][2]) for place in places]


@pytest.mark.parametrize(
    "usage",
    [
        None,
        pytest.param({}, marks=pytest.mark.thorough),
        {"prompt_tokens": "9"},
        {"prompt_tokens": -1},
        {"prompt_tokens": True},
        "much",
    ],
)
def test_an_answer_that_does_not_say_what_it_used_costs_all_it_can(client, upstream, time, rows, usage):
    made = client.post("/api/batches", json=chats("a", "b", maxTokens=50))
    upstream.end(answer(prompt=20, completion_tokens=10), answer() | {"usage": usage})
    time.move(10)

    client.get(made.headers["Location"])

    entry = books(rows)
    assert entry["source"] == "estimated"
    assert entry["cost_micro_usd"] == cost_of((20, 0, 10), *held_of(rows, 1))
    assert entry["over_hold"] == 0


@pytest.mark.parametrize(
    "message", [{"content": "Hello"}, {"refusal": "No"}, {"tool_calls": [{"id": "a"}]}], ids=str
)
def test_no_output_beside_a_text_tells_nothing(client, upstream, time, rows, message):
    client.post("/api/batches", json=chats("a", "b", maxTokens=50))
    silent = answer("", prompt=100, completion_tokens=0)
    written = answer("", prompt=100, completion_tokens=0)
    written["choices"][0]["message"] |= message
    upstream.end(silent, written)
    time.move(10)

    client.get("/api/batches/" + rows("batches")[0]["id"])

    entry = books(rows)
    assert (entry["source"], entry["completion_tokens"]) == ("estimated", 50)


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        pytest.param(b'"x"', marks=pytest.mark.thorough),
        pytest.param(b"{}", marks=pytest.mark.thorough),
        b'{"custom_id": 7, "response": null}',
        b'{"custom_id": "request-1", "response": "x"}',
        b'{"custom_id": "request-1", "response": {"status_code": "fine", "body": {}}}',
        b'{"custom_id": "request-99", "response": {"status_code": 200, "body": {}}}',
        pytest.param(
            b'{"custom_id": "request-01", "response": {"status_code": 200, "body": {}}}',
            marks=pytest.mark.thorough,
        ),
        pytest.param(
            b'{"custom_id": "x", "response": {"status_code": 200, "body": {}}}', marks=pytest.mark.thorough
        ),
        b"\xff\xfe",
    ],
)
def test_a_line_that_cannot_be_read_costs_what_the_missing_ones_can(client, upstream, time, rows, line):
    made = client.post("/api/batches", json=chats("a", "b", "c", maxTokens=50))
    upstream.end(lines=[line_of("request-0", answer(prompt=100, completion_tokens=10)), line])
    upstream.end(
        None, None, (400, {"error": {}}), lines=upstream.files[upstream.only["output_file_id"]].splitlines()
    )
    upstream.files[upstream.only["error_file_id"]] = line_of("request-2", {"error": {}}, 400) + b"\n"
    time.move(10)

    shown = client.get(made.headers["Location"]).json
    results = client.get(f"{made.headers['Location']}/results")

    assert books(rows)["cost_micro_usd"] == cost_of((100, 0, 10), *held_of(rows, 1))
    assert books(rows)["source"] == "estimated"
    assert shown["counts"] == {"total": 3, "completed": 1, "failed": 2}
    assert [result["status"] for result in results.json["results"]] == [200, 502, 400]


def test_an_error_that_cannot_be_read_costs_nothing(client, upstream, time, rows):
    made = client.post("/api/batches", json=chats("a", "b"))
    upstream.end(answer(prompt=100, completion_tokens=10), (400, {"error": {}}))
    upstream.files[upstream.only["error_file_id"]] = b"{\n"
    time.move(10)

    client.get(made.headers["Location"])

    assert (books(rows)["source"], books(rows)["cost_micro_usd"]) == ("reported", cost_of((100, 0, 10)))


def test_answers_that_are_fewer_than_the_upstream_counts_cost_all_they_can(client, upstream, time, rows):
    made = client.post("/api/batches", json=chats("a", "b", "c", maxTokens=50))
    upstream.end(answer(prompt=100, completion_tokens=10), answer(), (400, {"error": {}}))
    first = line_of("request-0", answer(prompt=100, completion_tokens=10))
    upstream.files[upstream.only["output_file_id"]] = first + b"\n"
    time.move(10)

    client.get(made.headers["Location"])

    entry = books(rows)
    assert (entry["source"], entry["cost_micro_usd"]) == ("estimated", cost_of((100, 0, 10), *held_of(rows, 1)))


def test_a_request_that_is_answered_twice_costs_once(client, upstream, time, rows):
    made = client.post("/api/batches", json=chats("a"))
    upstream.end(
        lines=[
            line_of("request-0", answer("one", prompt=100, completion_tokens=10)),
            b"",
            line_of("request-0", answer("two", prompt=900, completion_tokens=90)),
        ]
    )
    time.move(10)

    client.get(made.headers["Location"])

    assert books(rows)["cost_micro_usd"] == cost_of((100, 0, 10))
    (result,) = client.get(f"{made.headers['Location']}/results").json["results"]
    assert result["body"]["reply"] == "one"


def test_answers_that_are_gone_before_they_were_counted_cost_all_they_can(client, upstream, time, rows):
    made = client.post("/api/batches", json=chats("a", "b", maxTokens=50))
    upstream.end(answer(), answer())
    del upstream.files[upstream.only["output_file_id"]]
    # As of a server that does not count.
    upstream.only["request_counts"] = None
    time.move(10)

    assert client.get(made.headers["Location"]).json["status"] == "completed"

    entry = books(rows)
    assert (entry["source"], entry["cost_micro_usd"]) == ("estimated", cost_of(*held_of(rows, 0, 1)))


def test_a_complete_batch_that_names_no_file_costs_all_it_can(client, upstream, time, rows):
    made = client.post("/api/batches", json=chats("a", "b", maxTokens=50))
    upstream.end(answer(), answer())
    upstream.only.update({"request_counts": None, "output_file_id": None, "status": "SUCCEEDED"})
    time.move(10)

    assert client.get(made.headers["Location"]).json["status"] == "completed"

    entry = books(rows)
    assert (entry["source"], entry["cost_micro_usd"]) == ("estimated", cost_of(*held_of(rows, 0, 1)))


def test_answers_that_cannot_be_had_now_are_counted_later(client, upstream, time, rows):
    made = client.post("/api/batches", json=chats("a"))
    upstream.end(answer(prompt=100, completion_tokens=10))
    for _ in range(3):
        upstream.fail("GET /v1/files/*/content", 500)
    time.move(10)

    assert client.get(made.headers["Location"]).json["status"] == "in_progress"
    assert books(rows)["state"] == "pending"
    time.move(10)
    assert client.get(made.headers["Location"]).json["status"] == "completed"
    assert books(rows)["cost_micro_usd"] == cost_of((100, 0, 10))


def test_what_was_asked_is_deleted_at_the_upstream_when_it_is_answered(client, upstream, time):
    made = client.post("/api/batches", json=chats("a"))
    input_file = upstream.only["input_file_id"]
    upstream.end(answer())
    time.move(10)

    client.get(made.headers["Location"])

    assert input_file not in upstream.files
    assert client.get(f"{made.headers['Location']}/results").status_code == 200


def test_usage_tells_of_batches_by_their_route(client, upstream, time, rows, monkeypatch):
    client.post("/api/batches", json=chats("a"))
    upstream.end(answer(prompt=100, completion_tokens=10))
    time.move(10)
    client.get("/api/batches/" + rows("batches")[0]["id"])

    usage = client.get("/api/usage?by=route&from=2026-11-20&to=2026-11-20").json

    (row,) = usage["rows"]
    assert (row["route"], row["costMicroUsd"]) == ("/api/batches", cost_of((100, 0, 10)))
