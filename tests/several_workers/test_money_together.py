"""Money over real workers: no budget is overspent, and nothing is lost with a worker, or with the ledger's store."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from app.billing.ledger.ledger import Ledger
from app.models.pricing.catalog import Prices
from app.models.token_counts.estimates import bound_input
from app.runtime import clock as ledger_clock
from app.storage.database.database import Database, open_database
from tests.fakes.servers import exchange, free_port, gunicorn, next_event, wait_until
from tests.fakes.storage.redis_server import redis_server
from tests.fakes.storage.stores import PostgresDatabase, SqliteFile, Store, postgres_server
from tests.fakes.upstreams.costly_upstream import EVENTS, INPUT, OUTPUT, PRICES, TOKENS, CostlyUpstream, Plan
from tests.several_workers import test_workers_together as workers

pytestmark = pytest.mark.servers

MAX_TOKENS = 100
ASKED = {"messages": [{"role": "user", "content": "Hello"}], "max_completion_tokens": MAX_TOKENS}
# What one call costs, in micro-dollars: the upstream bills the most that it may, so that no hold is too large.
# To count its tokens here would load a vocabulary in each process that collects tests; the first test compares them.
COST = INPUT * 27 + OUTPUT * MAX_TOKENS
AFFORDABLE = 20
BUDGET = AFFORDABLE * COST
SETTINGS = {
    "WEB_CONCURRENCY": "4",
    "RETRY_MAX_ATTEMPTS": "1",
    "CHAT_FALLBACK_MODELS": ",",  # none
    "MAX_TOKENS": str(MAX_TOKENS),
    "BREAKER_FAILURES": "1000",
    "USER_BUDGET_USD": str(BUDGET / 1e6),
}
# A look each second whether the store is back, and what a busy machine may add to that.
BACK_S = 8.0
# English, of which a token is about four letters; long enough that how it is asked for makes little of it.
PROSE = 30 * (
    "I saw a big red dog run up the hill. I saw a big red dog run up the hill. "
    "The children were playing quietly in the garden behind the old house. "
)
ON_FILE = pytest.mark.parametrize("site", ["on_file"], indirect=True)

_numbers = count(2)


class Asked(workers.Asked):
    """A request that has been sent from an address, which is a user with a budget of its own."""

    def __init__(
        self, port: int, path: str, address: str, message: str = "Hello", *, is_whole: bool = True
    ) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=15, source_address=(address, 0))
        body = json.dumps({"message": message}).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        self._connection.request("POST", path, body if is_whole else body[:5], headers)
        self._socket = self._connection.sock
        self._sent = time.monotonic()
        self._response = None


@dataclass
class Site(workers.Site):
    """A server of several workers, the upstream behind it, and the ledger that they keep together."""

    upstream: Any
    store: Store
    database: Database
    directory: Path

    def somebody(self) -> Somebody:
        """Who has not spent anything yet."""
        number = next(_numbers)
        return Somebody(self, f"127.0.{number >> 8}.{number & 255}")

    def plan(self, name: str, events: int | None, then: str = "wait") -> Plan:
        plan = self.upstream.plans[name] = Plan(events, then)
        return plan

    def wait_until_all_serve(self, number: int) -> None:
        """So many workers, each of which answers."""
        self.wait_until_ready()
        wait_until(lambda: len(self.server.workers()) == number, "all workers are begun")
        for worker in self.server.workers():
            with self.alone(worker), exchange(self.port, "GET", "/healthz") as response:
                assert response.status == 200

    @contextmanager
    def alone(self, worker: int) -> Iterator[None]:
        """While what is asked is asked of this worker."""
        with ExitStack() as others:
            for other in self.server.workers() - {worker}:
                others.enter_context(workers.stopped(other))
            yield

    def journals(self) -> list[Path]:
        return list((self.directory / "data").glob("*"))


@dataclass
class Somebody:
    site: Site
    address: str

    def ask(self, path: str = "/api/chat", message: str = "Hello", *, is_whole: bool = True) -> Asked:
        asked = Asked(self.site.port, path, self.address, message, is_whole=is_whole)
        return self.site.asked.enter_context(closing(asked))

    def stream(self) -> Asked:
        """One that has begun, and ends when the upstream may answer."""
        asked = self.ask("/api/chat/stream")
        assert next_event(asked.response) == {"token": "begun"}
        return asked

    def ask_at_once(self, times: int) -> list[tuple[int, str | None]]:
        """So many clients, none of which is ahead of the others; the status and Retry-After of each."""
        barrier = threading.Barrier(times)

        def one(_: int) -> tuple[int, str | None]:
            barrier.wait()
            body = {"message": "Hello"}
            with exchange(self.site.port, "POST", "/api/chat", body, from_address=self.address) as response:
                response.read()
                return response.status, response.headers["Retry-After"]

        with ThreadPoolExecutor(times) as pool:
            return list(pool.map(one, range(times)))

    def rows(self) -> list[dict[str, Any]]:
        return self._read("SELECT * FROM entries WHERE user_id = ?", f"address:{self.address}")

    def states(self) -> Counter[str]:
        """How many rows there are of each outcome, and how many are still pending."""
        return Counter(row["outcome"] or row["state"] for row in self.rows())

    def costs(self) -> list[int]:
        return [row["cost_micro_usd"] for row in self.rows()]

    def account(self) -> tuple[int, int]:
        """What is held and what is spent."""
        [account] = self._read("SELECT * FROM accounts WHERE key = ?", f"user:default/address:{self.address}")
        return account["held_micro_usd"], account["spent_micro_usd"]

    def _read(self, statement: str, value: str) -> list[dict[str, Any]]:
        with self.site.database.read_transaction() as connection:
            return connection.fetch_rows(statement, (value,))


@contextmanager
def starting(directory: Path, store: Store | None = None, **settings: str) -> Iterator[Site]:
    prices = directory / "prices.toml"
    prices.write_text(PRICES, encoding="utf-8")
    store = store or SqliteFile(directory / "ledger.sqlite3")
    port = free_port()
    where = {
        "PORT": str(port),
        "STATE_DIR": str(directory / "state"),
        "DATA_DIR": str(directory / "data"),
        "DATABASE_URL": store.url,
        "PRICES_FILE": str(prices),
    }
    with (
        CostlyUpstream() as upstream,
        ExitStack() as asked,
        closing(open_database(store.url, directory)) as database,
        gunicorn(wait_for=None, OPENAI_BASE_URL=upstream.url, **where, **(SETTINGS | settings)) as server,
    ):
        site = Site(server, port, upstream, asked, store, database, directory)
        number = int((SETTINGS | settings)["WEB_CONCURRENCY"])
        site.wait_until_all_serve(number)
        yield site
        if server.process.poll() is None:
            site.wait_until_all_serve(number)  # gunicorn cannot stop one that it has only just begun
        assert not server.faults()


@pytest.fixture(scope="module")
def on_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with starting(tmp_path_factory.mktemp("money")) as site:
        yield site


@pytest.fixture(scope="module")
def on_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """All that is shared is in PostgreSQL and Redis, and workers are of threads."""
    directory = tmp_path_factory.mktemp("money")
    with (
        postgres_server() as postgres,
        redis_server(directory) as redis,
        starting(directory, PostgresDatabase(postgres), REDIS_URL=redis.url, WORKER_CLASS="gthread") as site,
    ):
        yield site


@pytest.fixture(params=["on_file", "on_servers"])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    site: Site = request.getfixturevalue(request.param)
    site.upstream.bills.clear()
    yield site
    site.asked.close()
    site.upstream.may_answer.set()
    site.upstream.takes_s = 0.0
    for plan in site.upstream.plans.values():
        plan.go.set()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger of this process takes all that still runs for dead."""
    now_ms = ledger_clock.now_ms
    monkeypatch.setattr(ledger_clock, "now_ms", lambda: now_ms() + 600_000)


def sweep(site: Site) -> int:
    return Ledger(site.database, site.directory / "data").sweep()


def test_these_prices_make_a_hold_as_large_as_its_bill(tmp_path: Path) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text(PRICES, encoding="utf-8")
    tokens = bound_input(ASKED, "gpt-6.1-terra")
    assert Prices(prices).bound_micro_usd("gpt-6.1-terra", tokens, MAX_TOKENS) == COST


@pytest.mark.parametrize("while_they_run", [False, True], ids=["as they end", "while they run"])
def test_a_budget_lets_as_many_through_as_it_can_pay_for(site: Site, while_they_run: bool) -> None:
    # Which workers take the connections is the kernel's choice: now and then a single one is the fastest.
    assert any(len(_workers_of_a_rush(site, while_they_run)) > 1 for _ in range(5))
    assert site.somebody().ask().outcome == (200, None)


def _workers_of_a_rush(site: Site, while_they_run: bool) -> set[str]:
    """Let somebody ask for more than they can pay for, and tell which workers have admitted what was admitted."""
    somebody = site.somebody()
    site.upstream.bills.clear()
    if while_they_run:
        site.upstream.may_answer.clear()
        opening = threading.Thread(target=lambda: _open_at(site, 20))
        opening.start()

    answers = somebody.ask_at_once(64)

    assert Counter(status for status, _ in answers) == {200: AFFORDABLE, 429: 64 - AFFORDABLE}
    assert all(int(after or 0) >= 1 for status, after in answers if status == 429)
    assert site.upstream.bills == [COST] * AFFORDABLE
    assert somebody.states() == {"complete": AFFORDABLE}
    assert sorted(somebody.costs()) == sorted(site.upstream.bills)
    assert somebody.account() == (0, BUDGET)
    assert somebody.ask().outcome == (429, "budget_exceeded")
    if while_they_run:
        opening.join()
    return {row["worker"] for row in somebody.rows()}


def _open_at(site: Site, calls: int) -> None:
    wait_until(lambda: len(site.upstream.bills) >= calls, "as many run as may")
    site.upstream.may_answer.set()


def test_what_has_ended_keeps_nobody_from_asking(site: Site) -> None:
    somebody = site.somebody()
    site.upstream.may_answer.clear()
    opening = threading.Thread(target=lambda: _open_at(site, 10))
    opening.start()
    assert {status for status, _ in somebody.ask_at_once(10)} == {200}
    opening.join()

    assert [somebody.ask().outcome for _ in range(11)] == [(200, None)] * 10 + [(429, "budget_exceeded")]

    assert site.upstream.bills == [COST] * AFFORDABLE
    assert somebody.account() == (0, BUDGET)


@dataclass
class Cut:
    """A stream that breaks off, and the plan of it."""

    name: str
    plan: Plan
    read: int | None
    """How many events its visitor reads before they leave; None reads all there are."""


def cuts(site: Site) -> list[Cut]:
    """Each at another event: by the upstream, in both ways in which a connection ends, and by the visitor."""
    all_cuts = []
    for then in ("end", "reset"):
        for events in (None, *range(EVENTS + 1)):
            name = f"{then} after {events}"
            all_cuts.append(Cut(name, site.plan(name, events, then), None))
    for read in range(len(TOKENS) + 2):
        name = f"left after {read}"
        is_whole = read > len(TOKENS)
        # The first event has no text, and is not told.
        all_cuts.append(Cut(name, site.plan(name, EVENTS if is_whole else 1 + read), read))
    name = "left before all"
    all_cuts.append(Cut(name, site.plan(name, None), 0))
    return all_cuts


def test_a_stream_that_breaks_off_at_any_event_is_one_row_of_what_was_billed(site: Site) -> None:
    asked = [(cut, site.somebody()) for cut in cuts(site)]

    def ask(cut: Cut, somebody: Somebody) -> None:
        with closing(somebody.ask("/api/chat/stream", f"{PROSE}#{cut.name}")) as stream:
            if cut.read is None:
                with suppress(HTTPException):  # gunicorn's own way to say that there is no more
                    stream.response.read()
                return
            assert cut.plan.arrived.wait(15)
            for _ in range(cut.read):
                next_event(stream.response)

    with ThreadPoolExecutor(len(asked)) as pool:
        list(pool.map(ask, *zip(*asked, strict=True)))
    wait_until(lambda: not any(somebody.states()["pending"] for _, somebody in asked), "all are settled")

    for cut, somebody in asked:
        [row] = somebody.rows()
        plan = cut.plan
        was_told = plan.events == EVENTS
        assert row["source"] == ("reported" if was_told else "estimated"), cut.name
        assert (row["outcome"] == "client_gone") == (cut.read is not None and not was_told), cut.name
        if was_told:
            assert row["cost_micro_usd"] == plan.bill, cut.name
        assert row["prompt_tokens"] == pytest.approx(plan.prompt_tokens, rel=0.1), cut.name
        # What the model may have thought in the time that it had comes on top of what was written.
        assert plan.written_tokens <= row["completion_tokens"] <= MAX_TOKENS, cut.name
        assert row["cost_micro_usd"] >= plan.bill, cut.name
        assert (row["attempts"], row["over_hold"]) == (1, 0)
        assert somebody.account() == (0, row["cost_micro_usd"]), cut.name


@pytest.mark.usefixtures("later")
def test_what_a_killed_worker_was_at_is_settled_by_the_sweep_at_whatever_stage_it_was(site: Site) -> None:
    plans = {
        "waiting": site.plan("waiting", None),
        "answered": site.plan("answered", 0),
        "begun": site.plan("begun", 4),
        "ending": site.plan("ending", 1 + len(TOKENS)),
    }
    people = {stage: site.somebody() for stage in ("unread", "unsent", *plans)}
    others = site.somebody()
    victim = min(site.server.workers())
    with workers.stopped(victim):
        kept_plans = [site.plan(name, 1 + len(TOKENS)) for name in ("one", "other")]
        kept = [others.ask("/api/chat/stream", f"#{name}") for name in ("one", "other")]
        for asked in kept:
            assert next_event(asked.response) == {"token": TOKENS[0]}

    with ExitStack() as until_killed:
        with site.alone(victim):
            unread = people["unread"].ask(is_whole=False)
            wait_until(lambda: _is_taken(site, unread), "its head is read")
            streams = {stage: people[stage].ask("/api/chat/stream", f"{PROSE}#{stage}") for stage in plans}
            for stage, plan in plans.items():
                assert plan.arrived.wait(15), stage
            for stage, tokens in (("begun", 3), ("ending", len(TOKENS))):
                for token in TOKENS[:tokens]:
                    assert next_event(streams[stage].response) == {"token": token}
            until_killed.enter_context(site.upstream.unreachable())
            people["unsent"].ask(message=PROSE)
            wait_until(people["unsent"].rows, "it is held")
        with site.store.frozen():
            for plan in (plans["ending"], *kept_plans):
                plan.go.set()
            for asked in (streams["ending"], *kept):
                while "done" not in next_event(asked.response):
                    pass
            os.kill(victim, signal.SIGKILL)

    wait_until(lambda: others.states() == {"complete": 2}, "what was not killed is settled", BACK_S)
    assert people.pop("unread").rows() == []
    if site.store.kind == "postgresql" and people["ending"].states() == {"complete": 1}:
        # A frozen server does what it was sent, once it is awake: here to settle what had ended, at its bill.
        ended = people.pop("ending")
        assert ended.costs() == [plans["ending"].bill]
        assert ended.account() == (0, plans["ending"].bill)
    assert [somebody.states() for somebody in people.values()] == [{"pending": 1}] * len(people)
    assert sweep(site) == len(people) >= 4
    assert sweep(site) == 0

    assert site.upstream.bills == []
    assert sorted(others.costs()) == sorted(plan.bill for plan in kept_plans)
    assert others.account() == (0, sum(plan.bill for plan in kept_plans))
    for stage, somebody in people.items():
        [row] = somebody.rows()
        bill = plans[stage].bill if stage in plans else 0
        assert row["outcome"] == "expired"
        assert bill <= row["cost_micro_usd"] <= row["held_micro_usd"], stage
        if stage == "ending":
            assert row["cost_micro_usd"] == bill, "its usage was told, and not settled"
        assert somebody.account() == (0, row["cost_micro_usd"]), stage


def _is_taken(site: Site, asked: Asked) -> bool:
    """Whether a worker has its connection, and not only the kernel."""
    with suppress(ValueError):
        return site.worker_of(asked) > 0
    return False


@pytest.mark.usefixtures("later")
@ON_FILE
def test_workers_killed_at_any_moment_leave_one_row_for_each_call(site: Site) -> None:
    people = [site.somebody() for _ in range(8)]
    site.upstream.takes_s = 0.05
    is_enough = threading.Event()

    def keep_asking(somebody: Somebody) -> int:
        asked = 0
        for path in ["/api/chat", "/api/chat/stream"] * (AFFORDABLE // 2 - 1):
            if is_enough.is_set():
                break
            asked += 1
            try:
                body = {"message": "Hello"}
                with exchange(site.port, "POST", path, body, from_address=somebody.address) as response:
                    assert response.status == 200
                    response.read()
            except (OSError, HTTPException):
                pass  # its worker was killed
        return asked

    with ThreadPoolExecutor(len(people)) as pool:
        asking = [pool.submit(keep_asking, somebody) for somebody in people]
        killed: set[int] = set()
        while len(killed) < 2:
            calls = len(site.upstream.bills)
            wait_until(lambda calls=calls: len(site.upstream.bills) > calls + 8, "they are at work")
            wait_until(lambda: _at_work(people) - killed, "one of them is at work")
            victim = min(_at_work(people) - killed, default=None)
            if victim is not None:
                os.kill(victim, signal.SIGKILL)
                killed.add(victim)
        is_enough.set()
        asked = [one.result() for one in asking]
    wait_until(lambda: _at_work(people) <= killed, "what was not killed is settled")
    swept = sweep(site)

    rows = [row for somebody in people for row in somebody.rows()]
    assert swept >= 1
    assert Counter(row["state"] for row in rows) == {"settled": len(rows)}
    assert Counter(row["outcome"] for row in rows)["expired"] == swept
    assert len(site.upstream.bills) <= len(rows) <= sum(asked)
    # Some may have been killed between their hold and their call.
    unsent = len(rows) - len(site.upstream.bills)
    assert unsent <= swept
    overcharged = sum(row["cost_micro_usd"] for row in rows) - sum(site.upstream.bills)
    assert unsent * COST <= overcharged <= unsent * 1.1 * COST
    for somebody in people:
        assert somebody.account() == (0, sum(somebody.costs()))


def _at_work(people: list[Somebody]) -> set[int]:
    """The processes that have, or had when they were killed, something to settle."""
    rows = [row for somebody in people for row in somebody.rows()]
    return {int(row["worker"].rpartition(":")[2]) for row in rows if row["state"] == "pending"}


@ON_FILE
def test_a_frozen_store_refuses_what_is_new_and_loses_nothing_that_runs(site: Site) -> None:
    somebody, others = site.somebody(), [site.somebody() for _ in range(8)]
    site.upstream.may_answer.clear()
    streams = [somebody.stream() for _ in range(4)]

    with site.store.frozen():
        refused = [other.ask() for other in others]
        assert [asked.outcome for asked in refused] == [(503, "store_unavailable")] * len(others)
        assert {asked.response.headers["Retry-After"] for asked in refused} == {"2"}
        took_s = sorted(asked.took_s for asked in refused)
        assert took_s[0] < 2.0, took_s  # each is answered by then, but read one after the other
        assert len(site.upstream.bills) == 4

        site.upstream.may_answer.set()
        for asked in streams:
            assert next_event(asked.response) == {"token": "more"}
            assert next_event(asked.response)["done"] is True
        assert somebody.states() == {"pending": 4}

    wait_until(lambda: somebody.states() == {"complete": 4}, "they are settled", BACK_S)
    assert sorted(somebody.costs()) == sorted(site.upstream.bills)
    assert somebody.account() == (0, sum(site.upstream.bills))
    assert not [row for other in others for row in other.rows()]
    wait_until(lambda: {other.ask().outcome for other in others} == {(200, None)}, "it is back", BACK_S)
    assert not site.journals()


@pytest.mark.usefixtures("later")
def test_what_a_stopped_server_could_not_settle_is_settled_by_the_next_one(tmp_path: Path) -> None:
    with starting(tmp_path, WEB_CONCURRENCY="2") as site:
        somebody = site.somebody()
        site.upstream.may_answer.clear()
        streams, of = [somebody.stream()], []
        while len(set(of := [site.worker_of(asked) for asked in streams])) < 2:
            streams.append(somebody.stream())
        killed = of.count(of[0])
        with site.store.frozen():
            site.upstream.may_answer.set()
            for asked in streams:
                assert asked.response.read().count(b'"done"') == 1
            os.kill(of[0], signal.SIGKILL)
            site.server.signal(signal.SIGTERM)
            site.server.process.wait(15)
            assert somebody.states() == {"pending": len(streams)}
        bills = site.upstream.bills
        [journal] = site.journals()
        assert b"Hello" not in journal.read_bytes()

    with starting(tmp_path, WEB_CONCURRENCY="1") as site:
        somebody.site = site
        kept = len(streams) - killed
        wait_until(lambda: somebody.states()["complete"] == kept, "they are settled", BACK_S)
        wait_until(lambda: not site.journals(), "the journal is empty", BACK_S)
        assert somebody.states() == {"complete": kept, "pending": killed}
        assert sweep(site) == killed
        assert sorted(somebody.costs()) == sorted(bills)
        assert somebody.account() == (0, sum(bills))
