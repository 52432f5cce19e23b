"""Measure how much a hostile request delays other requests of the same worker.

A gunicorn with one worker, in which a heart beats; a prober that asks for /healthz all the time; and the worker's memory
as the kernel counts it. Example:

    with neighbour() as near:
        with near.watch(sent_bytes=len(body)) as harm, exchange(near.port, "POST", "/api/chat", body) as response:
            response.read()
        harm.assert_bearable()
"""

from __future__ import annotations

import contextlib
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from flask import Flask

from app import create_app
from tests.fakes.servers import FakeUpstream, Gunicorn, exchange, free_port, gunicorn, wait_until
from tests.fakes.stopwatch import Stopwatch

MAX_SILENCE_S = 0.1
MAX_GROWTH_BYTES = 64 * 1024 * 1024
_BEAT_S = 0.01
_PROBE_S = 0.02


def watched_app(beats: str) -> Flask:
    """The real application, whose worker writes down each beat of a heart: when it was, and how late.

    Time in which a thread was ready to run and had no processor does not count, however busy the machine is.

    Args:
        beats: the file to write to.
    """
    app = create_app()
    threading.Thread(target=_beat, args=(Path(beats),), daemon=True).start()  # a greenlet, under gevent
    return app


def _beat(beats: Path) -> None:
    with beats.open("w", buffering=1, encoding="ascii") as file:
        while True:
            watch = Stopwatch()
            time.sleep(_BEAT_S)
            late_s = max(0.0, watch.elapsed_s() - _BEAT_S)
            file.write(f"{time.monotonic()} {late_s}\n")


@dataclass
class Harm:
    """What a hostile request did to its worker; complete once the watch has ended.

    Attributes:
        silence_s: the longest time in which the worker did nothing for others.
        growth_bytes: its peak of resident memory, above what it had before.
        kept_bytes: what it still has of that afterwards.
        probes: the requests of others that were answered meanwhile.
        faults: what went wrong for others; or in the worker, for anybody.
    """

    sent_bytes: int = 0
    silence_s: float = 0.0
    growth_bytes: int = 0
    kept_bytes: int = 0
    probes: int = 0
    faults: list[str] = field(default_factory=list)

    def assert_bearable(self) -> None:
        assert not self.faults, self
        assert self.probes, self
        assert self.silence_s <= MAX_SILENCE_S, self
        assert self.growth_bytes <= MAX_GROWTH_BYTES + self.sent_bytes, self


@dataclass
class Neighbour:
    """A server with one worker, and what stands behind it."""

    server: Gunicorn
    port: int
    upstream: FakeUpstream
    beats: Path

    @contextlib.contextmanager
    def watch(self, *, sent_bytes: int = 0) -> Iterator[Harm]:
        """Watch the worker during the block.

        Args:
            sent_bytes: what the block sends, as the worker may keep that.
        """
        harm, stop = Harm(sent_bytes), threading.Event()
        [pid] = self.server.workers()
        logged = len(self.server.log())
        prober = threading.Thread(target=self._probe, args=(harm, stop))
        Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
        before = _read_memory(pid, "VmRSS")
        begun = time.monotonic()
        prober.start()
        try:
            yield harm
        finally:
            ended = time.monotonic()
            stop.set()
            prober.join()
        if self.server.workers() != {pid}:
            harm.faults.append("the worker has ended")
            return
        wait_until(lambda: self._read_beats()[-1][0] > ended, "the worker's heart beats again")
        harm.silence_s = max(late_s for at, late_s in self._read_beats() if at > begun)
        harm.growth_bytes = max(0, _read_memory(pid, "VmHWM") - before)
        harm.kept_bytes = max(0, _read_memory(pid, "VmRSS") - before)
        if "Traceback" in self.server.log()[logged:]:
            harm.faults.append("an error in the worker's log")

    def assert_harmless(self, route: str, body: bytes, status: int, headers: dict[str, str]) -> None:
        """Send a hostile body, which gets this status and costs the others nothing."""
        with (
            self.watch(sent_bytes=len(body)) as harm,
            exchange(self.port, "POST", route, body, headers=headers) as response,
        ):
            response.read()
        assert response.status == status
        harm.assert_bearable()

    def _probe(self, harm: Harm, stop: threading.Event) -> None:
        while True:
            try:
                with exchange(self.port, "GET", "/healthz") as response:
                    response.read()
                if response.status == 200:
                    harm.probes += 1
                else:
                    harm.faults.append(f"a probe got {response.status}")
            except OSError as error:
                harm.faults.append(f"a probe failed: {error!r}")
            if stop.wait(_PROBE_S):
                return

    def _read_beats(self) -> list[tuple[float, float]]:
        lines = self.beats.read_text(encoding="ascii").splitlines(keepends=True)
        whole = (line.split() for line in lines if line.endswith("\n"))
        return [(float(at), float(late_s)) for at, late_s in whole]


@contextlib.contextmanager
def neighbour(**settings: str) -> Iterator[Neighbour]:
    """Start a gunicorn with one worker, with these settings and a fake upstream, and have it serve one chat."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder, FakeUpstream() as upstream:
        beats = Path(folder, "beats")
        defaults = {"WEB_CONCURRENCY": "1", "PORT": str(port), "OPENAI_BASE_URL": upstream.url}
        with gunicorn(
            f"tests.fakes.neighbour:watched_app('{beats}')", wait_for=port, **(defaults | settings)
        ) as server:
            with exchange(port, "POST", "/api/chat", {"message": "Hello"}) as response:
                assert response.status == 200, server.log()
            yield Neighbour(server, port, upstream, beats)


def _read_memory(pid: int, name: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
    assert found, f"no {name} in {status}"
    return int(found[1]) * 1024
