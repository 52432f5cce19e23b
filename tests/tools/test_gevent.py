"""Tools in a gevent worker, whose threads are greenlets."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = """
from gevent import monkey
monkey.patch_all()
import json, threading, time, types, sys
for name in "app", "app.openai_service":  # without what they import, which takes a second
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [name.replace(".", "/")]
from app.openai_service.tools.executor import ToolExecutor
from app.openai_service.tools.executor import ToolJob
from app.upstream_http.call_state import CallState

class Tool:
    timeout_s = None
    def __init__(self, name, wait):
        self.name, self.wait = name, wait
    def run(self, arguments):
        return str(self.wait(20) is not None)

together, never = threading.Barrier(3), threading.Event()
jobs = [ToolJob(str(n), Tool("meet", together.wait), "{}") for n in range(3)]
jobs.append(ToolJob("late", Tool("hang", never.wait), "{}"))
threads, ticks = ToolExecutor(timeout_s=0.1), 0
for news in threads.run(jobs, CallState(time.monotonic() + 20, tick_s=0.01), "r1"):
    ticks += not news
print(json.dumps([[job.outcome.text for job in jobs], ticks]))
"""


def test_they_run_side_by_side_and_the_worker_looks_up_meanwhile() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert ran.returncode == 0, ran.stderr
    told, ticks = json.loads(ran.stdout)
    assert told == ["True", "True", "True", "The tool took too long."]
    assert ticks >= 3
