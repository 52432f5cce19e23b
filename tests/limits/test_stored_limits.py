"""Limits of single accounts: what they change, and when each process knows of it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.auth import Principal
from app.auth.audit.actors import Actor
from app.auth.audit.trail import AuditTrail
from app.auth.keys import ApiKeys
from app.auth.store import LazyStore
from app.billing.ledger.ledger import Ledger
from app.billing.ledger.records import BudgetExceeded, Limit, NewEntry, Settlement
from app.billing.ledger.reports import Reports
from app.config import Config
from app.limits.account_names import AccountName, InvalidAccount
from app.limits.accounts import read_limits
from app.limits.own_limits import InvalidLimit, OwnLimits
from app.limits.rate_limiter import Rate, RateLimited, RateLimiter
from app.limits.stored_limits import REFRESH_INTERVAL_S, StoredLimits
from app.storage.database.database import DatabaseUnavailable, open_database
from app.storage.shared_state import MemoryState
from tests.fakes.storage.databases import on_postgresql_thoroughly

ADA = Principal(kind="visitor", tenant="acme", user="ada", scopes=frozenset(), token_id="t1", key_id="AbCd1234")
BOB = Principal(kind="visitor", tenant="acme", user="bob", scopes=frozenset(), token_id="t2", key_id="EfGh5678")
ADDRESS = "192.0.2.1"
USER = AccountName.check("user", "acme", "ada")
TENANT = AccountName.check("tenant", "acme", "acme")
KEY = AccountName.check("key", "acme", "AbCd1234")
ROOT = Actor("command:root")
DEFAULTS = {
    "rate_limit": "60/minute",
    "tenant_rate_limit": "600/minute",
    "token_rate_limit": "10000/minute",
    "user_concurrent_streams": 3,
    "user_budget_usd": 1.0,
    "user_budget_tokens": 500,
    "budget_window": "day",
}


@pytest.fixture
def ticks(monkeypatch):
    """The clock of this process, moved by hand."""

    class Ticks:
        s = 1000.0

    monkeypatch.setattr("app.runtime.clock.ticks", lambda: Ticks.s)
    return Ticks


@pytest.fixture
def open_stored(store, database, tmp_path):
    """Opens the limits as one more process does."""
    opened = []

    def make():
        opened.append(open_database(store.url, tmp_path))
        return StoredLimits(opened[-1], Reports(opened[-1]), "day")

    yield make
    for each in opened:
        each.close()


@pytest.fixture
def stored(open_stored):
    return open_stored()


def limits_over(stored, **settings):
    return read_limits(Config(**{**DEFAULTS, **settings}), stored.current)


def own(**texts):
    return OwnLimits.parse(texts)


class TestWhatAnAccountMayUse:
    def test_own_limits_replace_those_of_the_settings_and_leave_the_others(self, stored):
        stored.set(USER, own(request_rate="5/hour", concurrent_streams="1", budget_usd="2.5"), by=ROOT)
        limits = limits_over(stored)

        assert limits.request_rates(ADA, ADDRESS) == {"user:acme/ada": Rate(5, 3600), "tenant:acme": Rate(600, 60)}
        assert limits.token_rates(ADA, ADDRESS) == {"user:acme/ada": Rate(10_000, 60)}
        assert limits.concurrent_streams(ADA, ADDRESS)["user:acme/ada"] == 1
        assert limits.spending(ADA, ADDRESS) == [Limit("user:acme/ada", "day", 2_500_000, 500)]
        assert limits.request_rates(BOB, ADDRESS)["user:acme/bob"] == Rate(60, 60)

    @on_postgresql_thoroughly
    def test_a_key_limits_what_is_sent_with_it_and_with_the_tokens_that_it_issued(self, stored):
        stored.set(KEY, own(token_rate="7/day", budget_tokens="9", concurrent_streams="2"), by=ROOT)
        limits = limits_over(stored, user_budget_usd=0, user_budget_tokens=0)

        of_key = Principal(kind="key", tenant="acme", user="eve", scopes=frozenset(), key_id="AbCd1234")
        for principal in (ADA, of_key):
            assert limits.token_rates(principal, ADDRESS)["key:AbCd1234"] == Rate(7, 86_400)
            assert limits.concurrent_streams(principal, ADDRESS)["key:AbCd1234"] == 2
            assert limits.spending(principal, ADDRESS) == [Limit("key:AbCd1234", "day", None, 9)]
        assert "key:AbCd1234" not in limits.token_rates(BOB, ADDRESS)

    @on_postgresql_thoroughly
    def test_none_lifts_a_limit_and_goes_on_counting_what_is_spent(self, stored):
        nothing = dict.fromkeys(own().to_texts(), "none")
        stored.set(USER, OwnLimits.parse(nothing), by=ROOT)
        limits = limits_over(stored)

        assert "user:acme/ada" not in limits.request_rates(ADA, ADDRESS)
        assert limits.token_rates(ADA, ADDRESS) == {}
        assert "user:acme/ada" not in limits.concurrent_streams(ADA, ADDRESS)
        assert limits.spending(ADA, ADDRESS) == [Limit("user:acme/ada", "day", None, None)]

    @on_postgresql_thoroughly
    def test_a_share_of_all_streams_gives_way_as_well(self, stored):
        stored.set(USER, own(concurrent_streams="900"), by=ROOT)
        stored.set(TENANT, own(concurrent_streams="7"), by=ROOT)
        limits = limits_over(stored, user_concurrent_streams=0)

        streams = limits.concurrent_streams(ADA, ADDRESS)
        assert (streams["user:acme/ada"], streams["tenant:acme"]) == (900, 7)

    def test_a_call_is_charged_to_no_more_accounts_than_one_statement_takes(self, stored):
        for account in (USER, TENANT, KEY):
            stored.set(account, own(budget_tokens="100"), by=ROOT)
        charged = Principal(**{**_fields(ADA), "budget_micro_usd": 1})

        assert len(limits_over(stored).spending(charged, ADDRESS)) == 4

    @on_postgresql_thoroughly
    def test_limits_are_cleared(self, stored):
        stored.set(USER, own(request_rate="5/hour"), by=ROOT)
        stored.clear(USER, by=ROOT)

        assert limits_over(stored).request_rates(ADA, ADDRESS)["user:acme/ada"] == Rate(60, 60)
        assert stored.list_all() == []


@on_postgresql_thoroughly
def test_zero_blocks_and_says_that_no_wait_helps(stored):
    stored.set(USER, own(request_rate="0", concurrent_streams="0", budget_tokens="0"), by=ROOT)
    limits = limits_over(stored)

    with pytest.raises(RateLimited) as refusal:
        RateLimiter(MemoryState()).admit(limits.request_rates(ADA, ADDRESS))
    assert refusal.value.retry_after_s is None
    assert refusal.value.quota.share == 0
    assert limits.concurrent_streams(ADA, ADDRESS)["user:acme/ada"] == 0
    assert limits.spending(ADA, ADDRESS) == [Limit("user:acme/ada", "day", 1_000_000, 0)]


@on_postgresql_thoroughly
def test_a_rate_that_is_lowered_refuses_until_its_window_ends_and_one_that_is_raised_admits_at_once(
    stored, monkeypatch
):
    limits, limiter = limits_over(stored), RateLimiter(MemoryState())
    monkeypatch.setattr("app.runtime.clock.now", lambda: 1_800_000_000.0)

    def admit():
        limiter.admit(limits.request_rates(ADA, ADDRESS))

    for _ in range(10):
        admit()
    stored.set(USER, own(request_rate="5/minute"), by=ROOT)
    with pytest.raises(RateLimited):
        admit()
    monkeypatch.setattr("app.runtime.clock.now", lambda: 1_800_000_120.0)
    admit()

    for _ in range(4):
        admit()
    with pytest.raises(RateLimited):
        admit()
    stored.set(USER, own(request_rate="6/minute"), by=ROOT)
    admit()


class TestBudgets:
    @pytest.fixture
    def ask(self, database, stored, tmp_path):
        """Spends so many micro-dollars and tokens of a user's, if their budgets allow it."""
        ledger, limits = Ledger(database, tmp_path), limits_over(stored, user_budget_usd=0, user_budget_tokens=0)

        def ask(micro_usd, tokens, principal=ADA):
            entry = NewEntry("r", principal.tenant, principal.user, None, "/api/chat", "chat", "m")
            spending = limits.spending(principal, ADDRESS)
            hold = ledger.hold(entry, spending, micro_usd=micro_usd, tokens=tokens, lease_s=60)
            settlement = Settlement(outcome="complete", source="reported", cost_micro_usd=micro_usd, tokens=tokens)
            ledger.settle(hold, settlement)

        return ask

    @pytest.mark.parametrize("account", [USER, TENANT])
    def test_a_first_budget_counts_what_was_spent_before_it(self, stored, ask, account):
        ask(3_000_000, 300)
        stored.set(account, own(budget_usd="4"), by=ROOT)

        ask(1_000_000, 1)
        with pytest.raises(BudgetExceeded):
            ask(1, 1)

    @on_postgresql_thoroughly
    def test_a_budget_below_what_is_spent_refuses_and_a_raised_one_allows_at_once(self, stored, ask):
        stored.set(USER, own(budget_tokens="1000"), by=ROOT)
        ask(0, 600)
        stored.set(USER, own(budget_tokens="500"), by=ROOT)
        with pytest.raises(BudgetExceeded) as refusal:
            ask(0, 1)
        assert refusal.value.retry_after_s is not None

        stored.set(USER, own(budget_tokens="700"), by=ROOT)
        ask(0, 100)

    @on_postgresql_thoroughly
    def test_what_is_spent_without_a_limit_counts_when_there_is_one_again(self, stored, ask):
        stored.set(KEY, own(budget_usd="none"), by=ROOT)
        ask(2_000_000, 1)
        stored.set(KEY, own(budget_usd="2"), by=ROOT)

        with pytest.raises(BudgetExceeded):
            ask(1, 1)

    @on_postgresql_thoroughly
    def test_zero_refuses_and_names_no_time(self, stored, ask):
        stored.set(USER, own(budget_usd="0"), by=ROOT)

        with pytest.raises(BudgetExceeded) as refusal:
            ask(1, 1)
        assert refusal.value.retry_after_s is None


@on_postgresql_thoroughly
def test_a_key_that_replaces_another_has_its_limits_and_what_it_has_spent(stored, database, tmp_path):
    keys = ApiKeys(LazyStore(database))
    old = keys.create(tenant="acme", name="shop", scopes=["chat"]).key
    stored.set(AccountName.check("key", "acme", old.id), own(budget_tokens="100"), by=ROOT)
    limits, ledger = limits_over(stored, user_budget_usd=0, user_budget_tokens=0), Ledger(database, tmp_path)

    def ask(key_id, tokens):
        sender = Principal(kind="key", tenant="acme", user="u", scopes=frozenset(), key_id=key_id)
        entry = NewEntry("r", "acme", "u", None, "/api/chat", "chat", "m")
        hold = ledger.hold(entry, limits.spending(sender, ADDRESS), micro_usd=0, tokens=tokens, lease_s=60)
        ledger.settle(hold, Settlement(outcome="complete", source="reported", cost_micro_usd=0, tokens=tokens))

    ask(old.id, 60)
    new = stored.rotate_key(keys, old.id, grace_s=60, by=ROOT).key

    ask(new.id, 40)
    with pytest.raises(BudgetExceeded):
        ask(new.id, 1)


class TestSeveralProcesses:
    @on_postgresql_thoroughly
    def test_each_knows_of_a_change_within_the_time_that_is_promised(self, open_stored, ticks):
        changing, other = open_stored(), open_stored()
        assert other.current() == {}

        changing.set(USER, own(request_rate="5/hour"), by=ROOT)
        assert changing.current() == {"user:acme/ada": own(request_rate="5/hour")}
        assert other.current() == {}
        ticks.s += REFRESH_INTERVAL_S
        assert other.current() == changing.current()

        changing.clear(USER, by=ROOT)
        ticks.s += REFRESH_INTERVAL_S
        assert other.current() == {}

    @on_postgresql_thoroughly
    def test_nothing_is_asked_of_the_database_between_two_looks(self, stored, ticks, monkeypatch):
        looks = []
        monkeypatch.setattr(stored, "refresh", lambda: looks.append(ticks.s))

        for _ in range(1000):
            stored.current()
        assert looks == [1000.0]

    def test_changes_at_the_same_time_are_all_noticed(self, open_stored, ticks):
        """A change that commits after a later one must not be passed over."""
        workers, watcher = [open_stored() for _ in range(3)], open_stored()
        accounts = [AccountName.check("user", "acme", f"u{number}") for number in range(12)]
        seen_all = threading.Event()

        def watch():
            while not seen_all.is_set():
                watcher.refresh()

        with ThreadPoolExecutor(4) as threads:
            watching = threads.submit(watch)
            changing = [
                threads.submit(workers[at % 3].set, account, own(budget_tokens="1"), by=ROOT)
                for at, account in enumerate(accounts)
            ]
            for each in changing:
                each.result()
            seen_all.set()
            watching.result()
        watcher.refresh()
        assert set(watcher.current()) == {account.text for account in accounts}

    def test_a_database_that_is_away_changes_nothing(self, stored, ticks, monkeypatch):
        stored.set(USER, own(request_rate="5/hour"), by=ROOT)
        before = dict(stored.current())

        def fail(*_):
            raise DatabaseUnavailable("away")

        monkeypatch.setattr(stored._database, "read_transaction", fail)
        ticks.s += REFRESH_INTERVAL_S
        assert stored.current() == before

    def test_a_restored_backup_is_noticed(self, open_stored, ticks, database):
        stored = open_stored()
        stored.set(USER, own(request_rate="5/hour"), by=ROOT)
        stored.set(TENANT, own(request_rate="5/hour"), by=ROOT)
        assert len(stored.current()) == 2

        with database.transaction() as connection:
            connection.execute("DELETE FROM account_limits WHERE version = 2")
            connection.execute("UPDATE limit_versions SET version = 1")
        ticks.s += REFRESH_INTERVAL_S
        assert list(stored.current()) == ["user:acme/ada"]


def test_each_change_leaves_a_row_that_says_who_made_it(stored, database):
    by = Actor("key:EfGh5678", "198.51.100.7")
    stored.set(USER, own(budget_usd="1"), by=ROOT)
    stored.set(USER, own(budget_usd="2", request_rate="0"), by=by)
    stored.clear(USER, by=by)

    cleared, changed, made = AuditTrail(database).list_newest(10)
    assert (made.actor, made.address, made.action, made.tenant) == ("command:root", None, "limits.set", "acme")
    assert made.details == {"budget_usd": [None, "1"]}
    assert changed.details == {"budget_usd": ["1", "2"], "request_rate": [None, "0"]}
    assert (cleared.actor, cleared.address, cleared.action) == ("key:EfGh5678", "198.51.100.7", "limits.clear")
    assert cleared.target == "user:acme/ada"
    assert AuditTrail(database).list_newest(10, tenant="other") == []


def test_the_limits_of_one_tenant_are_listed_apart(stored):
    other = AccountName.check("user", "other", "a/b:c")
    for account in (USER, TENANT, KEY, other):
        stored.set(account, own(budget_tokens="1"), by=ROOT)

    assert [each.account for each in stored.list_all("acme")] == [KEY, TENANT, USER]
    assert [each.account for each in stored.list_all("other")] == [other]
    assert len(stored.list_all()) == 4


def test_they_are_listed_part_by_part_without_those_that_are_cleared(stored):
    accounts = [AccountName.check("user", "acme", f"u{number}") for number in range(5)]
    for account in accounts:
        stored.set(account, own(request_rate="0"), by=ROOT)
    stored.clear(accounts[1], by=ROOT)

    first = [each.account for each in stored.list_all(max_count=2)]
    rest = [each.account for each in stored.list_all(after=first[-1].text, max_count=2)]
    assert (first, rest) == ([accounts[0], accounts[2]], accounts[3:])
    assert stored.list_all(after=accounts[-1].text, max_count=2) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(
            (name, text)
            for name in ("request_rate", "token_rate")
            for text in ("", "60", "60/week", "-1/minute", "0/minute")
        ),
        *(
            (name, text)
            for name in ("concurrent_streams", "budget_tokens")
            for text in ("", "-1", "1.5", "1e3", "9" * 16)
        ),
        *(("budget_usd", text) for text in ("", "-1", "1e3", "nan", "1.0000001", "$5")),
    ],
)
def test_what_is_no_limit_is_refused(name, text):
    with pytest.raises(InvalidLimit) as refusal:
        OwnLimits.parse({name: text})
    assert refusal.value.field == name


@pytest.mark.parametrize("text", ["0", "none", "1", "12.5", "0.000001", "123456789.5"])
def test_money_is_shown_as_it_was_given(text):
    assert own(budget_usd=text).to_texts()["budget_usd"] == text


@pytest.mark.parametrize(
    ("kind", "tenant", "name"),
    [
        ("address", "acme", "192.0.2.1"),
        ("user", "ac/me", "ada"),
        ("user", "acme", ""),
        ("user", "acme", "a b"),
        ("user", "acme", "a,b"),
        ("tenant", "acme", "other"),
        ("key", "acme", "short"),
    ],
)
def test_what_is_no_account_is_refused(kind, tenant, name):
    with pytest.raises(InvalidAccount):
        AccountName.check(kind, tenant, name)


def _fields(principal):
    return {name: getattr(principal, name) for name in Principal.__slots__}
