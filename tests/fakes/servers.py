"""Real servers for tests where sockets matter: gunicorn with the application, and an upstream to stand behind it."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import random
import re
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection, HTTPResponse
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from flask import Flask, jsonify, request

from app import create_app, offline_model
from tests.fakes.stopwatch import Stopwatch
from tests.fakes.storage.vocabulary_table import put_table
from tests.fakes.upstreams.openai_answers import completion, embeddings, error, sse, stream_of
from tests.fakes.upstreams.upstream_handler import UpstreamHandler

ROOT = Path(__file__).parents[2]
_POLL_S = 0.02
_PATIENCE_S = 20.0


def free_port() -> int:
    """A port that nobody listens on at this moment, and that no connection is given before it is used.

    The kernel gives those from 32,768 on to connections that are made, of which the tests make thousands.
    """
    while True:
        port = random.randrange(10_000, 32_768)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


def wait_until(condition: Callable[[], Any], what: str, timeout_s: float = _PATIENCE_S) -> None:
    """Wait until a condition holds that another process brings about."""
    watch = Stopwatch()
    while not condition():
        assert watch.elapsed_s() < timeout_s, f"not within {timeout_s} s: {what}"
        time.sleep(_POLL_S)


def is_listening(address: Path | tuple[str, int]) -> bool:
    """Whether a server takes connections there, be it a Unix socket or a host and port."""
    family = socket.AF_UNIX if isinstance(address, Path) else socket.AF_INET
    with socket.socket(family) as sock:
        return sock.connect_ex(str(address) if isinstance(address, Path) else address) == 0


@contextlib.contextmanager
def exchange(
    port: int,
    method: str,
    path: str,
    body: Any = None,
    *,
    headers: dict[str, str] | None = None,
    from_address: str = "127.0.0.1",
) -> Iterator[HTTPResponse]:
    """One request over a connection of its own, and its answer, whose body may still be on its way.

    Args:
        body: bytes as they are, anything else as JSON.
        from_address: any of 127.0.0.0/8, for a server that tells its callers apart.
    """
    connection = HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_S, source_address=(from_address, 0))
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **(headers or {})}
    with contextlib.closing(connection):
        connection.request(method, path, body, headers or {})
        with connection.getresponse() as response:
            yield response


def next_event(response: HTTPResponse) -> dict[str, Any]:
    """Read the next event of an event stream, and not one byte further; heartbeats are passed over, padding is left out."""
    while True:
        line = response.readline()
        assert line, "the stream has ended"
        if line.startswith(b"data: "):
            assert response.readline() == b"\n"
            data: dict[str, Any] = json.loads(line[6:])
            data.pop("p", None)  # padding
            return data


@dataclass
class Gunicorn:
    """A gunicorn that was started by a test."""

    process: subprocess.Popen[bytes]
    log_file: Path

    def log(self) -> str:
        """Everything that the master and its workers have written so far."""
        return self.log_file.read_text(encoding="utf-8")

    def faults(self) -> list[str]:
        """The lines of exceptions that nobody expected."""
        found = re.compile(r"Traceback|ERROR gunicorn .* exception=|process\.uncaught")
        return [line for line in self.log().splitlines() if found.search(line)]

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def workers(self) -> set[int]:
        """The process ids of its workers."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        return {int(child) for child in children.split() if not _is_reload_check(child)}


def _is_reload_check(pid: str) -> bool:
    try:
        return b"server.arbiter.start_check" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True  # it has ended


def environment(**settings: str) -> dict[str, str]:
    """This environment with these settings and no others, whatever a developer's .env says."""
    names = re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE)
    # gunicorn itself reads WEB_CONCURRENCY and stumbles over an empty one.
    return {**os.environ, **dict.fromkeys([*names, "BIND"], ""), "WEB_CONCURRENCY": "2", **settings}


def make_key(command: str, settings: dict[str, str]) -> str:
    """Run a page's `flask keys create …` line with these settings, and return the key."""
    ran = subprocess.run(
        [Path(sys.executable).with_name("flask"), *shlex.split(command)[1:]],
        cwd=ROOT,
        env=environment(**settings),
        capture_output=True,
        timeout=30,
        check=True,
    )
    return ran.stdout.decode().strip()


def read_gunicorn_settings(folder: Path = ROOT, then: str = "", **settings: str) -> tuple[dict[str, str], str]:
    """Return what gunicorn makes of gunicorn.conf.py in a folder, which it executes, without a start.

    Args:
        folder: where `gunicorn wsgi:app` would be called.
        then: more of the program, whose output is returned too.
        settings: the environment's variables; all other settings are unset.
    """
    program = f"""
import sys
sys.argv = ["gunicorn", "wsgi:app"]
from gunicorn.app.wsgiapp import WSGIApplication
print(WSGIApplication().cfg, end="\\n\\n")
{then}"""
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    printed, _, rest = ran.stdout.partition("\n\n")
    return dict(re.findall(r"^(\w+) += (.*)$", printed, re.MULTILINE)), rest


@contextlib.contextmanager
def gunicorn(app: str = "wsgi:app", *, wait_for: Path | int | None, **settings: str) -> Iterator[Gunicorn]:
    """Start gunicorn with the repository's own gunicorn.conf.py, and stop it in the end.

    Args:
        wait_for: the Unix socket, or the port, on which the settings make it listen; None does not wait.
        settings: the environment's variables; all other settings are unset, but that its state and its ledger are its
            own: what the server of another test left behind would be swept, and logged, by this one.
    """
    with tempfile.TemporaryDirectory() as folder:
        log_file = Path(folder, "log")
        own = {"STATE_DIR": folder, "DATA_DIR": folder, "DATABASE_URL": f"sqlite:///{folder}/gatehouse.sqlite3"}
        put_table(Path(folder))
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                [Path(sys.executable).with_name("gunicorn"), app],  # `-m gunicorn` would find more modules
                cwd=ROOT,
                env=environment(**(own | settings)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        server = Gunicorn(process, log_file)
        try:
            if wait_for is not None:
                wait_until(lambda: _is_alive(server, wait_for), "gunicorn answers /healthz")
            yield server
        finally:
            # At once; SIGTERM would wait for streams that a failed test has left open.
            stop(process, signal.SIGQUIT)


def stop(process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM) -> None:
    """End a process that a test has started, and wait for its end."""
    if process.poll() is None:
        process.send_signal(how)
    try:
        process.wait(timeout=_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def _is_alive(server: Gunicorn, where: Path | int) -> bool:
    assert server.process.poll() is None, f"gunicorn has ended:\n{server.log()}"
    address = where if isinstance(where, Path) else ("127.0.0.1", where)
    family = socket.AF_UNIX if isinstance(where, Path) else socket.AF_INET
    with socket.socket(family) as sock:
        sock.settimeout(_PATIENCE_S)
        try:
            sock.connect(str(where) if isinstance(where, Path) else address)
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return sock.recv(64).startswith(b"HTTP/1.1 200")
        except OSError:
            return False


def app_with_probe() -> Flask:
    """The real application and one route more, GET /probe: how the request looks to the application."""
    app = create_app()

    @app.get("/probe")
    def probe() -> Any:
        return jsonify(address=request.remote_addr, scheme=request.scheme, host=request.host)

    return app


def app_that_streams_at_once() -> Flask:
    """The real application, whose offline model hardly pauses between tokens: a long answer takes no 15 s."""
    offline_model.create_offline_model = partial(offline_model.create_offline_model, token_delay_s=0.001)
    return create_app()


@dataclass
class Received:
    """One request as it arrived at the upstream."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


def _to_compact_json(payload: Any) -> str:
    """Return a payload as OpenAI writes it: of another form nothing is passed on by the server's relay."""
    return json.dumps(payload, separators=(",", ":"), ensure_ascii=False)


@dataclass
class GatedStream:
    """A streamed answer of which each payload waits until the test lets it go."""

    payloads: list[Any]
    left: threading.Event = field(default_factory=threading.Event)
    _gate: queue.SimpleQueue[None] = field(default_factory=queue.SimpleQueue)

    def release(self, count: int = 1) -> None:
        """Let the next payloads go."""
        for _ in range(count):
            self._gate.put(None)

    def release_all(self) -> None:
        self.release(len(self.payloads))

    def write_to(self, sock: socket.socket, write: Callable[[bytes], None]) -> None:
        """Write each payload when it is let go; `left` is set once the reader is seen to be gone."""
        try:
            for payload in self.payloads:
                while not self._may_go():
                    if _is_gone(sock):
                        self.left.set()
                        return
                write(sse(payload if isinstance(payload, str) else _to_compact_json(payload)))
        except ConnectionError:
            self.left.set()

    def _may_go(self) -> bool:
        try:
            self._gate.get(timeout=_POLL_S)
        except queue.Empty:
            return False
        return True


class FakeUpstream:
    """An OpenAI over real HTTP: answers with what was queued, in order; by itself with a whole answer."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.status = 200
        """The status of all answers. An error status comes with an error object."""
        self.text = "Hello there"
        """What an answer says that is not streamed."""
        self.body: bytes | None = None
        """What an answer is that is not streamed, to the byte, whatever `text` is."""
        self.may_answer = threading.Event()
        """An answer that is not streamed waits for it."""
        self.may_answer.set()
        self._streams: deque[GatedStream] = deque()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.fake = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_POLL_S,), daemon=True)

    @property
    def url(self) -> str:
        """What OPENAI_BASE_URL is to be."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def streams(self, *tokens: str) -> GatedStream:
        """Queue a streamed answer. Its first payload has no text, then each token is one; see `stream_of`."""
        return self.streams_payloads(*stream_of(*tokens))

    def streams_payloads(self, *payloads: Any) -> GatedStream:
        """Queue a streamed answer of these payloads."""
        stream = GatedStream(list(payloads))
        self._streams.append(stream)
        return stream

    def forget(self) -> None:
        """Forget what was queued and received, for the next test."""
        self._streams.clear()
        self.received.clear()

    def take_stream(self) -> GatedStream:
        if self._streams:
            return self._streams.popleft()
        stream = GatedStream(stream_of("Hello", " there"))
        stream.release_all()
        return stream

    def __enter__(self) -> FakeUpstream:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    fake: FakeUpstream
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, *_: Any) -> None:
        """Stay silent: a server that ends leaves its kept connections without a word."""


class _Handler(UpstreamHandler):
    server: _Server

    def answer(self, body: dict[str, Any]) -> None:
        fake = self.server.fake
        stream = fake.take_stream() if body.get("stream") and fake.status == 200 else None
        # Only now: what a test queues once it has seen this request in `received` is for the next one.
        fake.received.append(Received(self.path, dict(self.headers.items()), body))
        if stream is not None:
            self._stream(stream)
            return
        fake.may_answer.wait(_PATIENCE_S)
        whole = embeddings([[0.5, -0.25]]) if self.path.endswith("/embeddings") else completion(fake.text)
        content = fake.body or json.dumps(whole if fake.status == 200 else error()).encode()
        self.begin("application/json", "Content-Length", str(len(content)), status=fake.status)
        self.wfile.write(content)

    def _stream(self, stream: GatedStream) -> None:
        self.begin("text/event-stream", "Transfer-Encoding", "chunked")
        stream.write_to(self.connection, self.write_chunk)
        if stream.left.is_set():
            self.close_connection = True
        else:
            self.write_chunk(b"")


def _is_gone(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    try:
        return bool(poll.poll(0)) and sock.recv(1, socket.MSG_PEEK) == b""
    except ConnectionError:
        return True
