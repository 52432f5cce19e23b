"""Run once: start everything, warm up, load, reload, wait until idle, measure, and stop during streams."""

import asyncio
import http.client
import signal
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from bench.procs import BenchError, running
from bench.targets import free_port
from chaos.fault_schedule import FaultSchedule
from chaos.load import Load
from chaos.server import Gunicorn, leases, runnable_s, vitals
from chaos.settings import TICK_S, Settings, environment
from chaos.trace import Trace
from chaos.upstream import Upstream

_START_S = 20.0
_PROGRESS_S = 10.0
_QUIET_S = 12.0
# Soon enough for those who left last, and before what nobody renews runs out by itself.
_LEASES_S = 2.5
# How long requests may take to reach the upstream on a machine that is busy.
_UNDER_WAY_S = 5.0
# How long after its workers are replaced a request may still meet an old one.
_LATE_S = 1.0


async def run(settings: Settings, folder: Path, stack: ExitStack) -> tuple[Trace, str]:
    """Run once, and return the trace and the application's log."""
    trace, faults = Trace(), FaultSchedule(settings.seed)
    upstream = Upstream(trace, settings.seed, faults)
    await upstream.start()
    port, state = free_port(), folder / "state"
    state.mkdir()
    server = Gunicorn(folder / "log", environment(settings, port, upstream.port, state))
    stack.enter_context(running(server))
    await until_ready(server, port)
    watch = asyncio.create_task(_watch_turns(trace))
    watch_processors = asyncio.create_task(_watch_processors(trace, server))
    load = Load(trace, settings, port)

    await load.keep_asking(settings.at_once, _in(min(2.0, 0.3 + settings.seconds / 20)), well_behaved=True)
    await asyncio.sleep(0.3)
    trace.vitals_before = vitals(server.workers(), upstream.port)

    faults.begin(settings.seconds)
    reporter = asyncio.create_task(_report(trace, load))
    reloader = asyncio.create_task(_reload(settings, server, trace))
    await load.keep_asking(settings.at_once, _in(settings.seconds))
    faults.end()
    reporter.cancel()
    await reloader
    await _settle(server, trace, upstream, state)

    await _stop_amid_streams(settings, server, trace, load, upstream)
    watch.cancel()
    watch_processors.cancel()
    upstream.stop()
    return trace, server.log_text()


def say(line: str) -> None:
    """Print progress."""
    print(line, file=sys.stderr, flush=True)


def _in(seconds: float) -> float:
    return time.monotonic() + seconds


async def until_ready(server: Gunicorn, port: int, host: str = "127.0.0.1") -> None:
    until = _in(_START_S)
    while not await asyncio.to_thread(_is_alive, host, port):  # it may wait, and the upstream is in this loop
        if server.has_ended() or time.monotonic() > until:
            raise BenchError(f"gunicorn did not start\n{server.log_tail()}")
        await asyncio.sleep(0.05)


def _is_alive(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/healthz", headers={"Connection": "close"})
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


async def _watch_turns(trace: Trace) -> None:
    """Record the maximum delay of the event loop."""
    while True:
        before = time.monotonic()
        await asyncio.sleep(0.02)
        trace.slowest_turn_s = max(trace.slowest_turn_s, time.monotonic() - before - 0.02)


async def _watch_processors(trace: Trace, server: Gunicorn) -> None:
    """Record how long the workers wait for a processor."""
    while True:
        waited = {}
        for pid in server.workers():
            with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
                waited[pid] = runnable_s(pid)
        trace.processor_waits.note(time.monotonic(), waited)
        await asyncio.sleep(0.2)


async def _report(trace: Trace, load: Load) -> None:
    started = time.monotonic()
    while True:
        await asyncio.sleep(_PROGRESS_S)
        answered = sum(bool(request.status) for request in trace.client_requests)
        asked = len(trace.client_requests) + load.open
        seconds = time.monotonic() - started
        say(f"{seconds:5.0f} s: {asked:,} asked, {answered:,} answered, {load.open} open now")


async def _reload(settings: Settings, server: Gunicorn, trace: Trace) -> None:
    if not settings.reload:
        return
    await asyncio.sleep(settings.seconds / 2)
    old, started = set(server.workers()), time.monotonic()
    trace.drains.append((started, float("inf")))
    server.signal(signal.SIGHUP)
    say("       the workers are replaced (SIGHUP)")
    until = _in(settings.request_timeout_s + 20.0)
    while (old & set(server.workers()) or not server.is_serving()) and time.monotonic() < until:
        await asyncio.sleep(0.1)
    trace.drains[-1] = (started, time.monotonic() + _LATE_S)
    say(f"       they were {time.monotonic() - started:.1f} s later")


async def _settle(server: Gunicorn, trace: Trace, upstream: Upstream, state: Path) -> None:
    """Wait until the workers hold no more than before, up to a limit."""
    started = time.monotonic()
    most_files = max(worker.files for worker in trace.vitals_before)
    trace.leases_after = leases(state)
    while any(trace.leases_after.values()) and time.monotonic() - started < _LEASES_S:
        await asyncio.sleep(0.1)
        trace.leases_after = leases(state)
    while True:
        trace.vitals_after = vitals(server.workers(), upstream.port)
        trace.open_after = upstream.open_exchanges()
        holds_more = any(worker.files > most_files for worker in trace.vitals_after)
        waited_s = time.monotonic() - started
        if not (holds_more or trace.open_after) and server.is_serving():
            trace.settled_s = waited_s
            return
        if waited_s > _QUIET_S:
            return
        await asyncio.sleep(0.2)


async def _stop_amid_streams(
    settings: Settings, server: Gunicorn, trace: Trace, load: Load, upstream: Upstream
) -> None:
    streams = asyncio.create_task(load.ask_streams(min(settings.at_once, settings.most_streams)))
    await _until_all_are_under_way(upstream, load)
    started = time.monotonic()
    trace.drains.append((started, float("inf")))
    server.signal(signal.SIGTERM)
    say("       the server is stopped amid streams (SIGTERM)")
    await streams
    until = _in(settings.request_timeout_s + 20.0)
    while server.exit_status is None and time.monotonic() < until:
        await asyncio.sleep(0.05)
    trace.exit_status, trace.exit_s = server.exit_status, time.monotonic() - started
    await asyncio.sleep(min(0.1, TICK_S))


async def _until_all_are_under_way(upstream: Upstream, load: Load) -> None:
    """Wait until each open request has reached the upstream. A request that no worker has accepted would be lost at the stop."""
    until = _in(_UNDER_WAY_S)
    await asyncio.sleep(0.3)
    while upstream.open_exchanges() < load.open and time.monotonic() < until:
        await asyncio.sleep(0.02)
