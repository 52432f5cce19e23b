"""The process's number, which is another one in a forked child."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Without app/__init__.py, which imports everything.
FORK = """
import os, sys, types
sys.modules["app"] = types.ModuleType("app")
sys.modules["app"].__path__ = ["app"]
from app.runtime import process

assert process.pid == os.getpid()
read, write = os.pipe()
child = os.fork()
if child == 0:
    os.write(write, str(process.pid).encode())
    os._exit(0)
assert int(os.read(read, 20)) == child
assert process.pid == os.getpid() != child
"""


@pytest.mark.thorough  # under gevent, as in a worker: test_gevent_runtime.py
def test_a_forked_child_has_a_number_of_its_own() -> None:
    subprocess.run([sys.executable, "-c", FORK], check=True, timeout=20, cwd=ROOT)
