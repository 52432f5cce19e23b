"""Whatever dies, and wherever: one batch at the upstream at most, one settled entry, and nothing held."""

from __future__ import annotations

import threading

import httpx2
import pytest

from app.storage.database.database import DatabaseUnavailable
from tests.batches.conftest import chats
from tests.fakes.tables import crossed
from tests.fakes.upstreams.fake_batches import answer

DAY_S = 86_400


class Killed(BaseException):
    """The process ends here, and nothing of it runs any more."""


def kill():
    raise Killed


def poll(app):
    ran = app.test_cli_runner().invoke(args=["batches", "poll"])
    assert ran.exit_code == 0, (ran.output, ran.exception)
    return ran.output.splitlines()[-1]


def submit_until_killed(app):
    with pytest.raises(Killed):
        app.test_client().post("/api/batches", json=chats("a", "b", maxTokens=50))


def only(rows, table):
    (row,) = rows(table)
    return row


BUDGET = {"user_budget_usd": 1}
SENT_ROUTES = ["POST /v1/files", "POST /v1/batches"]


def nothing_is_held(rows):
    return all(account["held_micro_usd"] == account["held_tokens"] == 0 for account in rows("accounts"))


@pytest.mark.parametrize(("when", "route"), crossed(["after", "before"], SENT_ROUTES))
def test_a_kill_while_it_is_sent(start, upstream, rows, time, route, when):
    getattr(upstream, when)[route] = [kill]
    submit_until_killed(start(**BUDGET))
    assert only(rows, "batches")["status"] == "submitting"
    assert only(rows, "entries")["state"] == "pending"

    app = start(**BUDGET)
    # It might still be on its way: nobody may conclude anything yet.
    poll(app)
    assert only(rows, "batches")["status"] == "submitting"
    time.move(180)
    poll(app)

    if route == "POST /v1/batches" and when == "after":
        assert only(rows, "batches")["status"] == "in_progress"
        upstream.end(answer(prompt=10, completion_tokens=2), answer(prompt=10, completion_tokens=2))
        poll(app)
        assert (only(rows, "batches")["status"], only(rows, "entries")["cost_micro_usd"]) == ("completed", 20)
    else:
        assert upstream.batches == []
        assert (only(rows, "batches")["status"], only(rows, "entries")["cost_micro_usd"]) == ("failed", 0)
        assert only(rows, "entries")["outcome"] == "upstream_error"
    assert only(rows, "entries")["state"] == "settled"
    assert nothing_is_held(rows)
    poll(app)
    assert upstream.asked.count("POST /v1/batches") <= 1


def test_a_kill_before_the_row_knows_of_the_batch(start, upstream, rows, time, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("app.batches.store.BatchStore.set_status", lambda *_: kill())
        submit_until_killed(start(**BUDGET))

    time.move(180)
    poll(start(**BUDGET))

    assert only(rows, "batches")["upstream_id"] == upstream.only["id"]


ASKED_ROUTES = ["GET /v1/batches/*", "GET /v1/files/*/content", "DELETE /v1/files/*"]


@pytest.mark.parametrize(("when", "route"), crossed(["after", "before"], ASKED_ROUTES))
def test_a_kill_while_it_is_settled(start, upstream, rows, time, route, when):
    app = start(**BUDGET)
    app.test_client().post("/api/batches", json=chats("a"))
    upstream.end(answer(prompt=10, completion_tokens=2))
    getattr(upstream, when)[route] = [kill]
    with pytest.raises(Killed):
        app.test_cli_runner().invoke(args=["batches", "poll"], catch_exceptions=False)

    time.move(180)
    poll(start(**BUDGET))
    poll(start(**BUDGET))

    assert only(rows, "batches")["status"] == "completed"
    assert only(rows, "entries")["cost_micro_usd"] == 10
    assert only(rows, "daily_totals")["requests"] == 1
    assert nothing_is_held(rows)


def test_settling_and_the_row_are_one_change(start, upstream, rows, time, monkeypatch):
    app = start(**BUDGET)
    app.test_client().post("/api/batches", json=chats("a"))
    upstream.end(answer(prompt=10, completion_tokens=2))
    with monkeypatch.context() as patched:
        patched.setattr("app.batches.store.BatchStore.end", lambda *_, **__: kill())
        with pytest.raises(Killed):
            app.test_cli_runner().invoke(args=["batches", "poll"], catch_exceptions=False)
    assert only(rows, "entries")["state"] == "pending"

    time.move(180)
    poll(start(**BUDGET))

    assert (only(rows, "batches")["status"], only(rows, "entries")["cost_micro_usd"]) == ("completed", 10)


def test_the_row_and_the_hold_are_one_change(start, upstream, rows, monkeypatch):
    monkeypatch.setattr("app.batches.store.BatchStore.add", lambda *_, **__: kill())
    submit_until_killed(start(**BUDGET))

    assert rows("entries") == rows("batches") == upstream.asked == []
    assert nothing_is_held(rows)


def timeout():
    raise httpx2.ReadTimeout("late")


def reset():
    raise httpx2.ReadError("reset")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "fault",
    [
        timeout,
        pytest.param(reset, marks=pytest.mark.thorough),
        pytest.param(lambda: httpx2.Response(502), marks=pytest.mark.thorough),
        lambda: httpx2.Response(200, text="x"),
    ],
)
def test_an_answer_that_leaves_it_open_is_never_asked_for_again(start, upstream, rows, time, fault, when):
    app = start(**BUDGET)
    getattr(upstream, when)["POST /v1/batches"] = [fault]
    client = app.test_client()

    made = client.post("/api/batches", json=chats("a"))

    assert (made.status_code, made.json["status"]) == (201, "submitting")
    # Nor does a look decide it too early.
    time.move(10)
    assert client.get(made.headers["Location"]).json["status"] == "submitting"
    time.move(180)
    shown = client.get(made.headers["Location"]).json
    assert shown["status"] == ("in_progress" if when == "after" else "failed")
    assert upstream.asked.count("POST /v1/batches") == 1
    if when == "before":
        assert nothing_is_held(rows)
        (result,) = client.get(f"{made.headers['Location']}/results").json["results"]
        assert (result["status"], result["body"]["code"]) == (502, "upstream_failed")


def test_one_that_is_open_may_be_cancelled(start, upstream, rows, time):
    app = start(**BUDGET)
    upstream.after["POST /v1/batches"] = [timeout]
    client = app.test_client()
    made = client.post("/api/batches", json=chats("a"))

    assert client.post(f"{made.headers['Location']}/cancel").json["status"] == "cancelling"
    assert upstream.only["status"] == "in_progress"
    time.move(180)
    poll(app)

    assert upstream.only["status"] == "cancelling"


@pytest.mark.parametrize(
    ("route", "faults", "told"),
    [
        ("POST /v1/files", [(500, {})] * 3, (502, "upstream_failed")),
        ("POST /v1/files", [(401, {})], (502, "upstream_failed")),
        ("POST /v1/batches", [(400, {"param": "endpoint"})], (400, "invalid_request")),
        ("POST /v1/batches", [(429, {})] * 3, (503, "upstream_rate_limited")),
        ("POST /v1/batches", [(429, {"code": "insufficient_quota"})], (502, "upstream_failed")),
    ],
)
def test_a_refusal_is_told_and_leaves_nothing(start, upstream, rows, route, faults, told):
    app = start(**BUDGET)
    for number, fields in faults:
        upstream.fail(route, number, **fields)

    refused = app.test_client().post("/api/batches", json=chats("a"))

    assert (refused.status_code, refused.json["code"]) == told
    assert upstream.asked.count(route) == len(faults)
    assert upstream.batches == []
    assert upstream.files == {}
    assert (only(rows, "entries")["state"], only(rows, "entries")["cost_micro_usd"]) == ("settled", 0)
    assert only(rows, "batches")["status"] == "failed"
    assert nothing_is_held(rows)


def test_what_was_surely_not_made_is_tried_again(start, upstream):
    def refuse():
        raise httpx2.ConnectError("refused")

    upstream.before = {"POST /v1/files": [refuse, timeout], "POST /v1/batches": [refuse]}
    upstream.fail("POST /v1/batches", 429)

    made = start(**BUDGET).test_client().post("/api/batches", json=chats("a"))

    assert made.status_code == 201
    assert len(upstream.batches) == 1


def test_an_orphan_is_found_behind_many_others(start, upstream, rows, time):
    upstream.after["POST /v1/batches"] = [kill]
    submit_until_killed(start(**BUDGET))
    ours = upstream.only
    others = [
        {**ours, "id": f"other_{number}", "metadata": metadata, "created_at": ours["created_at"] + 1}
        for number, metadata in enumerate([None, {"gatehouse_batch": "another"}, {}] * 70)
    ]
    upstream.batches = [*others, ours]

    time.move(180)
    poll(start(**BUDGET))

    assert only(rows, "batches")["upstream_id"] == ours["id"]
    assert upstream.asked.count("GET /v1/batches") == 3


def test_looking_for_an_orphan_ends_where_batches_are_older(start, upstream, rows, time):
    upstream.before["POST /v1/batches"] = [kill]
    submit_until_killed(start(**BUDGET))
    old = {"object": "batch", "status": "completed", "created_at": 1_795_000_000}
    upstream.batches = [{**old, "id": f"other_{number}"} for number in range(500)]

    time.move(180)
    poll(start(**BUDGET))

    assert only(rows, "batches")["status"] == "failed"
    assert upstream.asked.count("GET /v1/batches") == 1


def test_two_pollers_at_once_settle_once(start, upstream, rows):
    first, second = start(**BUDGET), start(**BUDGET)
    first.test_client().post("/api/batches", json=chats("a"))
    upstream.end(answer(prompt=10, completion_tokens=2))
    outputs = []

    def other_poller():
        """While the first one reads the answers, another one has its round."""
        thread = threading.Thread(target=lambda: outputs.append(poll(second)))
        thread.start()
        thread.join()

    upstream.before["GET /v1/files/*/content"] = [other_poller]
    outputs.append(poll(first))

    assert outputs == [
        "0 ended, 1 still open, 0 could not be checked.",
        "1 ended, 0 still open, 0 could not be checked.",
    ]
    assert upstream.asked.count("GET /v1/batches/*") == 1
    assert (only(rows, "entries")["cost_micro_usd"], only(rows, "daily_totals")["requests"]) == (10, 1)
    assert nothing_is_held(rows)


def test_a_poller_whose_lease_ran_out_does_no_harm(start, upstream, rows, time):
    first, second = start(**BUDGET), start(**BUDGET)
    first.test_client().post("/api/batches", json=chats("a"))
    upstream.end(answer(prompt=10, completion_tokens=2))

    def other_poller():
        time.move(180)
        assert poll(second).startswith("1 ended")

    upstream.before["GET /v1/files/*/content"] = [other_poller]
    poll(first)

    assert (only(rows, "entries")["cost_micro_usd"], only(rows, "daily_totals")["requests"]) == (10, 1)
    assert only(rows, "batches")["completed"] == 1
    assert nothing_is_held(rows)


def test_one_batch_that_cannot_be_looked_after_does_not_keep_others(start, upstream, rows, time, monkeypatch):
    from app.batches.poller import Poller

    app = start(**BUDGET)
    ids = []
    for text in ("a", "b", "c"):
        ids.append(app.test_client().post("/api/batches", json=chats(text)).json["id"])
        time.move(1)
    for batch in upstream.batches:
        upstream.end(answer(), batch=batch)
    advance = Poller.advance

    def stumble(self, batch):
        if batch.id == ids[0]:
            raise KeyError("secret words")
        if batch.id == ids[1]:
            upstream.fail("GET /v1/batches/*", 401)
        advance(self, batch)

    monkeypatch.setattr(Poller, "advance", stumble)

    assert poll(app) == "1 ended, 0 still open, 2 could not be checked."
    monkeypatch.undo()


def test_the_store_away_is_told_by_the_command(start, monkeypatch):
    def away(*_):
        raise DatabaseUnavailable("away")

    app = start(**BUDGET)
    monkeypatch.setattr("app.batches.store.BatchStore.list_open_ids", away)

    ran = app.test_cli_runner().invoke(args=["batches", "poll"])

    assert ran.exit_code == 1
    assert "DATABASE_URL" in ran.output


def test_watching_goes_on_though_the_store_was_away(start, monkeypatch):
    app = start(**BUDGET)
    monkeypatch.setattr("app.batches.store.BatchStore.list_open_ids", lambda _: next(answers)())
    naps = []
    monkeypatch.setattr("app.cli.repeating.time.sleep", naps.append)

    def away():
        raise DatabaseUnavailable("away")

    answers = iter([list, away, list, kill])
    with pytest.raises(Killed):
        app.test_cli_runner().invoke(args=["batches", "poll", "--watch", "30"], catch_exceptions=False)

    assert naps == [30, 30, 30]


def test_a_batch_that_the_upstream_does_not_know_any_more_is_given_up_after_its_hold(start, upstream, rows, time):
    app = start(**BUDGET)
    app.test_client().post("/api/batches", json=chats("a"))
    upstream.batches.clear()

    time.move(3 * DAY_S)
    assert poll(app) == "0 ended, 0 still open, 1 could not be checked."
    assert only(rows, "entries")["state"] == "pending"
    time.move(5 * DAY_S)
    app.extensions["gatehouse"].ledger.sweep()
    poll(app)

    assert only(rows, "batches")["status"] == "failed"
    entry = only(rows, "entries")
    assert (entry["state"], entry["cost_micro_usd"]) == ("settled", entry["held_micro_usd"])
    assert poll(app) == "0 ended, 0 still open, 0 could not be checked."


def test_the_list_of_the_command_has_every_batch(start, upstream, rows, time):
    app = start(**BUDGET)
    batch_id = app.test_client().post("/api/batches", json=chats("a", "b")).json["id"]
    upstream.end(answer(prompt=10, completion_tokens=2), (400, {}))
    poll(app)

    ran = app.test_cli_runner().invoke(args=["batches", "list"])

    head, line = ran.output.splitlines()
    assert line.split()[2].startswith("key:")
    assert head.split() == [
        "ID",
        "TENANT",
        "USER",
        "KIND",
        "MODEL",
        "CREATED",
        "STATUS",
        "REQUESTS",
        "ANSWERED",
        "USD",
    ]
    assert line.split() == (
        f"{batch_id} default {line.split()[2]} chat gpt-6.1-terra 2026-11-20 12:00 UTC completed 2 1 0.000010".split()
    )
