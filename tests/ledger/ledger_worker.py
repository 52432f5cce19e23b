"""A process that works on a ledger, for tests: `python ledger_worker.py URL JOB JSON`, once it is told to on stdin."""

from __future__ import annotations

import contextlib
import json
import random
import sys
import tempfile
import threading
import time
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# The ledger alone: to load the whole application as well takes each process a second.
_ROOT = Path(__file__).parents[2]
sys.modules["app"] = types.ModuleType("app")
sys.modules["app"].__path__ = [str(_ROOT / "app")]

from app.ledger.database import StoreUnavailable, open_database  # noqa: E402
from app.ledger.ledger import Ledger  # noqa: E402
from app.ledger.records import BudgetExceeded, Limit, NewEntry, Settlement  # noqa: E402

ENTRY = NewEntry("r", "acme", "ann", None, "/api/chat", "chat", "m")


def tell(**what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def settled(cost):
    return Settlement(outcome="complete", source="reported", cost_micro_usd=cost, prompt_tokens=cost)


def admit(ledger, limits, told):
    """As many as get in, all at once."""
    barrier = threading.Barrier(told["threads"])

    def one(_):
        barrier.wait()
        admitted = 0
        for _ in range(told["each"]):
            try:
                ledger.hold(ENTRY, limits, micro_usd=told["micro_usd"], tokens=told["tokens"], lease_s=600)
                admitted += 1
            except BudgetExceeded:
                pass
            except StoreUnavailable as error:
                tell(unavailable=str(error))
        return admitted

    with ThreadPoolExecutor(told["threads"]) as pool:
        tell(admitted=sum(pool.map(one, range(told["threads"]))))


def live(ledger, limits, told):
    """Requests of every kind, until the process is killed or its time is over; a line for each that was admitted."""
    until = time.monotonic() + told["seconds"]
    lock = threading.Lock()

    def one(seed):
        chance = random.Random(seed)
        while time.monotonic() < until:
            try:
                held = ledger.hold(ENTRY, limits, micro_usd=100, tokens=100, lease_s=told["lease_s"])
            except BudgetExceeded:
                time.sleep(0.001)
                continue
            with lock:
                tell(id=held.id)
            if chance.random() < 0.2:
                with contextlib.suppress(BudgetExceeded):
                    ledger.extend(held, micro_usd=50, tokens=50)
            time.sleep(chance.random() * 0.003)
            for _ in range(chance.choice((1, 1, 2))):
                ledger.settle(held, settled(chance.randrange(100)))

    with ThreadPoolExecutor(told["threads"]) as pool:
        list(pool.map(one, [told["seed"] * 100 + at for at in range(told["threads"])]))


def sweep(ledger, limits, told):
    tell(swept=ledger.sweep())


def migrate(ledger, limits, told):
    """Nothing more: that has been done."""


if __name__ == "__main__":
    url, job, told = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    database = open_database(url, Path.cwd())
    if job != "migrate":
        database.migrate()
    tell(ready=True)
    sys.stdin.readline()
    database.migrate()
    limits = [Limit(**limit) for limit in told.get("limits", ())]
    ledger = Ledger(database, Path(tempfile.gettempdir()) / "unused")
    {"admit": admit, "live": live, "sweep": sweep, "migrate": migrate}[job](ledger, limits, told)
    database.close()
