"""The runtime under gevent as it runs in a worker, each test in a fork of its own: gevent changes its process.

What differs without gevent is tested without it too.
"""

from __future__ import annotations

import pytest

from tests.fakes.scripts import run_each

# Without app/__init__.py, which imports everything.
PROCESS = """
import os, sys, types
sys.modules["app"] = types.ModuleType("app")
sys.modules["app"].__path__ = ["app"]
from app.runtime import process
"""

IMPORTS = f"""
from gevent import monkey; monkey.patch_all()
{PROCESS}
import gevent, threading, time
from app.runtime.blocking import run_blocking
from app.runtime.turns import give_turn, in_turns
"""

SCRIPTS = {
    "what a blocking step raises is raised and not printed": """
def fail():
    raise OSError("the disk is full")

assert run_blocking(lambda: 7) == 7
try:
    run_blocking(fail)
    raise SystemExit("nothing was raised")
except OSError as error:
    assert str(error) == "the disk is full"
""",
    "the loop itself does not wait for a turn": """
ended = []
def work():
    give_turn()
    ended.append("work")

gevent.get_hub().loop.run_callback(work)
gevent.sleep(0.01)
assert ended == ["work"]
""",
    "timers run between any two turns": """
beats = []
def beat():
    while True:
        time.sleep(0.001)
        beats.append(time.perf_counter())

threading.Thread(target=beat, daemon=True).start()
time.sleep(0.01)
beats.clear()
for _ in in_turns(range(30)):
    end = time.thread_time() + 0.006
    while time.thread_time() < end:
        pass
assert len(beats) >= 15, len(beats)
""",
    "a forked child has a number of its own": """
assert process.pid == os.getpid()
read, write = os.pipe()
child = os.fork()
if child == 0:
    os.write(write, str(process.pid).encode())
    os._exit(0)
assert int(os.read(read, 20)) == child
assert process.pid == os.getpid() != child
""",
}


@pytest.fixture(scope="module")
def results() -> dict[str, tuple[int, str]]:
    return run_each(IMPORTS, SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_runtime_works_under_gevent(results: dict[str, tuple[int, str]], name: str) -> None:
    assert results[name] == (0, "")


@pytest.mark.thorough
def test_a_forked_child_has_a_number_of_its_own_without_gevent_too() -> None:
    name = "a forked child has a number of its own"
    assert run_each(PROCESS, {name: SCRIPTS[name]}) == {name: (0, "")}
