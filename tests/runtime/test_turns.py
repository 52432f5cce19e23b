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


def test_timers_run_between_any_two_turns() -> None:
    ran = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)

    assert int(ran.stdout) >= 15
