"""Token rate limits of calls whose worker was killed: their sweep gives back what they did not use."""

from __future__ import annotations

import pytest

from app.limits.meter import Meter
from app.runtime import clock
from tests.conftest import KEY
from tests.fakes.person import Person
from tests.fakes.upstreams.openai_answers import stream_of

ACCOUNTS = ["user:default/address:{}", "tenant:default", "address:{}"]
LIMITS = {f"{whose}token_rate_limit": "50000/hour" for whose in ("", "tenant_", "address_")}


@pytest.fixture
def app(make_app, tmp_path):
    return make_app(openai_api_key=KEY, database_url=f"sqlite:///{tmp_path}/ledger.sqlite3", **LIMITS)


@pytest.fixture
def counted(app):
    """The tokens that count in this window, for each account of somebody."""

    def read(person):
        state = app.extensions["gatehouse"].shared_state
        keys = [f"rate:tokens:{account.format(person.address)}" for account in ACCOUNTS]
        return [sum(map(int, (state.read(key) or b"0").split()[1:])) for key in keys]

    return read


@pytest.fixture
def killed(app, monkeypatch):
    """Somebody whose worker is killed once the first of a stream has come."""

    def run():
        person = Person(app)
        with monkeypatch.context() as patch:
            patch.setattr(Meter, "settle", lambda *_: None)
            answer = person.ask("/api/chat/stream")
            next(answer.iter_encoded())
            answer.close()
        return person

    return run


@pytest.fixture
def sweep(app, monkeypatch):
    def run():
        now_ms = clock.now_ms
        with monkeypatch.context() as patch:
            patch.setattr(clock, "now_ms", lambda: now_ms() + 600_000)
            return app.extensions["gatehouse"].ledger.sweep()

    return run


def test_the_sweep_gives_back_to_each_account_what_a_killed_call_did_not_use(upstream, killed, counted, sweep):
    upstream.streams(*stream_of("Hel", "lo"))
    person = killed()
    reserved = counted(person)
    assert min(reserved) > 8_192

    assert sweep() == 1

    row = person.row()
    assert 0 < row["tokens"] < row["held_tokens"] == reserved[0]
    assert counted(person) == [row["tokens"]] * len(ACCOUNTS)


def test_names_that_are_too_long_to_note_keep_what_they_reserved(upstream, killed, counted, sweep, monkeypatch):
    monkeypatch.setattr("app.billing.ledger.call_notes._MAX_RESERVED", 10)
    upstream.streams(*stream_of("Hel", "lo"))
    person = killed()
    reserved = counted(person)

    assert sweep() == 1

    assert counted(person) == reserved
