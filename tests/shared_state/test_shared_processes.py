"""Shared state between real processes, each of them a Python of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from app.shared_state import open_state

ROOT = Path(__file__).parents[2]
BEGIN = """
import sys, random
from pathlib import Path
from app.shared_state import open_state
state = open_state(directory=Path(sys.argv[1]), redis_url=sys.argv[2])
input()
"""


def start(code, place):
    """A process that has opened the store and waits for a line before it goes on."""
    command = [sys.executable, "-W", "error", "-c", BEGIN + code, *place]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def run_together(code, place, processes=4):
    """What each of several processes printed."""
    started = [start(code, place) for _ in range(processes)]
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=60)[0] for process in started]
    assert [process.returncode for process in started] == [0] * processes
    return outputs


def test_no_update_is_lost_between_processes(place):
    code = """
for _ in range(250):
    state.update("count", lambda old: b"%d" % (int(old or 0) + 1), ttl_s=60)
"""
    run_together(code, place)
    state = open_state(directory=Path(place[0]), redis_url=place[1])
    assert state.read("count") == b"1000"
    state.close()


def test_processes_never_hold_more_than_the_limit(place):
    # Each notes its own beginnings and ends in a value that changes atomically, and so says how many were held.
    code = """
most, taken, held = 0, 0, []
def shift(by):
    return int(state.update("held", lambda old: b"%d" % (int(old or 0) + by), ttl_s=60))
for _ in range(200):
    if random.random() < 0.6 and (lease := state.take_lease("streams", 7)):
        taken += 1
        held.append(lease)
        most = max(most, shift(1))
    elif held:
        shift(-1)
        held.pop().release()
    for lease in held:
        lease.keep()
while held:
    shift(-1)
    held.pop().release()
print(most, taken)
"""
    outputs = [[int(word) for word in output.split()] for output in run_together(code, place)]
    assert max(most for most, _ in outputs) <= 7
    assert sum(taken for _, taken in outputs) >= 50
    state = open_state(directory=Path(place[0]), redis_url=place[1])
    assert state.read("held") == b"0"
    assert sum(state.take_lease("streams", 7) is not None for _ in range(20)) == 7
    state.close()


def test_leases_of_a_killed_process_end(store, request, tmp_path):
    url = request.getfixturevalue("redis_store").url if store.kind == "redis" else ""
    code = """
leases = [state.take_lease("streams", 3) for _ in range(3)]
print(all(leases), flush=True)
input()
"""
    with start(code, (str(tmp_path / "state"), url)) as holder:
        holder.stdin.write("go\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == "True\n"
        holder.kill()
    request.getfixturevalue("clock").now = time.time()
    state = store.open()
    assert state.take_lease("streams", 3) is None
    store.move(11)
    assert state.take_lease("streams", 3)


def test_killed_writers_leave_a_state_that_works(place):
    code = """
print("ready", flush=True)
for number in range(1_000_000):
    state.update(f"key {number % 50}", lambda old: bytes([number % 256]) * 3000, ttl_s=60)
    if lease := state.take_lease("streams", 1000):
        lease.release()
"""
    state = open_state(directory=Path(place[0]), redis_url=place[1])
    for kill in range(4):
        with start(code, place) as writer:
            writer.stdin.write("go\n")
            writer.stdin.flush()
            assert writer.stdout.readline() == "ready\n"
            value = b"%d" % kill
            for _ in range(10 * kill + 1):
                assert state.update("own", lambda old, value=value: value, ttl_s=60) == value
            writer.kill()
        assert state.read("own") == value
    state.close()


def test_child_of_a_fork_is_a_process_of_its_own(place):
    code = """
import os
first = state.take_lease("streams", 3)
child = os.fork()
mine = [state.take_lease("streams", 3) for _ in range(1)]
state.update("count", lambda old: b"%d" % (int(old or 0) + 1), ttl_s=60)
if child == 0:
    os._exit(0 if all(mine) else 1)
_, status = os.waitpid(child, 0)
print(status, all(mine), state.take_lease("streams", 3) is None, state.read("count"))
"""
    assert run_together(code, place, processes=1) == ["0 True True b'2'\n"]


def test_redis_is_loaded_by_those_who_use_it_alone(tmp_path):
    assert run_together("print('redis' in sys.modules)", (str(tmp_path), ""), processes=1) == ["False\n"]
    url = "redis://127.0.0.1:1"
    assert run_together("print('redis' in sys.modules)", (str(tmp_path), url), processes=1) == ["True\n"]
