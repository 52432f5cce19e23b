"""Other processes for tests of shared state.

They are forked from one that has loaded shared state and opened nothing: to load it, gevent and Redis's client takes ten
times as long as most of their work does.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).parents[3]
_PATIENCE_S = 60
_BEGIN = """
import sys, types
# app/__init__.py would load the whole application, which takes twenty times as long.
sys.modules["app"] = types.ModuleType("app")
sys.modules["app"].__path__ = ["app"]
from pathlib import Path
from app.storage.shared_state import open_state
from tests.fakes.storage.leases import take_lease
"""
_BEGIN_GEVENT = "from gevent import monkey; monkey.patch_all(); import gevent, json, time"
_OPEN = "state = open_state(directory=Path(sys.argv[1]), redis_url=sys.argv[2])"
_PARENT = """
import redis  # those who use no Redis do not load it: see the test of that
def become_child():
    # Not what gevent has put in their places, which would make its loop here.
    import contextlib, json, os, socket
    fork, make_socket = os.fork, socket.socket
    if "gevent" in sys.modules:
        fork, make_socket = monkey.get_original("os", "fork"), monkey.get_original("socket", "socket")
    with make_socket(fileno=int(sys.argv[1])) as control:
        while True:
            message, files, _, _ = socket.recv_fds(control, 1024 * 1024, 4)
            if not message:
                with contextlib.suppress(ChildProcessError):
                    while os.waitpid(-1, os.WNOHANG)[0]:
                        pass
                os._exit(0)
            if pid := fork():
                control.send(b"%d" % pid)
                for file in files:
                    os.close(file)
            else:
                break
    for number, file in enumerate(files[:3]):
        os.dup2(file, number)
        os.close(file)
    code, *place = json.loads(message)
    sys.argv[1:] = place
    return code, files[3]

code, _told = become_child()
exec(code)
sys.stdout.flush()
__import__("os").write(_told, b"well")
"""


class _Parent:
    """The process that all others are forked from; it ends with this one. Those that have ended stay its zombies until then."""

    def __init__(self, *, in_gevent: bool) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        code = f"{_BEGIN_GEVENT if in_gevent else ''}\n{_BEGIN}\n{_PARENT}"
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "error", "-c", code, str(theirs.fileno())],
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        atexit.register(self._end)

    def fork(self, code: str, place: tuple[str, str], files: list[int]) -> int:
        """Return the id of a process that runs the code.

        Args:
            code: the program.
            place: the arguments of the program.
            files: its standard files, and one to which it writes once the program has ended well.
        """
        socket.send_fds(self._control, [json.dumps([code, *place]).encode()], files)
        return int(self._control.recv(20))

    def _end(self) -> None:
        self._control.close()
        self._process.wait()


@cache
def _start_parent(*, in_gevent: bool) -> _Parent:
    return _Parent(in_gevent=in_gevent)


class Child:
    """Runs code in which `state` is the store that is opened, and `input()` waits for the next word."""

    def __init__(self, code: str, place: tuple[str, str], *, in_gevent: bool = False) -> None:
        theirs, self._input = os.pipe()
        self._output, their_output = os.pipe()
        self._well, their_well = os.pipe()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # end() and kill() close it
        files = [theirs, their_output, self._errors.fileno(), their_well]
        self._pid = _start_parent(in_gevent=in_gevent).fork(f"{_OPEN}\n{code}", place, files)
        for file in (theirs, their_output, their_well):
            os.close(file)

    def say(self) -> None:
        """Let it go on behind its input()."""
        os.write(self._input, b"go\n")

    def line(self) -> str:
        """The next line that it prints."""
        line = b""
        while not line.endswith(b"\n") and (byte := self._read(1)):
            line += byte
        return line.decode().removesuffix("\n")

    def kill(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        self._read_to_its_end()
        self._errors.close()

    def end(self) -> str:
        """All else that it prints until it ends well."""
        output, has_ended_well = self._read_to_its_end()
        self._errors.seek(0)
        errors = self._errors.read().decode()
        self._errors.close()
        assert has_ended_well, errors
        return output

    def _read_to_its_end(self) -> tuple[str, bool]:
        os.close(self._input)
        output = b""
        while piece := self._read(65_536):
            output += piece
        has_ended_well = os.read(self._well, 4) == b"well"
        for file in (self._output, self._well):
            os.close(file)
        return output.decode(), has_ended_well

    def _read(self, size: int) -> bytes:
        assert select.select([self._output], [], [], _PATIENCE_S)[0], "it prints nothing, and does not end"
        return os.read(self._output, size)


def run_alone(code: str, place: tuple[str, str]) -> str:
    """What a Python prints that has loaded nothing else; without a `state`."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"{_BEGIN}\n{code}", *place],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def run_together(code: str, place: tuple[str, str], processes: int = 3) -> list[str]:
    """What each of several processes printed that begin at the same moment."""
    code = f"print('ready', flush=True)\ninput()\n{code}"
    children = [Child(code, place) for _ in range(processes)]
    for child in children:
        assert child.line() == "ready", child.end()
    for child in children:
        child.say()
    return [child.end() for child in children]
