"""The process: clocks, logs, lifecycle, blocking work, SQLite files, and databases that do not answer.

clock.py         the clocks, replaceable in tests
times.py         formats of moments
periods.py       days and months of budgets
logs/            one line for each log event
log_throttle.py  LogThrottle: a line once a minute
per_process.py   PerProcess: a value that each process creates for itself
lifecycle.py     Lifecycle: whether the process is stopping
blocking.py      runs blocking work in a thread under gevent
sqlite.py        the SQLite library, private files, waiting for a busy file
turns.py         lets other requests run during long work
store_guard.py   StoreGuard: stops calling a store that does not answer
local_faults.py  what is wrong with this machine, such as a full disk
side_process/    runs what cannot be bounded in processes of its own
version.py       the version that runs
doctor_probe.py  the signed header that opens the stream which `flask doctor` reads
"""
