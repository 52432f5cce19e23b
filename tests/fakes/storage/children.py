"""Other processes for tests of shared state, each of them a Python of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[3]
_BEGIN = """
import sys, types
# app/__init__.py would load the whole application, which takes twenty times as long.
sys.modules["app"] = types.ModuleType("app")
sys.modules["app"].__path__ = ["app"]
from pathlib import Path
from app.storage.shared_state import open_state
from tests.fakes.storage.leases import take_lease
state = open_state(directory=Path(sys.argv[1]), redis_url=sys.argv[2])
"""
_BEGIN_GEVENT = "from gevent import monkey; monkey.patch_all(); import gevent, json, time"


class Child:
    """Runs code in which `state` is the store that is opened, and `input()` waits for the next word."""

    def __init__(self, code: str, place: tuple[str, str], *, in_gevent: bool = False) -> None:
        whole = f"{_BEGIN_GEVENT if in_gevent else ''}\n{_BEGIN}\n{code}"
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", whole, *place],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def say(self) -> None:
        """Let it go on behind its input()."""
        assert self._process.stdin
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def line(self) -> str:
        """The next line that it prints."""
        assert self._process.stdout
        return self._process.stdout.readline().removesuffix("\n")

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def end(self) -> str:
        """All else that it prints until it ends well."""
        output, errors = self._process.communicate(timeout=60)
        assert self._process.returncode == 0, errors
        return output


def run_together(code: str, place: tuple[str, str], processes: int = 3) -> list[str]:
    """What each of several processes printed that begin at the same moment."""
    code = f"print('ready', flush=True)\ninput()\n{code}"
    children = [Child(code, place) for _ in range(processes)]
    for child in children:
        assert child.line() == "ready", child.end()
    for child in children:
        child.say()
    return [child.end() for child in children]
