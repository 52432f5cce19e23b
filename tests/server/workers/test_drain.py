"""How gunicorn stops and reloads: what runs comes to its end, and what is new is told or goes to others."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.servers import (
    FakeUpstream,
    Gunicorn,
    exchange,
    free_port,
    gunicorn,
    next_event,
    wait_until,
)
from tests.fakes.stopwatch import Stopwatch

pytestmark = pytest.mark.servers

WORKER_CLASSES = ["gevent", "gthread"]
CHAT = {"message": "Hello"}


@pytest.fixture(scope="module")
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream


@contextlib.contextmanager
def serving(
    upstream: FakeUpstream, worker_class: str = "gevent", **settings: str
) -> Iterator[tuple[Gunicorn, int]]:
    port = free_port()
    settings = {"PORT": str(port), "WORKER_CLASS": worker_class, "OPENAI_BASE_URL": upstream.url, **settings}
    with gunicorn(wait_for=port, **settings) as server:
        yield server, port


class Kept:
    """A connection that is kept between requests, as Nginx has it."""

    def __init__(self, where: int | Path) -> None:
        self.connection = HTTPConnection("127.0.0.1", where if isinstance(where, int) else 0, timeout=5)
        if isinstance(where, int):
            self.connection.connect()
        else:
            self.connection.sock = socket.socket(socket.AF_UNIX)
            self.connection.sock.settimeout(5)
            self.connection.sock.connect(str(where))
        self.connection.auto_open = 0  # a request on a connection that has been closed is an error

    def ask(self, method: str, path: str, body: Any = None) -> HTTPResponse:
        """The head of an answer."""
        headers = {"Content-Type": "application/json"} if body else {}
        self.connection.request(method, path, body and json.dumps(body), headers)
        return self.connection.getresponse()

    def status_of(self, path: str) -> int:
        response = self.ask("GET", path)
        response.read()
        return response.status

    def seconds_until_closed(self) -> float:
        watch = Stopwatch()
        assert self.connection.sock.recv(1) == b""
        return watch.elapsed_s()

    def __enter__(self) -> Kept:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()


@contextlib.contextmanager
def running_stream(upstream: FakeUpstream, port: int, *tokens: str) -> Iterator[tuple[HTTPResponse, Any]]:
    """A stream of which the first token has arrived; what is not released stays with the upstream."""
    gate = upstream.streams("begun", *tokens)
    gate.release(2)
    with exchange(port, "POST", "/api/chat/stream", CHAT) as response:
        assert next_event(response) == {"token": "begun"}
        yield response, gate
        gate.release_all()


def assert_refused(response: HTTPResponse) -> None:
    body = json.loads(response.read())
    assert (response.status, body["code"]) == (503, "draining")
    assert int(response.headers["Retry-After"]) >= 1
    assert response.headers["Connection"] == "close"


def has_begun_to_stop(port: int) -> bool:
    """Whether the server answers that it stops, or listens no longer."""
    try:
        with exchange(port, "GET", "/readyz") as answer:
            return answer.status == 503
    except OSError:
        return True


def assert_ended_well(server: Gunicorn, *, within_s: float) -> None:
    watch = Stopwatch()
    assert server.process.wait(timeout=10) == 0
    assert watch.elapsed_s() < within_s
    log = server.log()
    assert "Traceback" not in log
    assert "SIGKILL" not in log
    assert "graceful timeout" not in log


@pytest.mark.parametrize("worker_class", WORKER_CLASSES)
def test_a_stop_lets_streams_finish_and_refuses_what_is_new(upstream: FakeUpstream, worker_class: str) -> None:
    with (
        serving(upstream, worker_class, WEB_CONCURRENCY="1") as (server, port),
        contextlib.ExitStack() as connections,
    ):
        # gthread takes no connections while it stops; it has taken those that came before the stream.
        early = [connections.enter_context(Kept(port)) for _ in range(10)]
        with running_stream(upstream, port, "more") as (response, gate):
            server.signal(signal.SIGTERM)
            wait_until(lambda: early.pop().status_of("/readyz") == 503, "/readyz says that the server drains", 1)
            assert_refused(early.pop().ask("POST", "/api/chat", CHAT))
            connections.close()  # gthread also waits 5 s for each that says nothing

            gate.release_all()
            assert next_event(response) == {"token": "more"}
            assert next_event(response)["done"] is True
        assert_ended_well(server, within_s=1)
        assert server.log().count("outcome=complete") == 1


def test_a_server_that_stops_still_answers_new_connections(upstream: FakeUpstream) -> None:
    with serving(upstream) as (server, port):
        with running_stream(upstream, port) as (response, gate):
            server.signal(signal.SIGTERM)
            wait_until(lambda: len(server.workers()) == 1, "the worker without work has ended", 2)

            for _ in range(5):
                with exchange(port, "GET", "/readyz") as answer:
                    assert (answer.status, json.loads(answer.read())) == (503, {"status": "draining"})
                    assert answer.headers["Cache-Control"] == "no-store"
                    assert answer.headers["Connection"] == "close"
                for path in ("/api/chat", "/api/chat/stream"):
                    with exchange(port, "POST", path, CHAT) as answer:
                        assert_refused(answer)

            gate.release_all()
            assert next_event(response)["done"] is True
        assert_ended_well(server, within_s=1)


@pytest.mark.parametrize("worker_class", WORKER_CLASSES)
def test_without_anything_to_finish_a_stop_is_quick(upstream: FakeUpstream, worker_class: str) -> None:
    with serving(upstream, worker_class) as (server, port), contextlib.ExitStack() as connections:
        if worker_class == "gevent":  # gthread itself waits 2 s for a request that may be on its way
            kept = connections.enter_context(Kept(port))
            assert kept.status_of("/readyz") == 200
            connections.enter_context(Kept(port))
        server.signal(signal.SIGTERM)
        assert_ended_well(server, within_s=1.5)


def test_a_stop_on_a_unix_socket_lets_streams_finish(upstream: FakeUpstream, tmp_path: Path) -> None:
    path = tmp_path / "gunicorn.sock"
    gate = upstream.streams("one", "two")
    gate.release(2)
    settings = {"BIND": f"unix:{path}", "OPENAI_BASE_URL": upstream.url, "WEB_CONCURRENCY": "1"}
    with gunicorn(wait_for=path, **settings) as server:
        with Kept(path) as stream, Kept(path) as other:
            response = stream.ask("POST", "/api/chat/stream", CHAT)
            assert next_event(response) == {"token": "one"}
            assert other.status_of("/readyz") == 200

            server.signal(signal.SIGTERM)
            wait_until(lambda: not path.exists(), "the socket's name is gone", 2)
            wait_until(lambda: other.status_of("/readyz") == 503, "/readyz says that the server drains", 1)

            gate.release_all()
            assert next_event(response) == {"token": "two"}
            assert next_event(response)["done"] is True
        assert_ended_well(server, within_s=1)


def test_a_reload_hands_over_without_a_failed_request(upstream: FakeUpstream) -> None:
    with serving(upstream) as (server, port), contextlib.ExitStack() as connections:
        old = server.workers()
        idle = [connections.enter_context(Kept(port)) for _ in range(8)]
        assert [connection.status_of("/readyz") for connection in idle] == [200] * 8
        with running_stream(upstream, port, "more") as (response, gate):
            server.signal(signal.SIGHUP)
            wait_until(lambda: len(server.workers() - old) == 2, "the settings are checked, the new workers begun")
            # An idle one stays for five seconds, as a proxy may be about to send a request there.
            assert [connection.seconds_until_closed() < 6 for connection in idle] == [True] * 8
            statuses = []
            for number in range(200):
                is_chat = number % 10 == 0
                with exchange(port, *(("POST", "/api/chat", CHAT) if is_chat else ("GET", "/readyz"))) as answer:
                    answer.read()
                    statuses.append(answer.status)
            assert statuses == [200] * 200
            assert len(server.workers() & old) == 1, "the worker without work has ended"

            gate.release_all()
            assert next_event(response) == {"token": "more"}
            assert next_event(response)["done"] is True
        wait_until(lambda: not server.workers() & old, "the old worker has ended", 2)
        assert not server.faults()


@pytest.mark.parametrize("worker_class", WORKER_CLASSES)
def test_a_replaced_worker_serves_all_that_it_has_taken(upstream: FakeUpstream, worker_class: str) -> None:
    """Also a while after its stop, and on a connection that is idle: a proxy may be about to send a request there."""
    with (
        serving(upstream, worker_class, WEB_CONCURRENCY="1") as (server, port),
        contextlib.ExitStack() as connections,
    ):
        taken = [connections.enter_context(Kept(port)) for _ in range(6)]
        if worker_class == "gevent":  # gthread keeps none in this layout
            assert taken[0].status_of("/readyz") == 200
        with running_stream(upstream, port):  # which is taken after those, and keeps the old worker
            (old,) = server.workers()
            os.kill(old, signal.SIGTERM)
            time.sleep(1)  # on a busy machine a request may reach it that late
            for each in taken:
                answer = each.ask("POST", "/api/chat", CHAT)
                assert (answer.status, answer.headers["Connection"]) == (200, "close")
                answer.read()


def test_a_connection_whose_stream_outlives_a_reload_takes_another_request(upstream: FakeUpstream) -> None:
    """Its response had begun before the stop, without a word of closing it, so a proxy sends its next request there."""
    with serving(upstream, WEB_CONCURRENCY="1") as (server, port), Kept(port) as kept:
        gate = upstream.streams("begun", "more")
        gate.release(2)
        (old,) = server.workers()
        stream = kept.ask("POST", "/api/chat/stream", CHAT)
        assert stream.headers["Connection"] != "close"
        assert next_event(stream) == {"token": "begun"}
        server.signal(signal.SIGHUP)
        wait_until(lambda: server.workers() - {old}, "there is another worker")
        time.sleep(6)  # longer than an idle connection stays
        gate.release_all()
        assert next_event(stream) == {"token": "more"}
        stream.read()

        time.sleep(0.5)  # the worker has noticed that its last request has ended
        answer = kept.ask("POST", "/api/chat", CHAT)
        assert (answer.status, answer.headers["Connection"]) == (200, "close")
        answer.read()
        wait_until(lambda: old not in server.workers(), "the old worker has ended", 5)


@pytest.mark.parametrize("worker_class", WORKER_CLASSES)
def test_behind_a_proxy_a_stop_refuses_nothing_that_another_node_could_take(
    upstream: FakeUpstream, worker_class: str
) -> None:
    """It ceases to listen, so that the proxy turns to the next node, and serves what it has taken."""
    with (
        serving(upstream, worker_class, WEB_CONCURRENCY="1", TRUSTED_PROXIES="1") as (server, port),
        contextlib.ExitStack() as connections,
    ):
        late = connections.enter_context(Kept(port))
        with running_stream(upstream, port) as (response, gate):
            server.signal(signal.SIGTERM)

            def is_closed() -> bool:
                with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                    return False
                return True

            wait_until(is_closed, "it listens no longer", 5)
            answer = late.ask("POST", "/api/chat", CHAT)
            assert (answer.status, answer.headers["Connection"]) == (200, "close")
            answer.read()
            gate.release_all()
            assert next_event(response)["done"] is True
        assert server.process.wait(timeout=15) == 0
        assert "Traceback" not in server.log()


@pytest.mark.parametrize("worker_class", WORKER_CLASSES)
def test_a_stream_that_cannot_finish_says_so_before_it_is_cut(upstream: FakeUpstream, worker_class: str) -> None:
    # Long enough that the second in which a worker ends what remains is a whole one, as with the default.
    limit = {"GUNICORN_CMD_ARGS": "--graceful-timeout 8", "WEB_CONCURRENCY": "1"}
    with (
        serving(upstream, worker_class, **limit) as (stopped, stopped_port),
        serving(upstream, worker_class, **limit) as (reloaded, reloaded_port),
        running_stream(upstream, stopped_port) as (of_stopped, _),
        running_stream(upstream, reloaded_port) as (of_reloaded, _),
    ):
        old = reloaded.workers()
        stopped.signal(signal.SIGTERM)
        reloaded.signal(signal.SIGHUP)
        for response in (of_stopped, of_reloaded):
            assert next_event(response)["code"] == "draining"
            assert response.read() == b""
        assert_ended_well(stopped, within_s=1)
        wait_until(lambda: not reloaded.workers() & old, "the old worker has ended", 2)
        for server in (stopped, reloaded):
            assert server.log().count(" INFO call ") == 1
            assert not server.faults()


def test_an_interrupt_ends_a_worker_that_gives_its_idle_clients_time(upstream: FakeUpstream) -> None:
    with serving(upstream, WEB_CONCURRENCY="1") as (server, port), Kept(port) as kept:
        assert kept.status_of("/readyz") == 200
        (old,) = server.workers()
        os.kill(old, signal.SIGTERM)
        time.sleep(0.3)  # the worker has begun to stop
        assert old in server.workers()
        watch = Stopwatch()
        os.kill(old, signal.SIGQUIT)
        wait_until(lambda: old not in server.workers(), "the old worker has ended", 5)
        assert watch.elapsed_s() < 1.2


def test_a_worker_that_is_stopped_by_hand_leaves_new_requests_to_the_others(upstream: FakeUpstream) -> None:
    with serving(upstream) as (server, port), running_stream(upstream, port) as (response, gate):
        for worker in server.workers():
            os.kill(worker, signal.SIGTERM)
        for _ in range(50):
            with exchange(port, "GET", "/readyz") as answer:
                assert answer.status == 200
        gate.release_all()
        assert next_event(response)["done"] is True


def test_a_second_signal_changes_nothing_and_an_interrupt_ends_it_at_once(upstream: FakeUpstream) -> None:
    with (
        serving(upstream, WEB_CONCURRENCY="1") as (server, port),
        running_stream(upstream, port, "more") as running,
    ):
        response, gate = running
        for number in (signal.SIGTERM, signal.SIGTERM):
            server.signal(number)
            for worker in server.workers():
                os.kill(worker, number)
        gate.release()
        assert next_event(response) == {"token": "more"}
        # gunicorn forgets an interrupt that it reads together with the SIGTERM before it.
        wait_until(lambda: has_begun_to_stop(port), "the stop has begun")
        server.signal(signal.SIGINT)
        assert_ended_well(server, within_s=1.5)
