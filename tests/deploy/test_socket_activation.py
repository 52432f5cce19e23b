"""systemd holds the socket: a restart of the service is no error to anybody, requests wait for the next process."""

from __future__ import annotations

import contextlib
import http.client
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.servers import ROOT, FakeUpstream, environment, exchange, next_event, stop, wait_until

pytestmark = pytest.mark.servers

# As sd_listen_fds(3) says: the socket is descriptor 3, and the environment says for which process.
_TAKE_SOCKET = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
"""
_CLIENTS = 4
_PATIENCE_S = 120.0


@contextlib.contextmanager
def activated(listener: socket.socket, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start gunicorn as systemd does, with a socket that is open already."""
    fd = listener.fileno()
    process = subprocess.Popen(
        [sys.executable, "-c", _TAKE_SOCKET, str(fd), str(Path(sys.executable).with_name("gunicorn")), "wsgi:app"],
        cwd=ROOT,
        env=environment(**settings),
        pass_fds=(fd,),
        stdin=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        stop(process, signal.SIGQUIT)


class Visitors:
    """Some who ask again and again, each time over a new connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._must_stop = threading.Event()
        self.answers: Counter[str] = Counter()
        self._threads = [threading.Thread(target=self._ask) for _ in range(_CLIENTS)]

    def _ask(self) -> None:
        while not self._must_stop.is_set():
            try:
                self.answers[str(self._chat())] += 1
            except (OSError, http.client.HTTPException) as error:
                self.answers[type(error).__name__] += 1

    def _chat(self) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_PATIENCE_S)
        with contextlib.closing(connection):
            connection.request("POST", "/api/chat", b'{"message":"Hello"}', {"Content-Type": "application/json"})
            response = connection.getresponse()
            response.read()
            return response.status

    def __enter__(self) -> Visitors:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._must_stop.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.parametrize("worker_class", ["gevent", "gthread"])
def test_a_restart_is_no_error_to_anybody(tmp_path: Path, worker_class: str) -> None:
    with FakeUpstream() as openai, socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        port = listener.getsockname()[1]
        settings = {
            "OPENAI_BASE_URL": openai.url,
            "STATE_DIR": str(tmp_path),
            "DATA_DIR": str(tmp_path),
            "DATABASE_URL": f"sqlite:///{tmp_path}/gatehouse.sqlite3",
            "WORKER_CLASS": worker_class,
        }
        with Visitors(port) as visitors:
            with activated(listener, **settings) as first:
                wait_until(lambda: visitors.answers["200"] > 10, "the first process answers", _PATIENCE_S)
                stream = openai.streams("one", "two")
                stream.release(2)
                with exchange(port, "POST", "/api/chat/stream", {"message": "Hello"}) as running:
                    assert next_event(running)["token"] == "one"
                    first.send_signal(signal.SIGTERM)
                    stream.release_all()
                    rest = running.read()
                assert b'"done"' in rest
                wait_until(lambda: first.poll() is not None, "the first process ends", _PATIENCE_S)
            answered = visitors.answers["200"]
            with activated(listener, **settings):
                wait_until(
                    lambda: visitors.answers["200"] > answered + 10, "the second process answers", _PATIENCE_S
                )
        assert set(visitors.answers) == {"200"}, visitors.answers
