"""Shared state between real processes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from app.storage.shared_state import open_state
from tests.fakes.storage.children import Child, run_alone, run_together
from tests.fakes.storage.leases import take_lease


def test_processes_lose_no_update_and_never_hold_more_than_the_limit(place):
    # Each notes its own beginnings and ends in a value that changes atomically, and so says how many were held.
    code = """
import random
most, taken, held = 0, 0, []
def add(key, number):
    return int(state.update(key, lambda old: b"%d" % (int(old or 0) + number), ttl_s=60))
for _ in range(60):
    add("count", 1)
    if random.random() < 0.6 and (lease := take_lease(state, "streams", 5)):
        taken += 1
        held.append(lease)
        most = max(most, add("held", 1))
    elif held:
        add("held", -1)
        held.pop().release()
    for lease in held:
        lease.renew()
while held:
    add("held", -1)
    held.pop().release()
print(most, taken)
"""
    outputs = [[int(word) for word in output.split()] for output in run_together(code, place)]
    assert max(most for most, _ in outputs) <= 5
    assert sum(taken for _, taken in outputs) >= 15
    state = open_state(directory=Path(place[0]), redis_url=place[1])
    assert (state.read("count"), state.read("held")) == (b"180", b"0")
    assert sum(take_lease(state, "streams", 5) is not None for _ in range(20)) == 5
    state.close()


def test_leases_of_a_killed_process_end(store, request, tmp_path):
    url = request.getfixturevalue("redis_store").url if store.kind == "redis" else ""
    code = """
leases = [take_lease(state, "streams", 3) for _ in range(3)]
print(all(leases), flush=True)
input()
"""
    holder = Child(code, (str(tmp_path / "state"), url))
    assert holder.line() == "True"
    holder.kill()
    request.getfixturevalue("clock").now = time.time()
    state = store.open()
    assert take_lease(state, "streams", 3) is None
    store.move(11)
    assert take_lease(state, "streams", 3)


def test_killed_writers_leave_a_state_that_works(place):
    code = """
print("ready", flush=True)
for number in range(1_000_000):
    state.update(f"key {number % 50}", lambda old: bytes([number % 256]) * 3000, ttl_s=60)
    if lease := take_lease(state, "streams", 1000):
        lease.release()
"""
    state = open_state(directory=Path(place[0]), redis_url=place[1])
    for kill in range(3):
        writer = Child(code, place)
        assert writer.line() == "ready"
        value = b"%d" % kill
        for _ in range(10 * kill + 1):
            assert state.update("own", lambda old, value=value: value, ttl_s=60) == value
        writer.kill()
        assert state.read("own") == value
    state.close()


def test_child_of_a_fork_is_a_process_of_its_own(place):
    code = """
import os
first = take_lease(state, "streams", 3)
child = os.fork()
mine = [take_lease(state, "streams", 3) for _ in range(1)]
state.update("count", lambda old: b"%d" % (int(old or 0) + 1), ttl_s=60)
if child == 0:
    os._exit(0 if all(mine) else 1)
_, status = os.waitpid(child, 0)
print(status, all(mine), take_lease(state, "streams", 3) is None, state.read("count"))
"""
    assert Child(code, place).end() == "0 True True b'2'\n"


@pytest.mark.thorough
def test_redis_is_loaded_by_those_who_use_it_alone(tmp_path):
    code = """
state = open_state(directory=Path(sys.argv[1]), redis_url=sys.argv[2])
print("redis" in sys.modules)
open_state(directory=Path(sys.argv[1]), redis_url="redis://127.0.0.1:1")
print("redis" in sys.modules)
"""
    assert run_alone(code, (str(tmp_path), "")) == "False\nTrue\n"
