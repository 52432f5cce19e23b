"""How gunicorn stops when it is in a hurry, or has died: every stream gets a last event, and every call is settled."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.servers import FakeUpstream, exchange, next_event, wait_until
from tests.server.workers.test_drain import CHAT, WORKER_CLASSES, assert_refused, running_stream, serving

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream


@pytest.mark.parametrize(
    ("worker_class", "number"),
    [("gevent", signal.SIGINT), ("gthread", signal.SIGQUIT), ("gevent", signal.SIGQUIT)],
)
def test_what_runs_is_told_and_settled(upstream: FakeUpstream, worker_class: str, number: signal.Signals) -> None:
    with (
        serving(upstream, worker_class) as (server, port),
        running_stream(upstream, port) as (first, _),
        running_stream(upstream, port) as (second, _),
    ):
        server.signal(number)
        for response in (first, second):
            assert next_event(response)["code"] == "draining"
            assert response.read() == b""
        assert server.process.wait(timeout=10) == 0
        log = server.log()
        assert log.count("outcome=interrupted") == log.count(" INFO call ") == 2
        assert "Traceback" not in log


@pytest.mark.parametrize("worker_class", WORKER_CLASSES)
def test_a_worker_that_hardly_gets_to_run_tells_its_streams_too(upstream: FakeUpstream, worker_class: str) -> None:
    with (
        serving(upstream, worker_class, WEB_CONCURRENCY="1") as (server, port),
        running_stream(upstream, port) as (response, _),
    ):
        (worker,) = server.workers()
        server.signal(signal.SIGINT)
        time.sleep(0.15)  # it knows, and nothing else has happened
        os.kill(worker, signal.SIGSTOP)
        time.sleep(2.5)
        os.kill(worker, signal.SIGCONT)
        assert next_event(response)["code"] == "draining"
        assert response.read() == b""
        assert server.process.wait(timeout=10) == 0
        assert server.log().count("outcome=interrupted") == 1


def test_a_worker_that_is_told_to_quit_ends_its_own_streams(upstream: FakeUpstream) -> None:
    with serving(upstream, WEB_CONCURRENCY="1") as (server, port), running_stream(upstream, port) as (response, _):
        (worker,) = server.workers()
        os.kill(worker, signal.SIGINT)
        assert next_event(response)["code"] == "draining"
        wait_until(lambda: server.workers() and worker not in server.workers(), "another worker is there")
        with exchange(port, "GET", "/readyz") as answer:
            assert answer.status == 200


@pytest.mark.parametrize("worker_class", WORKER_CLASSES)
def test_workers_whose_master_has_died_finish_and_settle(upstream: FakeUpstream, worker_class: str) -> None:
    limit = {"GUNICORN_CMD_ARGS": "--graceful-timeout 7"}
    with serving(upstream, worker_class, **limit) as (server, port):
        workers = server.workers()
        with (
            running_stream(upstream, port, "more") as (finishing, gate),
            running_stream(upstream, port, "more") as (lasting, _),
        ):
            server.process.kill()
            server.process.wait()
            time.sleep(1.5)  # the workers notice it within a second
            gate.release_all()
            assert next_event(finishing) == {"token": "more"}
            assert next_event(finishing)["done"] is True
            assert next_event(lasting)["code"] == "draining"
            assert lasting.read() == b""
        wait_until(
            lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers), "the workers have ended"
        )
        log = server.log()
        assert log.count("outcome=complete") == log.count("outcome=interrupted") == 1
        assert "Traceback" not in log


def test_threads_that_stop_answer_new_connections(upstream: FakeUpstream) -> None:
    with serving(upstream, "gthread", WEB_CONCURRENCY="1") as (server, port):
        with running_stream(upstream, port, "more") as (response, gate):
            server.signal(signal.SIGTERM)

            def is_draining() -> bool:
                with exchange(port, "GET", "/readyz") as answer:
                    return json.loads(answer.read()) == {"status": "draining"}

            wait_until(is_draining, "/readyz says that the server drains")
            for _ in range(5):
                with exchange(port, "POST", "/api/chat", CHAT) as answer:
                    assert_refused(answer)
            gate.release_all()
            assert next_event(response) == {"token": "more"}
            assert next_event(response)["done"] is True
        assert server.process.wait(timeout=10) == 0
        assert not server.faults()
