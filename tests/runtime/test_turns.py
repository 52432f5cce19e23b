"""That others have their turn during long work, under gevent as it runs in a worker."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
# Without app/__init__.py, which imports everything.
_PROGRAM = """
from gevent import monkey
monkey.patch_all()
import sys, types
sys.modules["app"] = types.ModuleType("app")
sys.modules["app"].__path__ = ["app"]
import gevent, threading, time
from app.runtime.turns import give_turn, in_turns

beats, ended = [], []

def beat():
    while True:
        time.sleep(0.001)
        beats.append(time.perf_counter())

def work():
    give_turn()
    ended.append("work")

gevent.get_hub().loop.run_callback(work)
gevent.sleep(0.01)
print(ended)

threading.Thread(target=beat, daemon=True).start()
time.sleep(0.01)
beats.clear()
for _ in in_turns(range(30)):
    end = time.thread_time() + 0.006
    while time.thread_time() < end:
        pass
print(len(beats))
"""


@pytest.fixture(scope="module")
def printed() -> list[str]:
    """What the program prints, which runs once, as to load gevent takes the most of it."""
    run = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True, cwd=_ROOT)
    return run.stdout.splitlines()


def test_the_loop_itself_does_not_wait_for_a_turn(printed: list[str]) -> None:
    assert printed[0] == "['work']"


def test_timers_run_between_any_two_turns(printed: list[str]) -> None:
    assert int(printed[1]) >= 15
