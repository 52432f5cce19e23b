"""All requests to the Batch API share a circuit, which the server moves and no caller."""

from __future__ import annotations

from types import SimpleNamespace

import httpx2
import pytest

from app.auth.principal import VISITOR_SCOPES
from tests.batches.conftest import chats
from tests.fakes.upstreams.fake_batches import answer

FAILURES = 3
UPLOAD, CREATE, RETRIEVE = "POST /v1/files", "POST /v1/batches", "GET /v1/batches/*"


@pytest.fixture
def app(start):
    return start(breaker_failures=FAILURES, retry_max_attempts=1)


@pytest.fixture
def cooldown(monkeypatch):
    """Moves the breaker's time to the end of a cooldown."""
    clock = SimpleNamespace(now=1_000.0)
    monkeypatch.setattr("app.runtime.clock.now", lambda: clock.now)

    def move():
        clock.now += 31.0

    return move


@pytest.fixture
def keys(app):
    """The keys of four callers."""
    made = app.extensions["gatehouse"].authenticator.keys
    return [made.create(tenant=f"t{each}", name="server", scopes=VISITOR_SCOPES).text for each in range(4)]


def submit(app, key=None, text="a"):
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return app.test_client().post("/api/batches", json=chats(text), headers=headers)


def poll(app):
    return app.test_cli_runner().invoke(args=["batches", "poll"]).output


def state_of(app):
    return app.extensions["gatehouse"].openai_service.read_circuits()["batches", ""]


def break_off(upstream, *routes):
    """Let nobody connect to these routes."""

    def refuse():
        raise httpx2.ConnectError("x") from ConnectionRefusedError()

    for route in routes:
        upstream.before[route] = [refuse] * 1_000


def fail(upstream, route, status=500):
    for _ in range(100):
        upstream.fail(route, status)


def test_a_server_that_is_gone_is_not_asked_for_each_request(app, upstream, rows, cooldown):
    break_off(upstream, UPLOAD)
    answered = [submit(app) for _ in range(FAILURES + 3)]

    assert [each.json.get("code") for each in answered[FAILURES:]] == ["circuit_open"] * 3
    assert [each.status_code for each in answered] == [502] * FAILURES + [503] * 3
    assert all(int(each.headers["Retry-After"]) >= 1 for each in answered[FAILURES:])
    assert upstream.asked.count(UPLOAD) == FAILURES
    assert {(row["outcome"], row["cost_micro_usd"]) for row in rows("entries")} == {("upstream_error", 0)}
    circuits = app.extensions["gatehouse"].openai_service.read_circuits()
    assert {name for name, state in circuits.items() if state != "closed"} == {("batches", "")}

    cooldown()
    upstream.before.clear()
    assert submit(app).status_code == 201
    assert state_of(app) == "closed"


def test_nor_is_it_by_the_poll(app, upstream, cooldown):
    for number in range(8):
        assert submit(app, text=str(number)).status_code == 201
    break_off(upstream, RETRIEVE)

    assert poll(app).startswith("0 ended, 0 still open, 8 could not")
    assert upstream.asked.count(RETRIEVE) == FAILURES

    upstream.before.clear()
    for batch in upstream.batches:
        upstream.end(answer("b"), batch=batch)
    assert poll(app).startswith("0 ended, 0 still open, 8 could not")
    cooldown()
    assert poll(app).startswith("8 ended")


def test_every_request_obeys_it(app, upstream):
    batch = submit(app).json["id"]
    upstream.end(answer("b"))
    poll(app)
    other = submit(app).json["id"]
    break_off(upstream, UPLOAD)
    for _ in range(FAILURES):
        submit(app)
    upstream.asked.clear()
    client = app.test_client()

    assert client.get(f"/api/batches/{batch}/results").status_code == 503
    assert client.post(f"/api/batches/{other}/cancel").status_code == 200
    assert upstream.asked == []


@pytest.mark.parametrize("route", [UPLOAD, RETRIEVE])
def test_one_callers_failures_close_nobody_else_out(app, upstream, keys, route):
    for number in range(FAILURES):
        if route == RETRIEVE:
            submit(app, keys[0], str(number))
    fail(upstream, route)
    for number in range(FAILURES):
        if route == UPLOAD:
            submit(app, keys[0], str(number))
    poll(app)

    assert state_of(app) == "open_for_one_caller"
    upstream.before.clear()
    assert submit(app, keys[0]).json["code"] == "circuit_open"
    assert submit(app, keys[1]).status_code == 201


@pytest.mark.parametrize("route", [UPLOAD, RETRIEVE])
def test_failures_of_several_callers_close_all_out(app, upstream, keys, route):
    for key in keys[:FAILURES]:
        if route == RETRIEVE:
            submit(app, key)
    fail(upstream, route)
    for key in keys[:FAILURES]:
        if route == UPLOAD:
            submit(app, key)
    poll(app)

    upstream.before.clear()
    assert state_of(app) == "open"
    assert submit(app, keys[3]).json["code"] == "circuit_open"


@pytest.mark.parametrize("route", [UPLOAD, RETRIEVE])
def test_the_same_request_that_fails_the_same_way_counts_once(app, upstream, route):
    if route == RETRIEVE:
        submit(app)
    fail(upstream, route)
    for _ in range(3 * FAILURES):
        poll(app) if route == RETRIEVE else submit(app)

    assert state_of(app) == "closed"
    assert upstream.asked.count(route) == 3 * FAILURES


@pytest.mark.parametrize(
    "status",
    [400, 401, pytest.param(404, marks=pytest.mark.thorough), pytest.param(413, marks=pytest.mark.thorough), 429],
)
def test_what_is_not_the_servers_failure_does_not_move_it(app, upstream, status):
    fail(upstream, UPLOAD, status)
    for number in range(2 * FAILURES):
        submit(app, text=str(number))

    assert state_of(app) == "closed"


def test_a_batch_that_may_exist_is_not_voided_by_an_open_circuit(app, upstream, keys, time):
    fail(upstream, CREATE)
    for number, key in enumerate(keys[:FAILURES]):
        assert submit(app, key, str(number)).json["status"] == "submitting"
    break_off(upstream, UPLOAD)
    for _ in range(FAILURES):
        submit(app, keys[3])
    time.move(3_600)

    assert poll(app).startswith(f"0 ended, 0 still open, {FAILURES} could not")


def test_retries_end_when_it_opens(start, upstream):
    app = start(breaker_failures=2, retry_max_attempts=5)
    break_off(upstream, UPLOAD)

    assert submit(app).status_code == 502
    assert upstream.asked == [UPLOAD] * 2
