"""The application under load: gunicorn with the shipped gunicorn.conf.py, and data about its workers from /proc."""

import os
import signal
import sqlite3
import sys
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

from bench.procs import Process, pss_kib
from chaos.settings import ROOT, WORKERS
from chaos.trace import Vitals

_PROC = Path("/proc")
_TCP_ESTABLISHED = "01"
_TCP_CLOSE_WAIT = "08"


class Gunicorn(Process):
    """The master process and its workers."""

    def __init__(self, log: Path, env: dict[str, str], prefix: Sequence[str] = ()) -> None:
        """Start it, optionally with a command prefix that executes it."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        program = str(Path(sys.executable).with_name("gunicorn"))
        super().__init__("gunicorn", [*prefix, program, "wsgi:app"], log, env=kept | env, cwd=ROOT)

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def exit_status(self) -> int | None:
        """The exit status; None while it runs."""
        return self._child.poll()

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def workers(self) -> list[int]:
        """The process ids of the workers, including those that are stopping."""
        return [pid for pid in self.pids() if pid != self.pid]

    def is_serving(self) -> bool:
        """Whether the configured number of workers has started, and no old ones are left.

        A worker starts its services, and with them a second thread, once the application is loaded.
        """
        workers = self.workers()
        return len(workers) == WORKERS and all(_count_threads(pid) > 1 for pid in workers)

    def log_text(self) -> str:
        return self.log.read_text(errors="replace")


def vitals(pids: list[int], upstream_port: int) -> list[Vitals]:
    """Return what each worker holds now."""
    return [_vitals(pid, _upstream_sockets(pid, upstream_port)) for pid in sorted(pids)]


def _vitals(pid: int, upstream_sockets: set[str]) -> Vitals:
    targets = []
    for entry in (_PROC / str(pid) / "fd").iterdir():
        try:
            targets.append(str(entry.readlink()))
        except FileNotFoundError:
            continue
    upstream = sum(target in upstream_sockets for target in targets)
    return Vitals(pid, len(targets) - upstream, _count_threads(pid), upstream, pss_kib([pid]))


def _count_threads(pid: int) -> int:
    """Return the number of a process's threads; 0 if it has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return len(list((_PROC / str(pid) / "task").iterdir()))
    return 0


def runnable_s(pid: int) -> float:
    """Return for how long the main thread of a process was ready to run, while others had the processors (sched-stats)."""
    return int((_PROC / str(pid) / "schedstat").read_text().split()[1]) / 1e9


def _upstream_sockets(pid: int, port: int) -> set[str]:
    """Return the sockets of upstream connections in a process's network, by their names in /proc/<pid>/fd."""
    found = set()
    for line in (_PROC / str(pid) / "net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[2].rpartition(":")[2], 16) == port and fields[3] in (_TCP_ESTABLISHED, _TCP_CLOSE_WAIT):
            found.add(f"socket:[{fields[9]}]")
    return found


def leases(state: Path) -> dict[str, int]:
    """What is still held in the embedded store, by kind; nothing where there is no such table."""
    held: dict[str, int] = {}
    for file in state.glob("*.sqlite3"):
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as store:
            tables = {name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if "leases" in tables:
                query = "SELECT total(held) FROM leases WHERE expires_at > ?"
                held[file.name] = int(store.execute(query, (time.time(),)).fetchone()[0])
    return held
