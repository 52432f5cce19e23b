"""The process: clocks, logs, lifecycle, blocking work, SQLite files, and outages of stores.

clock.py         the clocks, replaceable in tests
times.py         formats UTC times
periods.py       days and months of budgets
logs/            one line for each log event
log_throttle.py  LogThrottle, LogBound: limits of repeated log lines
process.py       the process id, cached
per_process.py   PerProcess: a value that each process creates separately
lifecycle.py     Lifecycle: whether the process is draining
blocking.py      runs blocking work in a thread under gevent
sqlite.py        the SQLite library, private files, waiting for a busy file
turns.py         lets other requests run during long work
store_guard.py   StoreGuard: stops calling a store that does not answer
local_faults.py  advice for faults of this machine, such as a full disk
side_process/    runs work that cannot be bounded in separate processes
version.py       the version of the running code
doctor_probe.py  the signed header of the test stream of `flask doctor`
"""
