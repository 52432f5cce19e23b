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
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from app.ledger import Database, Ledger, Prices, open_database
from app.ledger import clock as ledger_clock
from app.ledger.estimate import input_bound
from app.ledger.sqlite_driver import best_sqlite
from tests.deploy import test_workers_together as workers
from tests.fakes.openai_answers import completion, sse, stream_of
from tests.fakes.servers import exchange, free_port, gunicorn, next_event, wait_until

MOST_TOKENS = 100
ASKED = {"messages": [{"role": "user", "content": "Hello"}], "max_completion_tokens": MOST_TOKENS}
PRICES = '[models."gpt-6.1-terra"]\ninput = 1\noutput = 5\n'
# What one call costs, in micro-dollars: the upstream bills the most that it may, so that no hold is too large.
COST = input_bound(ASKED, "gpt-6.1-terra") + 5 * MOST_TOKENS
AFFORDABLE = 20
BUDGET = AFFORDABLE * COST
SETTINGS = {
    "WEB_CONCURRENCY": "4",
    "RETRY_MAX_ATTEMPTS": "1",
    "CHAT_FALLBACK_MODELS": ",",  # none
    "MAX_TOKENS": str(MOST_TOKENS),
    "BREAKER_FAILURES": "1000",
    "USER_BUDGET_USD": str(BUDGET / 1e6),
}
# A look each second whether the store is back, and what a busy machine may add to that.
BACK_S = 8.0

_numbers = count(2)


class CostlyUpstream:
    """An OpenAI that takes all it may, and writes down what it has billed, be the answer read or not."""

    def __init__(self) -> None:
        self.bills: list[int] = []
        self.may_answer = threading.Event()
        """What is not streamed waits for it, as does the end of what is."""
        self.takes_s = 0.0
        """As long does each of them besides."""
        self.may_answer.set()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.upstream = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def bill(self, body: dict[str, Any]) -> dict[str, int]:
        model = body.pop("model")
        prompt, written = input_bound(body, model), body["max_completion_tokens"]
        self.bills.append(prompt + 5 * written)
        return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}

    def __enter__(self) -> CostlyUpstream:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.may_answer.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    upstream: CostlyUpstream
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, *_: Any) -> None:
        """Stay silent: workers are killed here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        usage = self.server.upstream.bill(body)
        if body.get("stream"):
            payloads = stream_of("begun", "more", usage=usage)
            self._begin("text/event-stream", "Transfer-Encoding", "chunked")
            self._write_chunk(sse(*payloads[:2]))
            self._wait()
            self._write_chunk(sse(*payloads[2:]))
            self._write_chunk(b"")
            return
        self._wait()
        content = json.dumps(completion(usage=usage)).encode()
        self._begin("application/json", "Content-Length", str(len(content)))
        self.wfile.write(content)

    def _wait(self) -> None:
        self.server.upstream.may_answer.wait(30)
        time.sleep(self.server.upstream.takes_s)

    def _begin(self, content_type: str, framing: str, value: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header(framing, value)
        self.end_headers()

    def _write_chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def log_message(self, *args: Any) -> None:
        """Stay silent: tests look at `bills`."""


class Asked(workers.Asked):
    """A request that has been sent from an address, which is a user with a budget of its own."""

    def __init__(self, port: int, path: str, address: str) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=15, source_address=(address, 0))
        self._connection.request("POST", path, b'{"message": "Hello"}', {"Content-Type": "application/json"})
        self._socket = self._connection.sock
        self._sent = time.monotonic()
        self._response = None


@dataclass
class Site(workers.Site):
    """A server of several workers, the upstream behind it, and the ledger that they keep together."""

    upstream: Any
    database: Database
    directory: Path

    def somebody(self) -> Somebody:
        """Who has not spent anything yet."""
        return Somebody(self, f"127.0.0.{next(_numbers)}")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """While somebody else has the ledger's file, and does not let go."""
        other = best_sqlite().connect(self.directory / "ledger.sqlite3", isolation_level=None)
        try:
            other.execute("BEGIN EXCLUSIVE")
            yield
        finally:
            other.close()

    def journals(self) -> list[Path]:
        return list((self.directory / "data").glob("*"))


@dataclass
class Somebody:
    site: Site
    address: str

    def ask(self, path: str = "/api/chat") -> Asked:
        return self.site.asked.enter_context(closing(Asked(self.site.port, path, self.address)))

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
        with self.site.database.reading() as connection:
            return [dict(row._mapping) for row in connection.exec_driver_sql(statement, (value,))]


@contextmanager
def starting(directory: Path, **settings: str) -> Iterator[Site]:
    prices = directory / "prices.toml"
    prices.write_text(PRICES, encoding="utf-8")
    url = f"sqlite:///{directory}/ledger.sqlite3"
    port = free_port()
    where = {
        "PORT": str(port),
        "STATE_DIR": str(directory / "state"),
        "DATA_DIR": str(directory / "data"),
        "DATABASE_URL": url,
        "PRICES_FILE": str(prices),
    }
    with (
        CostlyUpstream() as upstream,
        ExitStack() as asked,
        closing(open_database(url, directory)) as database,
        gunicorn(wait_for=None, OPENAI_BASE_URL=upstream.url, **where, **(SETTINGS | settings)) as server,
    ):
        site = Site(server, port, upstream, asked, database, directory)
        site.wait_until_ready()
        yield site
        assert "Traceback" not in server.log()


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with starting(tmp_path_factory.mktemp("money")) as site:
        yield site


@pytest.fixture
def site(shared_site: Site) -> Iterator[Site]:
    shared_site.upstream.bills.clear()
    yield shared_site
    shared_site.asked.close()
    shared_site.upstream.may_answer.set()
    shared_site.upstream.takes_s = 0.0


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
    tokens = input_bound(ASKED, "gpt-6.1-terra")
    assert Prices(prices).bound_micro_usd("gpt-6.1-terra", tokens, MOST_TOKENS) == COST


@pytest.mark.parametrize("while_they_run", [False, True], ids=["as they end", "while they run"])
def test_a_budget_lets_as_many_through_as_it_can_pay_for(site: Site, while_they_run: bool) -> None:
    somebody = site.somebody()
    if while_they_run:
        site.upstream.may_answer.clear()
        opening = threading.Thread(target=lambda: _open_at(site, 20))
        opening.start()

    answers = somebody.ask_at_once(64)

    assert Counter(status for status, _ in answers) == {200: AFFORDABLE, 429: 64 - AFFORDABLE}
    assert all(int(after or 0) >= 1 for status, after in answers if status == 429)
    assert site.upstream.bills == [COST] * AFFORDABLE
    assert somebody.states() == {"complete": AFFORDABLE}
    assert len({row["worker"] for row in somebody.rows()}) > 1
    assert sorted(somebody.costs()) == sorted(site.upstream.bills)
    assert somebody.account() == (0, BUDGET)
    assert somebody.ask().outcome == (429, "budget_exceeded")
    assert site.somebody().ask().outcome == (200, None)
    if while_they_run:
        opening.join()


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


@pytest.mark.usefixtures("later")
def test_what_ran_in_a_killed_worker_is_settled_by_the_sweep(site: Site) -> None:
    somebody = site.somebody()
    site.upstream.may_answer.clear()
    streams = [somebody.stream() for _ in range(8)]
    calls = [somebody.ask() for _ in range(8)]
    wait_until(lambda: len(site.upstream.bills) == 16, "all of them run")
    of = {asked.port: site.worker_of(asked) for asked in streams + calls}
    victim = of[streams[0].port]
    lost = [*of.values()].count(victim)

    os.kill(victim, signal.SIGKILL)
    site.upstream.may_answer.set()
    for asked in streams:
        if of[asked.port] != victim:
            assert next_event(asked.response) == {"token": "more"}
            assert next_event(asked.response)["done"] is True
    assert {asked.outcome for asked in calls if of[asked.port] != victim} <= {(200, None)}
    wait_until(lambda: somebody.states()["complete"] == 16 - lost, "the others are settled")

    assert somebody.states() == {"complete": 16 - lost, "pending": lost}
    assert sweep(site) == lost
    assert sweep(site) == 0

    assert somebody.states() == {"complete": 16 - lost, "expired": lost}
    assert sorted(somebody.costs()) == sorted(site.upstream.bills)
    assert somebody.account() == (0, sum(site.upstream.bills))


@pytest.mark.usefixtures("later")
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


def test_a_frozen_store_refuses_what_is_new_and_loses_nothing_that_runs(site: Site) -> None:
    somebody, others = site.somebody(), [site.somebody() for _ in range(8)]
    site.upstream.may_answer.clear()
    streams = [somebody.stream() for _ in range(4)]

    with site.frozen():
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
        with site.frozen():
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
