from __future__ import annotations

import re
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.billing.ledger.records import NewEntry
from app.openai_service import CallRecord
from app.storage.database.database import DatabaseUnavailable
from tests.conftest import ORIGIN
from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import completion, error, stream_of

ALLOWED: dict[str, Any] = {"metrics_allow": ("127.0.0.1",)}


def scrape(client, **options):
    answer = client.get("/metrics", **options)
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


@pytest.fixture
def counted(make_app, tmp_path):
    return make_app(**ALLOWED, database_url=f"sqlite:///{tmp_path}/own.sqlite3").test_client()


def test_without_the_setting_there_is_nothing(client, app):
    assert (client.get("/metrics").status_code, client.get("/metrics").json["code"]) == (404, "not_found")
    assert app.extensions["gatehouse"].metrics is None


@each_row(
    ("allowed", "statuses"),
    [
        ("127.0.0.1", {"127.0.0.1": 200, "127.0.0.2": 404}),
        ("10.0.0.0/24", {"10.0.0.77": 200, "10.0.1.1": 404, "127.0.0.1": 404, "::ffff:10.0.0.9": 200}),
        ("::1", {"::1": 200}),
        ("2001:db8::5", {"2001:db8::5": 200, "2001:db8::6": 404}),
        ("0.0.0.0/0", {"2001:db8::6": 404, "": 404, "unix:": 404}),
    ],
)
def test_only_the_networks_of_the_setting_read_it(make_app, allowed, statuses):
    client = make_app(metrics_allow=(allowed,)).test_client()

    for address, status in statuses.items():
        assert client.get("/metrics", environ_base={"REMOTE_ADDR": address}).status_code == status, address


def test_the_address_is_the_one_that_a_trusted_proxy_states(make_app):
    client = make_app(metrics_allow=("10.0.0.5",), trusted_proxies=1).test_client()

    def read(forwarded):
        return client.get("/metrics", headers={"X-Forwarded-For": forwarded}).status_code

    assert (read("10.0.0.5"), read("10.0.0.6"), read("10.0.0.5, 10.0.0.6")) == (200, 404, 404)


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_no_page_can_read_it(counted, method):
    headers = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    answer = counted.open("/metrics", method=method, headers=headers)

    assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]
    assert answer.headers["Cache-Control"] == "no-store"


def test_requests_and_calls_are_counted(counted, upstream):
    upstream.answers(completion(usage={"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}))
    assert counted.post("/api/chat", json={"message": "Hi"}).status_code == 200
    counted.post("/api/chat", json={"mesage": "Hi"})
    counted.get("/api/nothing/4711")
    counted.open("/healthz", method="BREW")

    found = scrape(counted)

    name = "gatehouse_requests_total"
    assert found[name, "", "/api/chat", "200", "POST"] == 1
    assert found[name, "/api/chat", "400", "POST", "invalid_request"] == 1
    assert found[name, "404", "GET", "none", "not_found"] == 1
    assert [value for key, value in found.items() if key[0] == name and "other" in key] == [1]
    assert found["gatehouse_request_duration_seconds_count", "/api/chat"] == 2
    assert found["gatehouse_call_duration_seconds_count", "chat", "complete"] == 1
    assert found["gatehouse_upstream_seconds_count", "chat"] == 1
    assert found["gatehouse_attempts_total", "complete", "gpt-6.1-terra"] == 1
    assert found["gatehouse_tokens_total", "default", "gpt-6.1-terra", "prompt"] == 10
    assert found["gatehouse_tokens_total", "completion", "default", "gpt-6.1-terra"] == 5
    assert 0 < found["gatehouse_cost_dollars_total", "default", "gpt-6.1-terra"] < 0.01
    assert found["gatehouse_holds",] == 0
    assert found["gatehouse_store_up", "database"] == found["gatehouse_store_up", "shared_state"] == 1


def test_streams_are_counted_while_they_run(counted, upstream):
    upstream.streams(*stream_of("Hel", "lo"))
    answer = counted.post("/api/chat/stream", json={"message": "Hi"})
    assert scrape(counted)["gatehouse_streams_running",] == 1

    assert b"done" in answer.data
    answer.close()

    found = scrape(counted)
    assert found["gatehouse_streams_running",] == 0
    assert found["gatehouse_streams_limit",] == 1000
    assert found["gatehouse_first_token_seconds_count", "chat"] == 1
    assert found["gatehouse_disconnects_total",] == 0


def test_a_client_that_leaves_is_counted(counted, upstream):
    upstream.streams(*stream_of("Hel", "lo"))
    answer = counted.post("/api/chat/stream", json={"message": "Hi"})
    answer.close()

    assert scrape(counted)["gatehouse_disconnects_total",] == 1


def test_what_limits_refuse_is_counted_by_kind(make_app, upstream):
    client = make_app(**ALLOWED, address_rate_limit="1/hour", max_concurrent_streams=1).test_client()
    client.post("/api/chat", json={"message": "Hi"})
    client.post("/api/chat", json={"message": "Hi"})

    assert scrape(client)["gatehouse_limits_refused_total", "rate"] == 1


def test_a_refused_key_and_an_open_circuit_show(make_app, upstream):
    client = make_app(**ALLOWED, retry_max_attempts=1, chat_fallback_models=(), breaker_failures=2).test_client()
    upstream.answers(error(code="invalid_api_key"), 401)
    client.post("/api/chat", json={"message": "0"})
    for number in range(2):
        upstream.answers(error(), 500)
        client.post("/api/chat", json={"message": str(number)}, environ_base={"REMOTE_ADDR": f"10.0.0.{number}"})

    found = scrape(client)
    assert found["gatehouse_attempts_total", "gpt-6.1-terra", "key_refused"] == 1
    assert found["gatehouse_attempts_total", "gpt-6.1-terra", "server_error"] == 2
    assert found["gatehouse_breaker_state", "chat", "gpt-6.1-terra", "open"] == 1
    assert found["gatehouse_breaker_state", "chat", "closed", "gpt-6.1-terra"] == 0


def test_names_from_outside_make_no_series(counted):
    counted.post("/api/chat", json={"message": "Hi", "model": "canary-model"})
    counted.get("/canary-path", headers={"X-Request-ID": "canary-id", "Origin": "https://canary.example"})

    assert "canary" not in counted.get("/metrics").text


def test_tenants_beyond_the_bound_count_together(make_app):
    counters = make_app(**ALLOWED).extensions["gatehouse"].metrics.counters

    names = [counters._name_tenant(f"tenant-{number}") for number in range(60)]

    assert names[:50] == [f"tenant-{number}" for number in range(50)]
    assert set(names[50:]) == {"other"}
    assert counters._name_tenant("tenant-0") == "tenant-0"


def test_budgets_show_what_is_spent(make_app, upstream, tmp_path):
    own = {"database_url": f"sqlite:///{tmp_path}/own.sqlite3", "budget_window": "day"}
    client = make_app(**ALLOWED, **own, tenant_budget_usd=5.0, anonymous_budget_usd=2.0).test_client()
    client.post("/api/chat", json={"message": "Hi"})

    found = scrape(client)
    assert found["gatehouse_budget_limit_dollars", "tenant:default"] == 5
    assert found["gatehouse_budget_limit_dollars", "anonymous"] == 2
    assert 0 < found["gatehouse_budget_spent_dollars", "tenant:default"] < 0.1
    assert 0 < found["gatehouse_budget_window_left_seconds",] <= 86_400


def test_a_budget_of_a_tenants_own_is_the_one_that_is_shown(make_app, upstream, tmp_path):
    app = make_app(**ALLOWED, database_url=f"sqlite:///{tmp_path}/own.sqlite3")
    app.test_cli_runner().invoke(args=["limits", "set", "tenant", "default", "--budget-usd", "3"])
    client = app.test_client()
    client.post("/api/chat", json={"message": "Hi"})

    found = scrape(client)
    assert found["gatehouse_budget_limit_dollars", "tenant:default"] == 3
    assert 0 < found["gatehouse_budget_spent_dollars", "tenant:default"] < 0.1


def test_the_backlog_of_the_outbox_is_shown_by_system(make_app, upstream, tmp_path):
    app = make_app(
        **ALLOWED,
        database_url=f"sqlite:///{tmp_path}/own.sqlite3",
        usage_webhook_url="http://127.0.0.1:9/usage",
        usage_webhook_secret="whsec_" + "a" * 32,
    )
    client, database = app.test_client(), app.extensions["gatehouse"].database
    names = [f"gatehouse_outbox_{name}" for name in ("waiting", "failed", "given_up", "oldest_seconds")]

    def read():
        found = scrape(client)
        return [found[name, "webhook"] for name in names]

    assert read() == [0, 0, 0, 0]  # from the first scrape on, so that a dashboard has no gap
    for _ in range(3):
        client.post("/api/chat", json={"message": "Hi"})
    with database.transaction() as connection:
        connection.execute("UPDATE entries SET settled_at = settled_at - 90000")
    *counts, oldest_s = read()
    assert counts == [3, 0, 0]
    assert 90 <= oldest_s < 300

    app.test_cli_runner().invoke(args=["outbox", "deliver"])  # nobody listens
    with database.transaction() as connection:
        first = "SELECT MIN(entry_id) FROM outbox"
        connection.execute(f"UPDATE outbox SET due_at = NULL WHERE entry_id = ({first})")
    assert read()[:3] == [2, 2, 1]


def test_without_systems_that_are_told_there_is_no_backlog(counted):
    assert not [key for key in scrape(counted) if key[0].startswith("gatehouse_outbox")]


def test_a_store_that_is_away_fails_no_scrape(make_app, tmp_path):
    place = tmp_path / "data"
    place.write_text("a file where a directory should be")
    client = make_app(**ALLOWED, database_url=f"sqlite:///{place}/gatehouse.sqlite3").test_client()

    found = scrape(client)
    assert found["gatehouse_store_up", "database"] == 0
    assert found["gatehouse_store_up", "shared_state"] == 1
    assert ("gatehouse_holds",) not in found


def test_a_store_that_hangs_holds_up_a_scrape_for_a_bounded_time(make_app, monkeypatch):
    import threading

    app = make_app(**ALLOWED)
    services = app.extensions["gatehouse"]
    goes_on, begun = threading.Event(), []

    def hang():
        begun.append(1)
        goes_on.wait(20)
        raise DatabaseUnavailable("late")

    monkeypatch.setattr(services.database, "check", hang)
    monkeypatch.setattr("app.observability.metrics.readings._TIMEOUT_S", 0.05)
    client = app.test_client()
    try:
        found = [scrape(client) for _ in range(3)]
    finally:
        goes_on.set()

    assert [each["gatehouse_store_up", "database"] for each in found] == [0, 0, 0]
    assert found[-1]["gatehouse_store_up", "shared_state"] == 1
    assert len(begun) == 1, "one look at a time"


def test_the_answer_has_the_format_that_is_asked_for(counted):
    plain = counted.get("/metrics")
    modern = counted.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})

    assert plain.content_type.startswith("text/plain")
    assert modern.content_type.startswith("application/openmetrics-text")
    assert modern.text.endswith("# EOF\n")
    assert re.search(r'gatehouse_build_info\{openai="3[\d.]+",python="3[\d.]+",version="\w+"\} 1', plain.text)


@pytest.mark.parametrize("network", ["localhost", "10.0.0.0/33", "10.0.0.1/24"])
def test_a_wrong_network_is_told_at_the_start(make_app, network):
    from app.config import ConfigError

    with pytest.raises(ConfigError, match="METRICS_ALLOW"):
        make_app(metrics_allow=(network,))


def test_cached_and_refused_calls_have_no_attempt(make_app):
    counters = make_app(**ALLOWED).extensions["gatehouse"].metrics.counters

    before = dict(counters._of_attempt)
    counters.note_call(CallRecord("r", "chat", "m", outcome="not_admitted"), None)

    assert counters._of_attempt == before


def test_holds_are_shown_until_they_are_swept_and_the_journal_as_long_as_it_is_there(make_app, tmp_path):
    app = make_app(**ALLOWED, data_dir=str(tmp_path), database_url=f"sqlite:///{tmp_path}/own.sqlite3")
    client, ledger = app.test_client(), app.extensions["gatehouse"].ledger
    entry = NewEntry("r", "default", "anna", None, "/api/chat", "chat", "m")
    ledger.hold(entry, [], micro_usd=1, tokens=1, lease_s=-100)
    (tmp_path / "1-a.jsonl").write_bytes(b"{}\n{}\n")

    held = scrape(client)
    assert (held["gatehouse_holds",], held["gatehouse_swept_holds_total",]) == (1, 0)
    assert held["gatehouse_journal_settlements",] == 2
    assert ledger.sweep() == 1
    (tmp_path / "1-a.jsonl").unlink()

    swept = scrape(client)
    assert (swept["gatehouse_holds",], swept["gatehouse_swept_holds_total",]) == (0, 1)
    assert swept["gatehouse_journal_settlements",] == 0


def test_jobs_of_side_processes_and_retries_are_shown(make_app, monkeypatch):
    app = make_app(**ALLOWED)
    services = app.extensions["gatehouse"]
    monkeypatch.setattr(services.image_processes._turns, "count", lambda: (2, 5))
    for _ in range(3):
        services.openai_service._sender.retry_budget.take("anna")

    found = scrape(app.test_client())
    assert found["gatehouse_side_process_jobs", "images", "running"] == 2
    assert found["gatehouse_side_process_jobs", "images", "waiting"] == 5
    assert (found["gatehouse_retry_budget_used",], found["gatehouse_retry_budget_limit",]) == (3, 20)


def test_a_check_of_moderation_is_a_complete_attempt(make_app, upstream):
    client = make_app(**ALLOWED, moderation="input").test_client()
    upstream.answers({"id": "modr-1", "results": [{"flagged": False, "categories": {}}]})
    upstream.answers(completion("Hi"))
    assert client.post("/api/chat", json={"message": "Hi"}).status_code == 200

    outcomes = {key[1:] for key in scrape(client) if key[0] == "gatehouse_attempts_total"}
    assert ("complete", "omni-moderation-latest") in outcomes
    assert not [each for each in outcomes if "abandoned" in each]
