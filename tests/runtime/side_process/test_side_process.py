"""A process of its own for what cannot be bounded: what it is given, what ends it, and that it ends with its worker."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from app.runtime.side_process import Claim, JobKilled, PoolBusy, ProcessLimits, SideProcessPool, child, process
from app.runtime.side_process.messages import HEAD, decode_fields, encode_head
from tests.fakes.servers import wait_until

ROOT = Path(__file__).parents[3]
TARGET = "tests.runtime.side_process.jobs:run"
LIMITS = ProcessLimits(memory_bytes=512 * 1024 * 1024, cpu_s=1)
PATIENT = Claim("anyone", float("inf"), lambda: None)


@pytest.fixture
def limits():
    return LIMITS


@pytest.fixture(scope="module")
def pools():
    """The pools of these tests by their limits: to start a process takes longer than most tests do with it."""
    made = {}
    yield made
    for each in made.values():
        each.close()


@pytest.fixture
def pool(pools, limits):
    return pools.setdefault(limits, SideProcessPool(TARGET, limits))


def pid_of(pool):
    return pool.run({}, b"", PATIENT)[0]["pid"]


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_function_runs_elsewhere_and_its_process_is_kept(pool):
    data = os.urandom(3_000_000)

    fields, back = pool.run({"a": "ä"}, data, PATIENT)

    assert fields == {"pid": fields["pid"], "a": "ä"}
    assert back == data[::-1]
    assert fields["pid"] != os.getpid()
    assert pid_of(pool) == fields["pid"]


def test_it_is_given_no_secret_and_no_file(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    with closing(SideProcessPool(TARGET, LIMITS)) as pool, socket.create_server(("127.0.0.1", 0)) as listener:
        listener.set_inheritable(True)  # as gunicorn's are
        described = pool.run({"do": "describe"}, b"", PATIENT)[0]

    assert set(described["environ"]) <= {"PYTHONPATH", "LC_CTYPE"}
    assert described["files"] == [0, 1, 2]
    assert described["nice"] >= 5


@pytest.mark.parametrize(
    ("job", "limits"),
    [
        ({"do": "allocate", "bytes": LIMITS.memory_bytes}, LIMITS),
        ({"do": "compute"}, replace(LIMITS, cpu_s=0)),  # that is, what is left of the first second
        ({"do": "crash"}, LIMITS),
    ],
    ids=lambda given: given["do"] if isinstance(given, dict) else "",
)
def test_what_exceeds_a_limit_is_killed_and_the_next_job_has_a_new_process(pool, job):
    before = pid_of(pool)

    with pytest.raises(JobKilled):
        pool.run(job, b"", PATIENT)

    assert not is_running(before)
    assert pid_of(pool) != before


def test_a_bug_is_no_fault_of_the_caller(capfd):
    with closing(SideProcessPool(TARGET, LIMITS)) as pool:  # whose process writes to what is read here
        with pytest.raises(RuntimeError, match="in the log"):
            pool.run({"do": "fail"}, b"", PATIENT)

        assert "on purpose" in capfd.readouterr().err
        assert pid_of(pool)


def test_the_deadline_ends_a_job(pool):
    before = pid_of(pool)

    with pytest.raises(PoolBusy):
        pool.run({"do": "sleep"}, b"", Claim("anyone", time.monotonic() + 0.1, lambda: None))

    assert not is_running(before)


def test_who_leaves_ends_their_job(pool):
    before = pid_of(pool)

    def check():
        raise ConnectionAbortedError("has left")

    with pytest.raises(ConnectionAbortedError):
        pool.run({"do": "sleep"}, b"", Claim("anyone", float("inf"), check))

    assert not is_running(before)
    assert pid_of(pool)


def test_a_process_that_ended_while_it_had_no_work_is_replaced(pool):
    before = pid_of(pool)
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: not is_running(before), "it has ended")

    assert pid_of(pool) != before


def test_one_that_is_about_to_end_by_itself_is_given_no_job(pool, monkeypatch):
    before = pid_of(pool)
    monkeypatch.setattr(process, "_MAX_IDLE_S", 0.0)

    assert pid_of(pool) != before
    assert not is_running(before)


def test_it_ends_by_itself_without_work(monkeypatch):
    monkeypatch.setattr(child, "IDLE_S", 0.01)
    ours, theirs = socket.socketpair()

    with ours, theirs, pytest.raises(TimeoutError):
        child._serve(theirs, lambda fields, data: (fields, data), cpu_s=1)


def test_it_is_replaced_after_many_jobs(monkeypatch):
    monkeypatch.setattr(child, "_MAX_JOBS", 2)
    monkeypatch.setattr(child, "_count_resident_bytes", lambda: 0)  # it would be that of the tests
    monkeypatch.setattr(child.resource, "setrlimit", lambda *_: None)  # it would be that of this process
    ours, theirs = socket.socketpair()
    serving = threading.Thread(target=child._serve, args=(theirs, lambda fields, data: (fields, data), 1))
    serving.start()

    last = []
    with ours, theirs:
        ours.settimeout(10)
        for _ in range(2):
            ours.sendall(encode_head({}, b""))
            length = HEAD.unpack(ours.recv(HEAD.size, socket.MSG_WAITALL))[0]
            last.append(decode_fields(ours.recv(length, socket.MSG_WAITALL))["is_last"])
        serving.join(10)

    assert last == [False, True]
    assert not serving.is_alive()


# Without app/__init__.py, which imports everything.
WORKER = f"""
import sys, time, types
if sys.argv[1] == "gevent":
    from gevent import monkey; monkey.patch_all()
sys.modules["app"] = types.ModuleType("app")
sys.modules["app"].__path__ = ["app"]
from threading import Thread
from app.runtime.side_process import Claim, ProcessLimits, SideProcessPool
pool = SideProcessPool("{TARGET}", {LIMITS})
patient = Claim("anyone", float("inf"), lambda: None)
print(pool.run({{}}, b"", patient)[0]["pid"], flush=True)
Thread(target=pool.run, args=({{"do": sys.argv[2]}}, b"", patient)).start()
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("kind", "job"),
    [
        ("gevent", "compute"),
        pytest.param("threads", "nothing", marks=pytest.mark.thorough),
        pytest.param("gevent", "nothing", marks=pytest.mark.thorough),
        pytest.param("threads", "compute", marks=pytest.mark.thorough),
    ],
)
def test_it_ends_with_its_worker_however_that_ends(kind, job):
    worker = subprocess.Popen([sys.executable, "-c", WORKER, kind, job], cwd=ROOT, stdout=subprocess.PIPE)
    pid = int(worker.stdout.readline())
    assert is_running(pid)

    worker.kill()
    worker.communicate()

    wait_until(lambda: not is_running(pid), "the side process has ended")
