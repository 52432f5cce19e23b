"""Run once: start the servers, load them in turn, round by round, and stop them."""

import http.client
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

import orjson

from bench.counts import calls
from bench.measures import (
    HELD_CALL,
    HELD_LADDER,
    HELD_LATEST_MS,
    HELD_STARTS_PER_S,
    MEASURES,
    WARM_UP,
    Measure,
    Result,
    Rows,
)
from bench.procs import BenchError, Process, pss_kib, running
from bench.targets import DIRECT, ROOT, Target, free_port, start_upstream
from bench.traffic import Call, Job, path_and_body

_START_TIMEOUT_S = 30.0
_LOAD_TIMEOUT_S = 60.0


class Run:
    """Holds the running servers, and lets the load client load them."""

    def __init__(self, stack: ExitStack, folder: Path, *, scale: float) -> None:
        """Start the fake upstream; all that is started ends with the stack, `scale` shortens the measures."""
        self._stack = stack
        self._folder = folder
        self._scale = scale
        self._started = 0
        self._rest_kib: dict[str, int] = {}
        self._processes: dict[str, tuple[Process | None, int]] = {}
        upstream, self._upstream_port = start_upstream(folder / "upstream")
        stack.enter_context(running(upstream))

    def time_start(self, target: Target) -> Rows:
        """Start it once more, alone: seconds from exec to the first answered chat, then memory once warm."""
        with ExitStack() as stack:
            process, port = self._start(target, stack)
            start_s = (time.monotonic_ns() - process.started_ns) / 1e9
            self._processes[target.name] = process, port
            self._warm_up(target)
            time.sleep(0.5)
            rest_mib = pss_kib(process.pids()) / 1024
            del self._processes[target.name]
        return {"start_s": start_s, "rest_mib": rest_mib}

    def count_calls(self, target: Target) -> Rows:
        """Return the function calls of one chat: see calls.count()."""
        self._started += 1
        return calls.count(target, self._upstream_port, self._folder / str(self._started))

    def keep_running(self, targets: Iterable[Target]) -> None:
        """Start the targets for all further measures."""
        for target in targets:
            if target.kind == DIRECT:
                self._processes[target.name] = None, self._upstream_port
            else:
                self._processes[target.name] = self._start(target, self._stack)
                self._warm_up(target)

    def round(self, measure: Measure, targets: Sequence[Target]) -> dict[str, Rows]:
        """Load each target in turn, and return its rows by its name."""
        results = {t.name: self._measure(measure, t) for t in targets if measure.applies_to(t)}
        direct = results.pop(DIRECT, {})
        return {name: measure.rows(result, direct) for name, result in results.items()}

    def hold(self, target: Target) -> Rows:
        """Increase the number of concurrent streams in steps, while at most one chunk in a hundred is late."""
        rows: Rows = {"held": 0}
        process, _ = self._processes[target.name]
        # Before the first stream: a process seldom returns memory that it has used.
        rest_kib = self._rest_kib.setdefault(target.name, pss_kib(process.pids()))
        for streams in HELD_LADDER:
            try:
                job = self._job(
                    target,
                    HELD_CALL,
                    connections=streams,
                    open_s=streams / HELD_STARTS_PER_S,
                    hold_s=max(2.0, 3.0 * self._scale),
                )
                result = self._load(job)
            except BenchError as error:
                say(f"    {target.name} with {streams} streams: {error}")
                break
            say(f"    {target.name} with {streams} streams: p99 delay {result['delay_p99_ms']:.1f} ms")
            if result["delay_p99_ms"] >= HELD_LATEST_MS or result["arrived"] < 0.95:
                break
            rows = {"held": streams, "held_kib": (result["pss_kib"] - rest_kib) / streams}
            time.sleep(1.0)
        time.sleep(3.0)  # what was left of the streams that were hung up
        return rows

    def _measure(self, measure: Measure, target: Target) -> Result:
        before = self._upstream_calls()
        job = self._job(
            target,
            measure.call,
            connections=measure.connections,
            seconds=measure.seconds * self._scale,
            min_requests=measure.min_requests,
        )
        result = self._load(job)
        reached = self._upstream_calls() - before
        if reached != result["calls"]:
            raise BenchError(f"{target.name} made {reached} upstream calls for {result['calls']:.0f} requests")
        return result

    def _job(self, target: Target, call: Call, **how: float) -> Job:
        process, port = self._processes[target.name]
        pids = process.pids() if process else []
        return Job(
            target.name, port, call.dialect or target.dialect, call, pids=pids, headers=target.headers, **how
        )

    def _load(self, job: Job) -> dict[str, float]:
        command = [sys.executable, "-m", "bench.load"]
        try:
            done = subprocess.run(
                command, input=job.to_json(), capture_output=True, cwd=ROOT, timeout=_LOAD_TIMEOUT_S, check=True
            )
        except subprocess.TimeoutExpired:
            reason = f"{job.target} left the load client waiting for {_LOAD_TIMEOUT_S:.0f} s"
        except subprocess.CalledProcessError as error:
            reason = error.stderr.decode(errors="replace").strip()
        else:
            return orjson.loads(done.stdout)
        process, _ = self._processes[job.target]
        # The measure looks for the limit of a server, so its log is not needed.
        raise BenchError(f"{reason}\n{process.log_tail()}" if process and not job.hold_s else reason)

    def _start(self, target: Target, stack: ExitStack) -> tuple[Process, int]:
        """Start a target and wait until it has answered a chat."""
        self._started += 1
        port = free_port()
        process = target.start(self._upstream_port, port, self._folder / str(self._started))
        stack.enter_context(running(process))
        path, body = path_and_body(target.dialect, Call("chat"))
        headers = target.headers | {"Content-Type": "application/json"}
        while not _answers(process, port, path, body, headers):
            if process.has_ended():
                raise BenchError(f"{target.name} did not start\n{process.log_tail()}")
            if time.monotonic_ns() - process.started_ns > _START_TIMEOUT_S * 1e9:
                raise BenchError(f"{target.name} does not answer on port {port}\n{process.log_tail()}")
            time.sleep(0.005)
        return process, port

    def _warm_up(self, target: Target) -> None:
        if target.is_python:
            for call in WARM_UP:
                self._load(self._job(target, call, connections=16, seconds=0.4))

    def _upstream_calls(self) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self._upstream_port, timeout=10)
        try:
            connection.request("GET", "/stats")
            return orjson.loads(connection.getresponse().read())["calls"]
        finally:
            connection.close()


def say(line: str) -> None:
    """Print progress."""
    print(line, file=sys.stderr, flush=True)


def measures_of(groups: Sequence[str]) -> list[Measure]:
    """Return the measures of these groups, in their order."""
    return [measure for measure in MEASURES if measure.group in groups]


def _answers(process: Process, port: int, path: str, body: bytes, headers: dict[str, str]) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        text = answer.read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    if answer.status != 200:
        reason = f"{process.name} answered its first chat with {answer.status}: {text[:300]!r}"
        raise BenchError(f"{reason}\n{process.log_tail()}")
    return True
