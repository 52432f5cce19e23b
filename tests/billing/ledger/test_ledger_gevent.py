"""The ledger in a gevent worker: no greenlet waits for another one's store."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
CODE = """
from gevent import monkey
monkey.patch_all()
import gevent, json, sys, time, types
from pathlib import Path
sys.modules["app"] = types.ModuleType("app")
sys.modules["app"].__path__ = ["app"]
from app.storage.database.database import DatabaseUnavailable, open_database
from app.billing.ledger.ledger import Ledger
from app.billing.ledger.records import Limit, NewEntry, Settlement

database = open_database(sys.argv[1], Path())
database.migrate()
ledger = Ledger(database, Path(sys.argv[2]))
ledger.start()
ENTRY = NewEntry("r", "acme", "ann", None, "/api/chat", "chat", "m")
DAY = Limit("user:acme/ann", "month", micro_usd=10**9)
DONE = Settlement(outcome="complete", source="reported", cost_micro_usd=1, prompt_tokens=1)

def hold(_=None):
    return ledger.hold(ENTRY, [DAY], micro_usd=100, tokens=1, lease_s=600)

def work(_):
    for _ in range(5):
        held = hold()
        gevent.sleep(0.001)
        ledger.settle(held, DONE)

gevent.joinall([gevent.spawn(work, at) for at in range(100)], raise_error=True)
held = [hold() for _ in range(20)]
print("freeze", flush=True)
sys.stdin.readline()

longest_s = 0.0
def watch():
    global longest_s
    while True:
        before = time.perf_counter()
        gevent.sleep(0.001)
        longest_s = max(longest_s, time.perf_counter() - before)
watcher = gevent.spawn(watch)
gevent.sleep(0.01)

refused = took_s = 0
def refuse(_):
    global refused, took_s
    before = time.perf_counter()
    try:
        hold()
    except DatabaseUnavailable:
        refused += 1
    took_s = max(took_s, time.perf_counter() - before)
gevent.joinall(
    [gevent.spawn(refuse, at) for at in range(50)] + [gevent.spawn(ledger.settle, one, DONE) for one in held],
    raise_error=True,
)
watcher.kill()
print(json.dumps({"refused": refused, "took_s": took_s, "longest_s": longest_s}), flush=True)
sys.stdin.readline()
deadline = time.monotonic() + 20
while time.monotonic() < deadline:
    try:
        ledger.retry()
        break
    except DatabaseUnavailable:
        gevent.sleep(0.05)
ledger.close()
database.close()
"""


@pytest.mark.thorough
@pytest.mark.parametrize(
    "store", ["sqlite", pytest.param("postgresql", marks=pytest.mark.thorough)], indirect=True
)
def test_a_frozen_store_stops_no_other_greenlet(store, rows, violations, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, store.url, str(tmp_path / "journal")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        assert process.stdout.readline() == "freeze\n"
        assert not violations()
        with store.frozen():
            process.stdin.write("\n")
            process.stdin.flush()
            told = json.loads(process.stdout.readline())
        process.communicate("\n", timeout=60)
    finally:
        process.kill()
        process.communicate()

    assert process.returncode == 0
    assert told["refused"] == 50
    assert told["took_s"] < 2.0
    assert told["longest_s"] < 0.9  # a wait that blocked them all would take a second, or more
    assert {row["state"] for row in rows("entries")} == {"settled"}
    # What a frozen server was sent it does once it is awake; nobody was admitted by that, and nothing is charged.
    late = [row for row in rows("entries") if row["outcome"] == "not_admitted"]
    assert not late or store.kind == "postgresql"
    assert {(row["cost_micro_usd"], row["tokens"]) for row in late} <= {(0, 0)}
    assert len(rows("entries")) - len(late) == 520
    assert rows("accounts")[0]["spent_micro_usd"] == 520
    assert not violations()
