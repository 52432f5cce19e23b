"""The load client's streams: the time of the first token, and the delay of each chunk."""

import time

from bench.client import Connection, LoadError
from bench.loop import Loop
from bench.procs import cpu_ns, pss_kib
from bench.traffic import STAMP, Job, ends_stream, request_bytes
from bench.upstream.answers import Script

_SETTLE_S = 0.15
_TAIL = 2000  # bytes kept of a piece: a time stamp may be cut in two, and the end is looked at


class StreamReader(Connection):
    """Reads one streamed answer and notes the delay of each chunk."""

    def __init__(self, loop: Loop, job: Job, request: bytes) -> None:
        super().__init__(loop, job.port, request)
        self._dialect = job.dialect
        self._chunks = Script.of(job.call.model).chunks
        self._rest = b""
        self.first_token_ms = 0.0
        self.delays_ms: list[float] = []
        self.is_complete = False

    def on_body(self, data: bytes) -> None:
        """Find the time stamps. The first one is that of the first token, whose delay is recorded separately."""
        now_ns = time.monotonic_ns()
        data = self._rest + data
        after_last = 0
        for found in STAMP.finditer(data):
            after_last = found.end()
            if not self.first_token_ms:
                self.first_token_ms = (now_ns - self.sent_ns) / 1e6
            elif len(self.delays_ms) + 1 < self._chunks:  # the last events of /v1/responses repeat the whole text
                self.delays_ms.append((now_ns - int(found[1])) / 1e6)
        self._rest = data[max(after_last, len(data) - _TAIL) :]

    def on_message_complete(self) -> None:
        """The stream has ended: with its last event, or something is wrong."""
        self.is_busy = False
        if self.status != 200 or not ends_stream(self._dialect, self._rest):
            raise LoadError(f"answered {self.status} and ended a stream with {self._rest!r}")
        self.is_complete = True
        self.close()


def relay_streams(job: Job) -> dict[str, float]:
    """Start the streams evenly over open_s and read each to its end, counting CPU from before the first."""
    loop, readers = _readers(job)
    loop.rest(_SETTLE_S)
    before_ns = cpu_ns(job.pids)
    _start(loop, job, readers)
    loop.run(lambda: all(reader.is_complete for reader in readers))
    loop.rest(_SETTLE_S)
    used_ns = cpu_ns(job.pids) - before_ns
    chunks = Script.of(job.call.model).chunks
    for reader in readers:
        if len(reader.delays_ms) + 1 != chunks:
            raise LoadError(f"relayed {len(reader.delays_ms) + 1} chunks of {chunks}")
    return {
        "calls": len(readers),
        "cpu_ms_per_1000": used_ns / 1e6 / (len(readers) * chunks) * 1000,
        "first_token_p50_ms": _percentile([reader.first_token_ms for reader in readers], 50),
        **_delays([delay for reader in readers for delay in reader.delays_ms]),
    }


def hold_streams(job: Job) -> dict[str, float]:
    """Open the streams over open_s, record the delays of chunks for hold_s, and read the memory while all are open."""
    loop, readers = _readers(job)
    _start(loop, job, readers)
    loop.rest(job.open_s + 0.5)
    late = sum(not reader.delays_ms for reader in readers)
    if late:
        raise LoadError(
            f"had not begun {late} of {len(readers)} streams half a second after the last was asked for"
        )
    for reader in readers:
        reader.delays_ms.clear()
    loop.rest(job.hold_s)
    delays = [delay for reader in readers for delay in reader.delays_ms]
    pss = pss_kib(job.pids)
    for reader in readers:
        reader.close()
    due = len(readers) * job.hold_s * 1000 / Script.of(job.call.model).interval_ms
    return {
        "calls": len(readers),
        "arrived": len(delays) / due,
        "pss_kib": pss,
        **_delays(delays or [float("inf")]),
    }


def _readers(job: Job) -> tuple[Loop, list[StreamReader]]:
    loop, request = Loop(), request_bytes(job)
    return loop, [StreamReader(loop, job, request) for _ in range(job.connections)]


def _start(loop: Loop, job: Job, readers: list[StreamReader]) -> None:
    now_ns, step_ns = time.monotonic_ns(), int(job.open_s * 1e9 / len(readers))
    for i, reader in enumerate(readers):
        loop.at(now_ns + i * step_ns, reader.send)


def _delays(delays_ms: list[float]) -> dict[str, float]:
    return {"delay_p50_ms": _percentile(delays_ms, 50), "delay_p99_ms": _percentile(delays_ms, 99)}


def _percentile(values: list[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
