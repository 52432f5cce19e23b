"""What four worker processes hold in common: one circuit for each model, and one number of streams."""

from __future__ import annotations

import itertools
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.servers import FakeUpstream, GatedStream, Gunicorn, free_port, gunicorn, next_event, wait_until
from tests.fakes.storage.redis_server import RedisServer, redis_server

pytestmark = pytest.mark.servers

COOLDOWN_S = 2.0
MAX_STREAMS = 6
SETTINGS = {
    "WEB_CONCURRENCY": "4",
    "RETRY_MAX_ATTEMPTS": "1",
    "CHAT_FALLBACK_MODELS": ",",  # none
    "ALLOWED_MODELS": "other",
    "BREAKER_FAILURES": "5",
    "BREAKER_COOLDOWN_S": str(COOLDOWN_S),
    "MAX_CONCURRENT_STREAMS": str(MAX_STREAMS),
    "MAX_STREAM_SHARE": "1",  # they all come from one address
}

NUMBERS = itertools.count()


class Asked:
    """A request that has been sent over a connection of its own, and its answer."""

    def __init__(self, port: int, path: str, **fields: Any) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=10)
        body = json.dumps({"message": f"Hello {next(NUMBERS)}", **fields})  # what is sent twice fails once
        self._connection.request("POST", path, body, {"Content-Type": "application/json"})
        self._socket = self._connection.sock
        self._sent = time.monotonic()
        self._response: HTTPResponse | None = None

    @property
    def end(self) -> tuple[str, int]:
        """Its address and its port: of two addresses, each may have a connection from the same port."""
        address, port = self._socket.getsockname()
        return address, port

    @property
    def is_answered(self) -> bool:
        return bool(select.select([self._socket], [], [], 0)[0])

    @property
    def response(self) -> HTTPResponse:
        """Its answer once that has begun."""
        if self._response is None:
            self._response = self._connection.getresponse()
            self.took_s = time.monotonic() - self._sent
        return self._response

    @property
    def outcome(self) -> tuple[int, str | None]:
        """Its status, and the code of its error, once it is there."""
        body = json.loads(self.response.read())
        return self.response.status, body.get("code")

    def close(self) -> None:
        self._connection.close()
        if self._response is not None:
            self._response.close()


@dataclass
class Site:
    """A server of several workers, the upstream behind it, and what has been asked of it."""

    server: Gunicorn
    port: int
    upstream: FakeUpstream
    asked: ExitStack

    def wait_until_ready(self) -> None:
        wait_until(lambda: "ready" in self.server.log(), "all workers are there")

    def ask(self, path: str = "/api/chat", **fields: Any) -> Asked:
        return self.asked.enter_context(closing(Asked(self.port, path, **fields)))

    def ask_at_once(self, times: int) -> list[Asked]:
        return [self.ask() for _ in range(times)]

    def calls(self) -> int:
        """How often the upstream has been called."""
        return len(self.upstream.received)

    @contextmanager
    def without_a_call(self) -> Iterator[None]:
        before = self.calls()
        yield
        assert self.calls() == before

    def open_circuit(self, failures: int) -> None:
        self.upstream.status = 500
        before = self.calls()
        assert [self.ask().outcome for _ in range(failures)] == [(502, "upstream_failed")] * failures
        assert self.calls() == before + failures
        self.upstream.status = 200

    def stream(self, within_s: float = 0) -> tuple[Asked, GatedStream]:
        """One that has begun, and will not end by itself; tried again until there is room for it."""
        gate = self.upstream.streams("begun", "more")
        gate.release(2)
        asked = []

        def has_begun() -> bool:
            asked.append(self.ask("/api/chat/stream"))
            return asked[-1].response.status == 200

        wait_until(has_begun, "there is room for a stream", within_s)
        assert next_event(asked[-1].response) == {"token": "begun"}
        return asked[-1], gate

    def assert_full(self) -> float:
        """See a further stream refused, and in how many seconds."""
        with self.without_a_call():
            asked = self.ask("/api/chat/stream")
            assert asked.outcome == (503, "concurrency_limit")
            assert int(asked.response.headers["Retry-After"]) >= 1
            return asked.took_s

    def worker_of(self, asked: Asked) -> int:
        """The process that has the other end of its connection."""
        ends = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
        [inode] = [
            fields[9]
            for fields in ends
            if fields[1].endswith(f":{self.port:04X}") and fields[2] == _as_in_proc(*asked.end)
        ]
        [worker] = [pid for pid in self.server.workers() if f"socket:[{inode}]" in _open_files(pid)]
        return worker


def _as_in_proc(address: str, port: int) -> str:
    """An end of a connection as /proc/net/tcp writes it: the address in the machine's byte order."""
    return f"{int.from_bytes(socket.inet_aton(address), sys.byteorder):08X}:{port:04X}"


def _open_files(pid: int) -> set[str]:
    names = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            names.add(str(file.readlink()))
    return names


@contextmanager
def starting(state_dir: Path, redis_url: str = "", **settings: str) -> Iterator[Site]:
    port = free_port()
    with FakeUpstream() as upstream, ExitStack() as asked:
        where = {"PORT": str(port), "OPENAI_BASE_URL": upstream.url, "STATE_DIR": str(state_dir)}
        with gunicorn(wait_for=None, **where, REDIS_URL=redis_url, **(SETTINGS | settings)) as server:
            yield Site(server, port, upstream, asked)
            assert not server.faults()


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def site_on_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with starting(tmp_path_factory.mktemp("state")) as site:
        site.wait_until_ready()
        yield site


@pytest.fixture(scope="module")
def site_on_redis(tmp_path_factory: pytest.TempPathFactory, redis: RedisServer) -> Iterator[Site]:
    with starting(tmp_path_factory.mktemp("unused"), redis.url) as site:
        site.wait_until_ready()
        yield site


@pytest.fixture(params=["site_on_file", "site_on_redis"])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    site: Site = request.getfixturevalue(request.param)
    yield site
    site.asked.close()
    site.upstream.may_answer.set()


@contextmanager
def stopped(worker: int) -> Iterator[None]:
    os.kill(worker, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(worker, signal.SIGCONT)


def passed(seconds: float) -> None:
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= end, "the clock goes on")


def test_a_circuit_is_open_for_all_workers_and_has_one_probe(site: Site) -> None:
    site.open_circuit(failures=5)
    opened = time.monotonic()

    with site.without_a_call():
        answers = site.ask_at_once(60)
        assert [asked.outcome for asked in answers] == [(503, "circuit_open")] * 60
        assert {int(asked.response.headers["Retry-After"]) for asked in answers} <= {1, 2}
        took_s = time.monotonic() - opened
    assert took_s < COOLDOWN_S, "so long that it says nothing"
    assert site.ask(model="other").outcome == (200, None)

    site.upstream.may_answer.clear()
    passed(opened + COOLDOWN_S - time.monotonic())
    before = site.calls()
    asked = site.ask_at_once(40)
    wait_until(lambda: [a.is_answered for a in asked].count(False) <= 1, "all but the probe are answered")
    [probe] = [a for a in asked if not a.is_answered]
    refused = [a for a in asked if a is not probe]
    assert [a.outcome for a in refused] == [(503, "circuit_open")] * 39
    assert {a.response.headers["Retry-After"] for a in refused} == {"1"}
    wait_until(lambda: site.calls() > before, "the probe has arrived")
    assert site.calls() == before + 1

    site.upstream.may_answer.set()
    assert probe.outcome == (200, None)
    assert [asked.outcome for asked in site.ask_at_once(40)] == [(200, None)] * 40
    assert site.calls() == before + 41


def test_streams_are_limited_over_all_workers(site: Site) -> None:
    streams = [site.stream(within_s=1)]
    with stopped(site.worker_of(streams[0][0])):  # so that the other workers have some as well
        streams += [site.stream() for _ in range(MAX_STREAMS - 1)]

    # At once: not even the slowest worker has a queue. One of several, as a machine may have other things to do.
    assert min(site.assert_full() for _ in range(5)) < 0.1
    assert site.ask().outcome == (200, None)

    finished, gate = streams.pop()
    gate.release_all()
    assert next_event(finished.response) == {"token": "more"}
    assert next_event(finished.response)["done"] is True
    assert finished.response.read() == b""
    streams.append(site.stream(within_s=1))
    site.assert_full()

    left, gate = streams.pop()
    left.close()
    assert gate.left.wait(5)
    streams.append(site.stream(within_s=2))
    site.assert_full()

    for _, gate in streams:
        gate.release_all()
    for asked, _ in streams:
        assert asked.response.read().endswith(b"\n\n")


def test_streams_of_a_killed_worker_give_their_slots_back(site_on_file: Site, site_on_redis: Site) -> None:
    killed = []
    for site in (site_on_file, site_on_redis):
        streams = [site.stream(within_s=1) for _ in range(MAX_STREAMS)]
        workers = [site.worker_of(asked) for asked, _ in streams]
        os.kill(workers[0], signal.SIGKILL)
        lost = workers.count(workers[0])
        killed.append(
            (site, lost, [stream for stream, of in zip(streams, workers, strict=True) if of != workers[0]])
        )
    for site, _, _ in killed:
        site.assert_full()
    for site, lost, kept in killed:
        again = [site.stream(within_s=15) for _ in range(lost)]
        site.assert_full()
        for asked, gate in kept + again:
            gate.release_all()
            assert next_event(asked.response) == {"token": "more"}
            assert next_event(asked.response)["done"] is True
        site.asked.close()


def test_a_probe_of_a_killed_worker_is_replaced(tmp_path: Path, redis: RedisServer) -> None:
    settings = {"BREAKER_FAILURES": "1", "BREAKER_COOLDOWN_S": "0.2", "REQUEST_TIMEOUT_S": "1"}
    redis.client.flushall()
    with (
        starting(tmp_path, **settings, WEB_CONCURRENCY="2") as on_file,
        starting(tmp_path, redis.url, **settings, WEB_CONCURRENCY="2") as on_redis,
    ):
        for site in (on_file, on_redis):
            site.wait_until_ready()
        for site in (on_file, on_redis):
            site.open_circuit(failures=1)
            passed(0.2)
            site.upstream.may_answer.clear()
            before = site.calls()
            probe = site.ask()
            wait_until(lambda site=site, before=before: site.calls() > before, "the probe is on its way")
            os.kill(site.worker_of(probe), signal.SIGKILL)
            site.upstream.may_answer.set()
        killed = time.monotonic()
        for site in (on_file, on_redis):
            with site.without_a_call():
                assert [asked.outcome for asked in site.ask_at_once(20)] == [(503, "circuit_open")] * 20
        for site in (on_file, on_redis):
            before = site.calls()
            wait_until(lambda site=site: site.ask().outcome == (200, None), "another one probes", 10)
            assert site.calls() == before + 1
            # REQUEST_TIMEOUT_S and the five seconds more that its report may take.
            assert time.monotonic() - killed > 4
            assert site.ask().outcome == (200, None)


def _of_one_worker(port: int, *, times: int) -> list[float]:
    """How long each took of some requests over one connection: only the first in each second tries Redis again."""
    took_s = []
    with closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        for _ in range(times):
            begun = time.monotonic()
            body = json.dumps({"message": "Hi"})
            connection.request("POST", "/api/chat", body, {"Content-Type": "application/json"})
            assert connection.getresponse().read()
            took_s.append(time.monotonic() - begun)
    return took_s


def test_a_redis_that_does_not_answer_delays_nobody_much(site_on_redis: Site, redis: RedisServer) -> None:
    site = site_on_redis
    with redis.frozen():
        first = site.ask_at_once(20)
        assert [asked.outcome for asked in first] == [(200, None)] * 20
        assert max(asked.took_s for asked in first) < 1.5
        next_ones = site.ask_at_once(20)
        assert [asked.outcome for asked in next_ones] == [(200, None)] * 20
        assert min(_of_one_worker(site.port, times=6)) < 0.1
        asked, gate = site.stream(within_s=1)
        gate.release_all()
        assert asked.response.read()
        assert max(asked.took_s for asked in next_ones) < 1
    wait_until(lambda: site.ask().outcome == (200, None) and "state.back" in site.server.log(), "it is back", 5)
    site.asked.close()
