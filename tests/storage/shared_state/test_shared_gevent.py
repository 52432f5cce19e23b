"""Shared state in gevent workers: bursts, and that everything that waits lets other greenlets run."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from tests.fakes.storage.children import Child
from tests.fakes.tables import further

# What a worker does in a burst, and how often that comes to asking the store.
BURST = """
import collections, logging, os
asked, events = collections.Counter(), []
log = logging.getLogger("app.shared_state")
log.addHandler(logging.Handler())
log.handlers[0].emit = lambda record: events.append(record.getMessage())
def count(name, ask):
    def counted(*args):
        asked[name] += 1
        return ask(*args)
    setattr(state._store, name, counted)
for name in ("read", "compare_and_swap", "take_leases", "set_leases"):
    count(name, getattr(state._store, name))
state.update("circuit", lambda old: b"open", ttl_s=60)
print("ready", flush=True)
input()
def work(number):
    mine = b"%d.%d" % (os.getpid(), number)
    is_open = state.read("circuit") == b"open"
    is_probe = state.update("probe", lambda old: old or mine, ttl_s=60) == mine
    return is_open, is_probe, take_lease(state, "streams", 250)
workers = [gevent.spawn(work, number) for number in range(150)]
gevent.joinall(workers, raise_error=True)
opens, probes, leases = zip(*(worker.value for worker in workers))
leases = [lease for lease in leases if lease]
print("done", flush=True)
input()
gevent.joinall([gevent.spawn(lease.release) for lease in leases], raise_error=True)
result = {"opens": sum(opens), "probes": sum(probes), "leases": len(leases), "asked": asked, "events": events}
print(json.dumps(result))
"""
# Beyond 64 sockets that are ready, gevent first looks whether time is up.
LATE = """
import socket
pairs = [socket.socketpair() for _ in range(200)]
readers = [gevent.spawn(pair[0].recv, 1) for pair in pairs]
state.update("key", lambda old: b"value", ttl_s=60)
def work():
    for pair in pairs:
        pair[1].send(b"x")
    return state.read("key")
worker = gevent.spawn(work)
gevent.spawn(monkey.get_original("time", "sleep"), 0.4)
print(worker.get())
gevent.joinall(readers)
for pair in pairs:
    pair[0].close(), pair[1].close()
"""
FROZEN = """
from tests.fakes.stopwatch import Stopwatch
longest_s = 0.0
def beat():
    global longest_s
    while True:
        before = time.perf_counter()
        gevent.sleep(0.001)
        longest_s = max(longest_s, time.perf_counter() - before)
state.update("key", lambda old: b"value", ttl_s=60)
lease = take_lease(state, "streams", 1000)
print("ready", flush=True)
input()
gevent.spawn(beat)
gevent.sleep(0.01)
def work(at):
    start = time.perf_counter()
    state.read("key")
    state.update(f"key {at}", lambda old: b"value", ttl_s=60)
    taken = take_lease(state, "streams", 1000)
    lease.renew()
    taken.release()
    return time.perf_counter() - start
watch = Stopwatch()
workers = [gevent.spawn(work, at) for at in range(200)]
gevent.joinall(workers, raise_error=True)
queued_s = watch.wall_s() - watch.elapsed_s()
slowest_s = max(worker.value for worker in workers) - queued_s
print(json.dumps({"longest_s": longest_s, "slowest_s": slowest_s}), flush=True)
input()
deadline = time.monotonic() + 10
while state.read("key") != b"value":
    assert time.monotonic() < deadline
    gevent.sleep(0.05)
print(json.dumps("back"))
"""


# Whoever leads the second time is ended while it lets the others come.
GATHERED = """
from tests.fakes.ready_greenlets import start_together
from app.storage.shared_state.coalescing import Coalescer
asked, kills = [], []
swap, gather = state._store.compare_and_swap, Coalescer._gather
def swap_counted(*values):
    asked.append(values)
    return swap(*values)
def gather_or_leave(self, key):
    if kills:
        kills.pop()
        gevent.getcurrent().kill(block=False)
    return gather(self, key)
state._store.compare_and_swap, Coalescer._gather = swap_counted, gather_or_leave
def add():
    return int(state.update("count", lambda old: b"%d" % (int(old or 0) + 1), ttl_s=60))
def add_together():
    del asked[:]
    values = start_together(add, *[()] * 20)
    return sorted(value for value in values if isinstance(value, int)), len(asked)

import socket
ours, theirs = socket.socketpair()
other = gevent.spawn(ours.recv, 1)
gevent.sleep(0)
theirs.send(b"x")  # the loop does not know yet
add()
told = [not other.ready(), add_together()]
kills.append(True)
print(json.dumps([*told, add_together()]))
other.join()
ours.close(), theirs.close()
"""


LEAVERS = """
def work(number):
    return state.update("count", lambda old: b"%d" % (int(old or 0) + 1), ttl_s=60)
state.read("connected")
workers = [gevent.spawn(work, number) for number in range(9)]
gevent.sleep(0)
assert not any(worker.dead for worker in workers), "the store has answered too soon"
for leaver in workers[4:6] + workers[:1]:
    leaver.kill(block=False)
gevent.joinall(workers, raise_error=True)
print(sorted(int(worker.value) for worker in workers if isinstance(worker.value, bytes)))
"""


# The loop itself, in which a forgotten stream may be closed, calls while another caller lets the others come.
IN_LOOP = """
def add():
    return int(state.update("count", lambda old: b"%d" % (int(old or 0) + 1), ttl_s=60))
values, lease = [], take_lease(state, "streams", 9)
def add_in_loop():
    values.append(add())
    lease.release()
def add_and_take():
    gevent.get_hub().loop.run_callback(add_in_loop)
    values.append(add())
    return take_lease(state, "streams", 9)
kept = gevent.spawn(add_and_take).get()
print(json.dumps([sorted(values), state.count_leases("streams")]))
"""


def test_burst_over_two_workers_gets_one_probe_and_exactly_the_limit(place):
    workers = [Child(BURST, place, in_gevent=True) for _ in range(2)]
    for step in ("ready", "done"):
        for worker in workers:
            assert worker.line() == step, worker.end()
        if step == "ready":
            for worker in workers:
                worker.say()
    for worker in workers:
        worker.say()
    results = [json.loads(worker.end()) for worker in workers]
    assert sum(result["opens"] for result in results) == 300
    assert sum(result["probes"] for result in results) == 1
    assert sum(result["leases"] for result in results) == 250
    assert [result["events"] for result in results] == [[], []]
    assert max(sum(result["asked"].values()) for result in results) < 40


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_those_that_are_ready_at_once_change_a_value_of_a_file_once(place):
    is_alone_at_once, together, with_a_leaver = json.loads(Child(GATHERED, place, in_gevent=True).end())

    assert is_alone_at_once
    assert together == [[*range(2, 22)], 1]
    assert with_a_leaver == [[*range(22, 41)], 1]


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_the_loop_itself_waits_for_nobody(place):
    assert json.loads(Child(IN_LOOP, place, in_gevent=True).end()) == [[1, 2], 1]


@pytest.mark.parametrize("place", ["redis"], indirect=True)
def test_answer_that_is_looked_at_late_is_no_outage(place):
    assert Child(LATE, place, in_gevent=True).end() == "b'value'\n"


@pytest.mark.parametrize("place", ["redis"], indirect=True)
def test_greenlets_that_are_ended_while_they_ask_stop_nobody(place):
    # Whether the change of the one that was asking is made is open; those that were waiting have made none.
    assert Child(LEAVERS, place, in_gevent=True).end() in (f"{[*range(1, 7)]}\n", f"{[*range(2, 8)]}\n")


@pytest.mark.parametrize("place", ["sqlite", *further("redis")], indirect=True)
def test_frozen_store_stalls_no_other_greenlet(place, request):
    worker = Child(FROZEN, place, in_gevent=True)
    assert worker.line() == "ready", worker.end()
    if place[1]:
        with request.getfixturevalue("redis_store").frozen():
            result = ask(worker)
    else:
        other = sqlite3.connect(Path(place[0]) / "state.sqlite3", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        result = ask(worker)
        other.close()
    assert result["longest_s"] < 0.1
    assert result["slowest_s"] < 0.6
    worker.say()
    assert json.loads(worker.end()) == "back"


def ask(worker):
    worker.say()
    return json.loads(worker.line())
