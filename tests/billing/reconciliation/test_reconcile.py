"""The ledger's days against OpenAI's: what differs, and why."""

from __future__ import annotations

import json

import httpx2
import pytest

from app.billing.ledger.records import NewEntry, Settlement
from tests.fakes.upstreams.organization import FakeOrganization

DAY = "2026-11-20"
NOON = 1795176000_000
ADMIN_KEY = "sk-admin-canary"


@pytest.fixture
def organization(monkeypatch):
    organization = FakeOrganization(ADMIN_KEY)

    class OverFake(httpx2.Client):
        def __init__(self, **given):
            super().__init__(**{"transport": httpx2.MockTransport(organization.answer), **given})

    monkeypatch.setattr("app.billing.reconciliation.organization.httpx2.Client", OverFake)
    monkeypatch.setattr("backoff._sync.time.sleep", lambda seconds: None)
    return organization


@pytest.fixture
def now(monkeypatch):
    at = [NOON]
    monkeypatch.setattr("app.runtime.clock.now_ms", lambda: at[0])
    return at


@pytest.fixture
def app(make_app, tmp_path, now):
    return make_app(database_url=f"sqlite:///{tmp_path}/ledger.sqlite3", openai_admin_key=ADMIN_KEY)


@pytest.fixture
def book(app):
    ledger = app.extensions["gatehouse"].ledger
    app.extensions["gatehouse"].database.migrate()

    def make(model="gpt-6.1-terra", *, usd, tokens=10, source="reported", outcome="complete"):
        entry = NewEntry("r", "acme", "ann", None, "/api/chat", "chat", model)
        hold = ledger.hold(entry, [], micro_usd=100, tokens=100, lease_s=60)
        cost = None if usd is None else round(usd * 1_000_000)
        settled = Settlement(
            outcome=outcome, source=source, model=model, cost_micro_usd=cost, prompt_tokens=tokens
        )
        ledger.settle(hold, settled)

    return make


@pytest.fixture
def reconcile(app, now):
    def run(*words):
        now[0] = NOON + 86_400_000
        return app.test_cli_runner().invoke(args=["reconcile", *words])

    return run


def parts(result):
    (drift,) = json.loads(result.stdout)
    return {name: value for name, value in drift["micro_usd"].items() if value}


def test_days_that_agree_are_shown_with_no_drift(book, organization, reconcile):
    book("gpt-6.1-terra-2026-09-01", usd=0.5, tokens=15)
    organization.use(DAY, "gpt-6.1-terra-2026-09-01", input_tokens=10, output_tokens=5, usd=0.5)

    result = reconcile()

    assert result.exit_code == 0, result.output
    head, row = result.output.splitlines()
    assert head.split()[:3] == ["DAY", "MODEL", "TOKENS"]
    assert row.split()[:7] == [DAY, "gpt-6.1-terra", "15", "15", "0.500000", "0.500000", "0.000000"]


@pytest.mark.parametrize(
    "case",
    [
        ([{"usd": 0.5}, {"usd": 0.3, "outcome": "expired", "source": "estimated"}], 0.6, {"swept": 200_000}, 0),
        ([{"usd": 0.5}, {"usd": 0.3, "source": "estimated"}], 0.6, {"estimated": 200_000}, 0),
        ([{"usd": 0.5, "source": "estimated"}], 0.6, {"estimated": -100_000}, 0),
        ([{"usd": 0.5}, {"usd": None}], 1.0, {"unpriced": -500_000}, 0),
        ([{"usd": 0.5}], 0.6, {"unknown": -100_000}, 1),
        (
            [{"usd": 0.9, "outcome": "expired", "source": "estimated"}, {"usd": 0.2, "source": "estimated"}],
            0.0,
            {"swept": 900_000, "estimated": 200_000},
            0,
        ),
        ([], 0.6, {"elsewhere": -600_000}, 1),
    ],
)
def test_a_difference_is_attributed(book, organization, reconcile, case):
    """Of each case: the ledger's rows, OpenAI's cost, the parts of the difference, the exit status."""
    rows, theirs, expected, status = case
    for row in rows:
        book(**row)
    organization.use(DAY, "gpt-6.1-terra", input_tokens=10, output_tokens=0, usd=theirs)

    result = reconcile("--json")

    assert parts(result) == expected
    assert result.exit_code == status


def test_several_days_come_in_pages(book, organization, reconcile, now):
    for day, at in (("2026-11-18", NOON - 2 * 86_400_000), (DAY, NOON)):
        now[0] = at
        book(usd=0.5)
        organization.use(day, "gpt-6.1-terra", input_tokens=10, output_tokens=0, usd=0.5)

    result = reconcile("--days", "3", "--json")

    drifts = json.loads(result.output)
    assert [drift["day"] for drift in drifts] == ["2026-11-18", DAY]
    assert list(drifts[0]) == ["day", "model", "booked", "told", "tokens", "micro_usd"]
    assert sum("costs" in url.path for url in organization.asked) == 3
    assert result.exit_code == 0


def test_faults_that_pass_are_tried_again(book, organization, reconcile):
    book(usd=0.5)
    organization.use(DAY, "gpt-6.1-terra", input_tokens=10, output_tokens=0, usd=0.5)
    organization.failures = [429, 503]

    assert reconcile().exit_code == 0


def test_a_refused_key_is_told_and_not_shown(make_app, tmp_path, organization):
    app = make_app(database_url=f"sqlite:///{tmp_path}/other.sqlite3", openai_admin_key="sk-other-canary")

    result = app.test_cli_runner().invoke(args=["reconcile"])

    assert result.exit_code == 1
    assert "OpenAI refused OPENAI_ADMIN_KEY (status 401)" in result.output
    assert "canary" not in result.output


def test_a_missing_key_is_told(make_app, tmp_path):
    app = make_app(database_url=f"sqlite:///{tmp_path}/other.sqlite3")

    assert "Set OPENAI_ADMIN_KEY" in app.test_cli_runner().invoke(args=["reconcile"]).output
