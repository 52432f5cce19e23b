"""How the upstreams of the tests that are servers of their own write an answer."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import Any

from app.models.families import find_refusal
from tests.fakes.upstreams.strictness import TODAY


class UpstreamHandler(BaseHTTPRequestHandler):
    """Answers one connection; a subclass says what."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Read a request and answer it, or refuse what OpenAI refuses."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        refusal = find_refusal(self.path, body, today=TODAY)
        if refusal is None:
            self.answer(body)
            return
        error = json.dumps({"error": refusal.error}).encode()
        self.begin("application/json", "Content-Length", str(len(error)), status=refusal.status)
        self.wfile.write(error)

    def answer(self, body: dict[str, Any]) -> None:
        """Answer a request."""
        raise NotImplementedError

    def begin(self, content_type: str, framing: str, value: str, *, status: int = 200) -> None:
        """Write the head of an answer, whose length or encoding is framed by one header."""
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header(framing, value)
        self.end_headers()

    def write_chunk(self, data: bytes) -> None:
        """Write one chunk of a body; an empty one ends it."""
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def log_message(self, *args: Any) -> None:
        """Stay silent: tests look at what arrived, and at the bills."""
