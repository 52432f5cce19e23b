"""Check that nothing leaks: no connection, file, thread or lease is left at the end, and the server stops cleanly."""

from chaos.checks.check import Check
from chaos.log import Log
from chaos.settings import THREADS, Settings
from chaos.trace import Trace

# What freed memory a worker keeps (gunicorn.conf.py), and what a few lines of 5 MB leave in pieces.
_MOST_GROWTH_MIB = 128
# Threads of a pool that grows as it is needed: gevent's own, and that which serves requests.
_POOLS = {"gevent": 10, "gthread": THREADS}
_GRACE_BESIDES_S = 5.0


def checks(trace: Trace, _log: Log, settings: Settings) -> list[Check]:
    return [_vitals(trace, settings), _memory(trace), _leases(trace), _end(trace, settings)]


def _vitals(trace: Trace, settings: Settings) -> Check:
    check = Check("workers hold no more than when they were warm")
    files, threads = (max(getattr(v, what) for v in trace.vitals_before) for what in ("files", "threads"))
    threads += _POOLS[settings.worker_class]
    for worker in trace.vitals_after:
        if worker.files > files:
            check.faults.append(f"worker {worker.pid} has {worker.files} files open, {files} before")
        if worker.threads > threads:
            check.faults.append(f"worker {worker.pid} has {worker.threads} threads, {threads} before")
    if trace.open_after:
        check.faults.append(f"{trace.open_after} exchanges with the upstream are still open")
    pooled = sum(worker.upstream for worker in trace.vitals_after)
    took = "never" if trace.settled_s is None else f"after {trace.settled_s:.1f} s"
    check.figure = f"{took}; at most {files} files and {threads} threads each; {pooled} upstream connections kept"
    return check


def _memory(trace: Trace) -> Check:
    check = Check("memory is bounded")
    before = max(worker.pss_kib for worker in trace.vitals_before) / 1024
    after = [worker.pss_kib / 1024 for worker in trace.vitals_after]
    check.faults = [
        f"a worker grew from {before:.0f} to {mib:.0f} MiB" for mib in after if mib > before + _MOST_GROWTH_MIB
    ]
    check.figure = f"{before:.0f} MiB a worker when warm, {max(after, default=0):.0f} MiB at the end"
    return check


def _leases(trace: Trace) -> Check:
    check = Check("no lease is left")
    check.faults = [f"{held} in {store}" for store, held in trace.leases_after.items() if held]
    check.figure = f"in {', '.join(trace.leases_after)}" if trace.leases_after else "there is no store of them"
    return check


def _end(trace: Trace, settings: Settings) -> Check:
    check = Check("SIGTERM amid streams ends it cleanly")
    check.figure = f"exit status {trace.exit_status} after {trace.exit_s:.1f} s"
    if trace.exit_status != 0:
        check.faults.append(f"gunicorn's exit status was {trace.exit_status}")
    grace_s = settings.request_timeout_s + _GRACE_BESIDES_S
    if trace.exit_s > grace_s:
        check.faults.append(f"it took {trace.exit_s:.1f} s, {grace_s:g} s allowed")
    return check
