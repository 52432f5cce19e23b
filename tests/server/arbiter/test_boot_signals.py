"""A worker that is told to stop while it boots: it stops, and the server does not wait for it to its limit."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fakes.servers import FakeUpstream
from tests.fakes.tables import further
from tests.server.workers.test_drain import WORKER_CLASSES, serving

ROOT = Path(__file__).parents[3]
ARBITER = """
import os, signal, sys
from server.arbiter.boot_signals import block_stops_in_forks, unblock_stops

class Arbiter:
    def spawn_worker(self):
        told, tell = os.pipe()
        pid = os.fork()
        if pid:
            os.kill(pid, NUMBER)
            os.write(tell, b"x")
            return pid
        os.read(told, 1)  # the signal has been sent by now, to the arbiter's handlers
        signal.signal(NUMBER, lambda *_: os._exit(7))
        unblock_stops()
        os._exit(0)

NUMBER = int(sys.argv[1])
signal.signal(NUMBER, lambda *_: None)
arbiter = Arbiter()
block_stops_in_forks(arbiter)
_, status = os.waitpid(arbiter.spawn_worker(), 0)
held = signal.pthread_sigmask(signal.SIG_BLOCK, ())
print(os.waitstatus_to_exitcode(status), held)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, *further(signal.SIGQUIT, signal.SIGINT)])
def test_a_signal_that_comes_before_the_handlers_is_kept_for_them(number: signal.Signals) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", ARBITER, str(int(number))], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert ran.stdout == "7 set()\n"


@pytest.mark.neighbours
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
@pytest.mark.parametrize("worker_class", WORKER_CLASSES)
def test_a_stop_right_after_a_reload_ends_the_workers_that_boot(worker_class: str, number: signal.Signals) -> None:
    with FakeUpstream() as upstream, serving(upstream, worker_class) as (server, _):
        server.signal(signal.SIGHUP)
        time.sleep(0.05)
        server.signal(number)
        assert server.process.wait(timeout=45) == 0  # of 75 that gunicorn would wait
