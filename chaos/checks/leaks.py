"""When all is over, nothing is left: no connection, file, thread or lease; and the end itself is clean."""

from chaos.book import Book
from chaos.checks.check import Check
from chaos.log import Log
from chaos.settings import THREADS, Settings

# What freed memory a worker keeps (gunicorn.conf.py), and what a few lines of 5 MB leave in pieces.
_MOST_GROWTH_MIB = 128
# Threads of a pool that grows as it is needed: gevent's own, and that which serves requests.
_POOLS = {"gevent": 10, "gthread": THREADS}
_GRACE_BESIDES_S = 5.0


def checks(book: Book, _log: Log, settings: Settings) -> list[Check]:
    return [_vitals(book, settings), _memory(book), _leases(book), _end(book, settings)]


def _vitals(book: Book, settings: Settings) -> Check:
    check = Check("workers hold no more than when they were warm")
    files, threads = (max(getattr(v, what) for v in book.vitals_before) for what in ("files", "threads"))
    threads += _POOLS[settings.worker_class]
    for worker in book.vitals_after:
        if worker.files > files:
            check.faults.append(f"worker {worker.pid} has {worker.files} files open, {files} before")
        if worker.threads > threads:
            check.faults.append(f"worker {worker.pid} has {worker.threads} threads, {threads} before")
    if book.open_after:
        check.faults.append(f"{book.open_after} exchanges with the upstream are still open")
    pooled = sum(worker.upstream for worker in book.vitals_after)
    took = "never" if book.settled_s is None else f"after {book.settled_s:.1f} s"
    check.figure = f"{took}; at most {files} files and {threads} threads each; {pooled} upstream connections kept"
    return check


def _memory(book: Book) -> Check:
    check = Check("memory is bounded")
    before = max(worker.pss_kib for worker in book.vitals_before) / 1024
    after = [worker.pss_kib / 1024 for worker in book.vitals_after]
    check.faults = [
        f"a worker grew from {before:.0f} to {mib:.0f} MiB" for mib in after if mib > before + _MOST_GROWTH_MIB
    ]
    check.figure = f"{before:.0f} MiB a worker when warm, {max(after, default=0):.0f} MiB at the end"
    return check


def _leases(book: Book) -> Check:
    check = Check("no lease is left")
    check.faults = [f"{held} in {store}" for store, held in book.leases_after.items() if held]
    check.figure = f"in {', '.join(book.leases_after)}" if book.leases_after else "there is no store of them"
    return check


def _end(book: Book, settings: Settings) -> Check:
    check = Check("SIGTERM amid streams ends it cleanly")
    check.figure = f"exit status {book.exit_status} after {book.exit_s:.1f} s"
    if book.exit_status != 0:
        check.faults.append(f"gunicorn's exit status was {book.exit_status}")
    grace_s = settings.request_timeout_s + _GRACE_BESIDES_S
    if book.exit_s > grace_s:
        check.faults.append(f"it took {book.exit_s:.1f} s, {grace_s:g} s allowed")
    return check
