"""Processes that work on a ledger at the same time, and that can be killed.

They are forked from one that has loaded the ledger and opened nothing: to load it takes longer than their work does.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import random
import sys
import tempfile
import threading
import time
import types
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

if "app" not in sys.modules:  # in that process, which does without the rest of the application
    sys.modules["app"] = types.ModuleType("app")
    sys.modules["app"].__path__ = [str(Path(__file__).parents[3] / "app")]

from app.billing.ledger.ledger import Ledger
from app.billing.ledger.records import BudgetExceeded, Limit, NewEntry, Settlement
from app.storage.database.database import DatabaseUnavailable, open_database

ENTRY = NewEntry("r", "acme", "ann", None, "/api/chat", "chat", "m")
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([__name__])


class Worker:
    """Does a job, which is one of the functions below, once it is told to; and tells of it."""

    def __init__(self, url: str, job: str, **told: Any) -> None:
        self._connection, its_own = _processes.Pipe()
        self._process = _processes.Process(target=_work, args=(its_own, url, job, told))
        self._process.start()
        its_own.close()

    def wait_until_ready(self) -> None:
        assert self._connection.recv() == "ready"

    def begin(self) -> None:
        self._connection.send("begin")

    def end(self) -> list[Any]:
        """All that it has told, once it has ended by itself."""
        told = list(self._told())
        self._process.join(60)
        assert self._process.exitcode == 0
        return told

    def kill(self) -> list[Any]:
        """All that it had told until now."""
        self._process.kill()
        return list(self._told())

    def close(self) -> None:
        self._process.kill()
        self._process.join()
        self._process.close()
        self._connection.close()

    def _told(self) -> Iterator[Any]:
        with contextlib.suppress(EOFError, ConnectionResetError):
            while True:
                yield self._connection.recv()


@contextlib.contextmanager
def workers(url: str, number: int, job: str, **told: Any) -> Iterator[list[Worker]]:
    """Processes that are ready to begin."""
    with contextlib.ExitStack() as stack:
        started = [
            stack.enter_context(contextlib.closing(Worker(url, job, **told, seed=seed))) for seed in range(number)
        ]
        for worker in started:
            worker.wait_until_ready()
        yield started


def run_together(url: str, number: int, job: str, **told: Any) -> list[Any]:
    """All that processes have told which begin at the same moment."""
    with workers(url, number, job, **told) as started:
        for worker in started:
            worker.begin()
        return [what for worker in started for what in worker.end()]


def _work(connection: Connection, url: str, job: str, told: dict[str, Any]) -> None:
    database = open_database(url, Path.cwd())
    if job != "migrate":
        database.migrate()
    connection.send("ready")
    connection.recv()
    database.migrate()
    ledger = Ledger(database, Path(tempfile.gettempdir()) / "unused")
    _JOBS[job](ledger, [Limit(**limit) for limit in told.get("limits", ())], told, connection.send)
    database.close()


def _settled(cost):
    return Settlement(outcome="complete", source="reported", cost_micro_usd=cost, prompt_tokens=cost)


def _admit(ledger, limits, told, tell):
    """As many as get in, all at once. Tells how many, and of each for whom the store was not there."""
    barrier = threading.Barrier(told["threads"])
    unavailable = []

    def one(_):
        barrier.wait()
        admitted = 0
        for _ in range(told["each"]):
            try:
                ledger.hold(ENTRY, limits, micro_usd=told["micro_usd"], tokens=told["tokens"], lease_s=600)
                admitted += 1
            except BudgetExceeded:
                pass
            except DatabaseUnavailable as error:
                unavailable.append(str(error))
        return admitted

    with ThreadPoolExecutor(told["threads"]) as pool:
        tell((sum(pool.map(one, range(told["threads"]))), unavailable))


def _live(ledger, limits, told, tell):
    """Requests of every kind, until the process is killed. Tells the id of each that was admitted."""
    lock = threading.Lock()

    def one(seed):
        chance = random.Random(seed)
        while True:
            try:
                held = ledger.hold(ENTRY, limits, micro_usd=100, tokens=100, lease_s=told["lease_s"])
            except BudgetExceeded:
                time.sleep(0.001)
                continue
            with lock:
                tell(held.id)
            if chance.random() < 0.2:
                with contextlib.suppress(BudgetExceeded):
                    ledger.extend(held, micro_usd=50, tokens=50)
            time.sleep(chance.random() * 0.003)
            for _ in range(chance.choice((1, 1, 2))):
                ledger.settle(held, _settled(chance.randrange(100)))

    with ThreadPoolExecutor(told["threads"]) as pool:
        list(pool.map(one, [told["seed"] * 100 + at for at in range(told["threads"])]))


def _sweep(ledger, limits, told, tell):
    """Tells how many."""
    tell(ledger.sweep())


def _migrate(ledger, limits, told, tell):
    """Nothing more: that has been done."""


_JOBS = {"admit": _admit, "live": _live, "sweep": _sweep, "migrate": _migrate}
