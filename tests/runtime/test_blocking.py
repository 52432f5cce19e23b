"""Blocking work in a gevent worker: its errors are the caller's, and nobody else tells of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = """
from gevent import monkey
monkey.patch_all()
import sys, types
sys.modules["app"] = types.ModuleType("app")
sys.modules["app"].__path__ = ["app"]
from app.runtime.blocking import run_blocking

def fail():
    raise OSError("the disk is full")

print(run_blocking(lambda: 7))
try:
    run_blocking(fail)
except OSError as error:
    print(error)
"""


def test_what_a_step_raises_is_raised_and_not_printed():
    ran = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True, check=True)

    assert ran.stdout.splitlines() == ["7", "the disk is full"]
    assert ran.stderr == ""
