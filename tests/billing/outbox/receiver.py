"""Receivers of webhooks and of meter events, as others would write them: each takes an id once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl

Answer = tuple[int, bytes]


class Receiver:
    """Counts what it is told by id; `answer` says what it answers, and may wait or fail."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.headers: dict[str, dict[str, str]] = {}
        self.heard: Counter[str] = Counter()
        self.answer: Callable[[str], Answer] = lambda _: (204, b"")
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                entry_id = headers.get("webhook-id") or dict(parse_qsl(body.decode()))["identifier"]
                with receiver._lock:
                    receiver.heard[entry_id] += 1
                    receiver.headers[entry_id], receiver.bodies[entry_id] = headers, body
                status, text = receiver.answer(entry_id)
                if not status:
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                with suppress(ConnectionError):  # the sender has been killed meanwhile
                    self.end_headers()
                    self.wfile.write(text)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
