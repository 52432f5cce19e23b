"""Answers that are given again by several workers: real gunicorn, streams that are followed and repeated on any of them."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from tests.fakes.servers import FakeUpstream, Gunicorn, free_port, gunicorn, wait_until

pytestmark = pytest.mark.servers

WORKERS = 3
BODY = json.dumps({"message": "Hello"})


class Site:
    def __init__(self, server: Gunicorn, port: int, upstream: FakeUpstream, opened: ExitStack) -> None:
        self.server, self.port, self.upstream, self._opened = server, port, upstream, opened

    def open(self, method: str, path: str, body: str | None = None, **headers: str) -> HTTPResponse:
        """A response that has begun, over a connection of its own."""
        connection = self._opened.enter_context(closing(HTTPConnection("127.0.0.1", self.port, timeout=30)))
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {"Content-Type": "application/json", **named})
        return self._opened.enter_context(closing(connection.getresponse()))

    def ask(self, method: str, path: str, body: str | None = None, **headers: str) -> tuple[int, bytes]:
        response = self.open(method, path, body, **headers)
        return response.status, response.read()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory: Path = tmp_path_factory.mktemp("answers")
    port = free_port()
    with (
        ExitStack() as opened,
        FakeUpstream() as upstream,
        gunicorn(
            wait_for=port,
            WEB_CONCURRENCY=str(WORKERS),
            PORT=str(port),
            OPENAI_API_KEY="sk-test",
            OPENAI_BASE_URL=upstream.url,
            STATE_DIR=str(directory),
            DATA_DIR=str(directory),
            DATABASE_URL=f"sqlite:///{directory}/ledger.sqlite3",
            RESUME_LINGER_S="30",
            MAX_STREAM_SHARE="1",
        ) as server,
    ):
        wait_until(lambda: len(server.workers()) == WORKERS, "all workers are there")
        yield Site(server, port, upstream, opened)


def test_a_stream_is_followed_on_any_worker_byte_for_byte(site: Site) -> None:
    gated = site.upstream.streams("One", " two", " three", " four")
    gated.release(2)
    response = site.open("POST", "/api/chat/stream", json.dumps({"message": "Hello", "resumable": True}))
    url = f"/api/chat/stream/{response.headers['X-Stream-Id']}"
    with ThreadPoolExecutor(8) as pool:
        readers = [pool.submit(site.ask, "GET", url) for _ in range(8)]
        gated.release_all()
        whole = response.read()
        followed = [reader.result() for reader in readers]

    assert b'"done":true' in whole
    assert followed == [(200, whole)] * 8
    assert [site.ask("GET", url) for _ in range(8)] == [(200, whole)] * 8
    events = whole.split(b"\n\n")[:-1]
    rest = b"".join(event + b"\n\n" for event in events[2:])
    assert [site.ask("GET", url, Last_Event_ID="2") for _ in range(4)] == [(200, rest)] * 4
    assert site.ask("GET", url, Last_Event_ID=str(len(events))) == (204, b"")


def test_a_chat_is_resumed_on_any_worker_while_its_answer_is_passed_on(site: Site) -> None:
    words = [f" {number}" for number in range(60)]
    gated = site.upstream.streams(*words)
    gated.release(3)
    messages = [{"role": "user", "parts": [{"type": "text", "text": "Hello"}]}]
    response = site.open("POST", "/api/chat", json.dumps({"id": "chat-on-all", "messages": messages}))
    with ThreadPoolExecutor(7) as pool:
        reading = pool.submit(response.read)
        readers = [pool.submit(site.ask, "GET", "/api/chat/chat-on-all/stream") for _ in range(6)]
        while not reading.done():
            gated.release()
            wait([reading], timeout=0.03)
        whole = reading.result()
        followed = [reader.result() for reader in readers]

    assert all(f'"delta":"{word}"'.encode() in whole for word in words)
    assert whole.endswith(b"data: [DONE]\n\n")
    assert followed == [(200, whole)] * 6


def test_a_client_that_lost_its_connection_reads_on_elsewhere(site: Site) -> None:
    gated = site.upstream.streams("One", " two", " three", " four")
    gated.release(2)
    response = site.open("POST", "/api/chat/stream", json.dumps({"message": "Hello again", "resumable": True}))
    url = f"/api/chat/stream/{response.headers['X-Stream-Id']}"
    first = response.readline()
    response.close()
    gated.release_all()

    status, rest = site.ask("GET", url, Last_Event_ID="1")

    assert first == b"id: 1\n"
    assert status == 200
    assert rest.startswith(b"id: 2\n")
    assert b'"done":true' in rest


def test_twenty_at_once_with_one_key_are_one_call_and_one_answer(site: Site) -> None:
    before = len(site.upstream.received)
    with ThreadPoolExecutor(20) as pool:
        asked = [
            pool.submit(site.ask, "POST", "/api/chat", BODY, Idempotency_Key="one-of-twenty") for _ in range(20)
        ]
        answers = {request.result() for request in asked}

    assert [status for status, _ in answers] == [200]
    assert len(site.upstream.received) == before + 1


def test_a_request_whose_worker_is_killed_is_not_sent_again(site: Site) -> None:
    before = len(site.upstream.received)
    gated = site.upstream.streams("One", " two")
    gated.release(2)
    body = json.dumps({"message": "Killed"})
    first = site.open("POST", "/api/chat/stream", body, Idempotency_Key="killed").readline()
    for worker in site.server.workers():
        os.kill(worker, signal.SIGKILL)
    wait_until(lambda: len(site.server.workers()) == WORKERS, "all workers are there again")

    # What was sent is given again; after that its reader waits until the writer counts as dead: see ALIVE_S.
    again = site.open("POST", "/api/chat/stream", body, Idempotency_Key="killed")

    assert again.headers["Idempotent-Replay"] == "true"
    assert again.readline() == first
    assert len(site.upstream.received) == before + 1
