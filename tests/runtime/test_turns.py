"""That others have their turn during long work, under gevent as it runs in a worker."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
from gevent import monkey
monkey.patch_all()
import threading, time
from app.runtime.turns import in_turns

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
print(len(beats))
"""

_PROGRAM_OF_THE_LOOP = """
from gevent import monkey
monkey.patch_all()
import gevent
from app.runtime.turns import give_turn

ended = []

def work():
    give_turn()
    ended.append("work")

gevent.get_hub().loop.run_callback(work)
gevent.sleep(0.01)
print(ended)
"""


def run(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def test_timers_run_between_any_two_turns() -> None:
    assert int(run(_PROGRAM)) >= 15


def test_the_loop_itself_does_not_wait_for_a_turn() -> None:
    assert run(_PROGRAM_OF_THE_LOOP) == "['work']\n"
