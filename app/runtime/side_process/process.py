"""Start a side process, send it jobs, and kill it: the worker's side."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.runtime.side_process.child import IDLE_S, OUT_OF_MEMORY
from app.runtime.side_process.messages import HEAD, Fields, decode_fields, encode_head
from app.runtime.side_process.turns import TICK_S, Claim, PoolBusy

log = logging.getLogger(__name__)

_PROGRAM = Path(__file__).with_name("child.py")
_PIECE_BYTES = 256 * 1024
# Well below IDLE_S, so that no job is sent to a process that is about to exit.
_MAX_IDLE_S = IDLE_S - 5.0


class JobKilled(Exception):
    """A job took more processor time or memory than is allowed, or crashed its process."""


class _ProcessEnded(Exception):
    """The process has closed its end of the connection."""


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """The limits of a process: bytes of memory, and seconds of processor time for each job."""

    memory_bytes: int
    cpu_s: int


class SideProcess:
    """A process that serves one function. It ends when its worker does, even if that is killed."""

    def __init__(self, target: str, limits: ProcessLimits) -> None:
        """Start the process.

        Args:
            target: `package.module:function`; see `app/runtime/side_process/child.py`.
            limits: the limits of the process.
        """
        self._target = target
        self._connection, theirs = socket.socketpair()
        self._connection.settimeout(TICK_S)
        self._idle_since = time.monotonic()
        self.is_usable = True
        with theirs:
            # Not `subprocess`: under gevent it forks, which takes longer the larger the worker is.
            self._pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-P", "-s", str(_PROGRAM), target, str(limits.memory_bytes), str(limits.cpu_s)],
                {
                    "PYTHONPATH": os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
                },  # nothing else, so no secret of this worker
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, theirs.fileno(), 0),
                    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                ],
                setpgroup=0,  # Ctrl-C in a terminal signals the server only, which then ends this process
                setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGXCPU],
                setsigmask=[],
            )

    def is_waiting(self) -> bool:
        """Return whether the process is ready for a job."""
        if not self.is_usable or time.monotonic() - self._idle_since > _MAX_IDLE_S:
            return False
        with suppress(ChildProcessError):
            # WNOWAIT: the id of an ended process is not reused before end().
            return os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        return False

    def run(self, fields: Fields, data: bytes | memoryview, claim: Claim) -> tuple[Fields, bytearray]:
        """Call the function with fields and data, and return its result. After any error, the process is killed.

        Raises:
            JobKilled: the job exceeded a limit, or crashed the process.
            PoolBusy: there was no result at the deadline.
            RuntimeError: the function raised an exception, or could not be imported.
            Exception: the claim's check raised it.
        """
        try:
            self._send(encode_head(fields, data), claim)
            self._send(data, claim)
            fields_length, data_length = HEAD.unpack(self._receive(HEAD.size, claim))
            answer = decode_fields(self._receive(fields_length, claim))
            received = self._receive(data_length, claim)
        except _ProcessEnded:
            raise self._explain_end(self.end()) from None
        except BaseException:
            self.end()
            raise
        if answer["is_last"]:
            self.end()
        self._idle_since = time.monotonic()
        return answer["answer"], received

    def end(self) -> int | None:
        """Kill the process. Return its exit status, or the negative number of its signal; None if unknown."""
        self.is_usable = False
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        # The kernel closes the process's end once its memory is freed, which takes a while. Other greenlets run
        # meanwhile.
        with suppress(OSError):
            while self._connection.recv(_PIECE_BYTES):
                pass
        self._connection.close()
        with suppress(ChildProcessError):
            return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        return None

    def _explain_end(self, status: int | None) -> Exception:
        log.warning("side_process.ended", extra={"target": self._target, "status": status})
        if status is None or status < 0 or status == OUT_OF_MEMORY:
            return JobKilled()
        return RuntimeError("a side process failed; its error is in the log")

    def _send(self, data: bytes | memoryview, claim: Claim) -> None:
        with memoryview(data) as view:
            at = 0
            while at < len(data):
                at += self._wait(lambda: self._connection.send(view[at : at + _PIECE_BYTES]), claim)  # noqa: B023

    def _receive(self, length: int, claim: Claim) -> bytearray:
        data = bytearray(length)
        with memoryview(data) as view:
            at = 0
            while at < length:
                received = self._wait(
                    lambda: self._connection.recv_into(view[at : at + _PIECE_BYTES]),  # noqa: B023
                    claim,
                )
                if not received:
                    raise _ProcessEnded
                at += received
        return data

    @staticmethod
    def _wait(step: Callable[[], int], claim: Claim) -> int:
        """Run a step on the connection and return its result. While it waits, check the claim every tick."""
        while True:
            try:
                return step()
            except ConnectionError:
                raise _ProcessEnded from None
            except TimeoutError:
                claim.check()
                if time.monotonic() >= claim.until:
                    raise PoolBusy from None
