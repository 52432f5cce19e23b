"""The process's number, which is another one in a forked child."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.tables import in_part

ROOT = Path(__file__).parents[2]

# Without app/__init__.py, which imports everything.
FORK = """
import os, sys, types
sys.modules["app"] = types.ModuleType("app")
sys.modules["app"].__path__ = ["app"]
from tests.fakes.tables import in_part
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


@pytest.mark.parametrize(
    "prelude",
    in_part({"gevent": "from gevent import monkey; monkey.patch_all()", "threads": ""}, by_default=["gevent"]),
)
def test_a_forked_child_has_a_number_of_its_own(prelude: str) -> None:
    subprocess.run([sys.executable, "-c", prelude + FORK], check=True, timeout=20, cwd=ROOT)
