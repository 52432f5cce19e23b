"""Shared state in a gevent worker: everything that waits lets other greenlets run."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BEGIN = """
from gevent import monkey
monkey.patch_all()
import gevent, json, sys, time
from pathlib import Path
from app.shared_state import open_state
state = open_state(directory=Path(sys.argv[1]), redis_url=sys.argv[2])

longest_s = 0.0
def watch():
    global longest_s
    while True:
        before = time.perf_counter()
        gevent.sleep(0.001)
        longest_s = max(longest_s, time.perf_counter() - before)
"""
LEASES = """
state.take_lease("warm up", 1).release()
held = most = taken = 0
def work(_):
    global held, most, taken
    for _ in range(5):
        lease = state.take_lease("streams", 20)
        if lease is not None:
            held += 1
            taken += 1
            most = max(most, held)
            gevent.sleep(0.001)
            lease.keep()
            held -= 1
            lease.release()
def count():
    state.update("count", lambda old: b"%d" % (int(old or 0) + 1), ttl_s=60)
gevent.joinall([gevent.spawn(work, at) for at in range(200)], raise_error=True)
gevent.joinall([gevent.spawn(count) for _ in range(40)], raise_error=True)
all_again = sum(state.take_lease("streams", 20) is not None for _ in range(30))
print(json.dumps({"most": most, "taken": taken, "count": int(state.read("count")), "all": all_again}))
"""
FROZEN = """
state.update("key", lambda old: b"value", ttl_s=60)
lease = state.take_lease("streams", 1000)
print("ready", flush=True)
input()
gevent.spawn(watch)
gevent.sleep(0.01)
def work(at):
    start = time.perf_counter()
    state.read("key")
    state.update(f"key {at}", lambda old: b"value", ttl_s=60)
    taken = state.take_lease("streams", 1000)
    lease.keep()
    taken.release()
    return time.perf_counter() - start
workers = [gevent.spawn(work, at) for at in range(200)]
gevent.joinall(workers, raise_error=True)
print(json.dumps({"longest_s": longest_s, "slowest_s": max(worker.value for worker in workers)}), flush=True)
input()
deadline = time.monotonic() + 10
while state.read("key") != b"value":
    assert time.monotonic() < deadline
    gevent.sleep(0.05)
print(json.dumps("back"))
"""


def start(code, place):
    command = [sys.executable, "-W", "error", "-c", BEGIN + code, *place]
    return subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_greenlets_never_hold_more_than_the_limit(place):
    with start(LEASES, place) as worker:
        output, errors = worker.communicate(timeout=60)
    assert worker.returncode == 0, errors
    result = json.loads(output)
    assert result["most"] <= 20
    assert result["taken"] >= 20
    assert result["all"] == 20
    assert result["count"] == 40


@pytest.mark.parametrize("place", ["sqlite", "redis"], indirect=True)
def test_frozen_store_stalls_no_other_greenlet(place, request):
    with start(FROZEN, place) as worker:
        assert worker.stdout.readline() == "ready\n", worker.stderr.read()
        if place[1]:
            with request.getfixturevalue("redis_store").frozen():
                result = ask(worker)
        else:
            other = sqlite3.connect(Path(place[0]) / "state.sqlite3", isolation_level=None)
            other.execute("BEGIN EXCLUSIVE")
            result = ask(worker)
            other.close()
        assert result["longest_s"] < 0.05
        assert result["slowest_s"] < 0.6
        assert ask(worker) == "back"
        worker.communicate(timeout=10)


def ask(worker):
    worker.stdin.write("go\n")
    worker.stdin.flush()
    return json.loads(worker.stdout.readline())
