"""Start and stop processes, and read their CPU time and memory from the kernel."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_PROC = Path("/proc")
_SCHED_CLOCK = 2  # the kernel's "CPU clock of a process, in nanoseconds", see clock_getcpuclockid(3)


class BenchError(Exception):
    """The run cannot continue. The message states the reason."""


class Process:
    """A child process with its own session, so that all processes that it starts can be found and stopped."""

    def __init__(self, name: str, command: Sequence[str], log: Path, *, env: dict[str, str], cwd: Path) -> None:
        self.name = name
        self.log = log
        self.started_ns = time.monotonic_ns()
        with log.open("wb") as out:
            self._child = subprocess.Popen(
                command,
                env=env,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def pids(self) -> list[int]:
        """The child and everything in its session."""
        return [pid for pid, session in _sessions() if session == self._child.pid]

    def has_ended(self) -> bool:
        """Whether the child itself has ended."""
        return self._child.poll() is not None

    def log_tail(self, lines: int = 30) -> str:
        """The last lines of its output."""
        text = self.log.read_text(errors="replace").splitlines()[-lines:]
        return f"--- end of {self.name}'s log ---\n" + "\n".join(text) + "\n---"

    def stop(self) -> None:
        """Terminate the child, then kill the rest of its session."""
        if not self.has_ended():
            self._child.terminate()
        deadline = time.monotonic() + 3
        while self.pids() and time.monotonic() < deadline:
            self._child.poll()
            time.sleep(0.02)
        for pid in self.pids():
            _kill(pid)
        self._child.wait()


@contextmanager
def running(process: Process) -> Iterator[Process]:
    """Stop the process when the block ends, for whatever reason."""
    try:
        yield process
    finally:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # so that a second Ctrl-C leaves no process behind
        try:
            process.stop()
        finally:
            signal.signal(signal.SIGINT, before)


def cpu_ns(pids: Sequence[int]) -> int:
    """Return the CPU time that these processes have used so far, user and system, including ended threads."""
    try:
        return sum(time.clock_gettime_ns((~pid << 3) | _SCHED_CLOCK) for pid in pids)
    except OSError as error:
        raise BenchError("a process ended while it was being measured") from error


def pss_kib(pids: Sequence[int]) -> int:
    """Return the memory of these processes, with shared memory counted once."""
    total = 0
    for pid in pids:
        rollup = (_PROC / str(pid) / "smaps_rollup").read_text()
        total += int(rollup.split("\nPss:", 1)[1].split(None, 1)[0])
    return total


def _sessions() -> Iterator[tuple[int, int]]:
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if fields[0] != "Z":
                yield int(entry.name), int(fields[3])


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
