"""A site with a Gatehouse of its own: the server in production, and the site's pages on an allowed origin."""

from __future__ import annotations

import json
import mimetypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from tests.clients.running_server import Server
from tests.fakes.servers import FakeUpstream, free_port, gunicorn, make_key


class Site(Server):
    """A server whose callers need tokens, and the key with which the site makes them."""

    def __init__(self, url: str, upstream: FakeUpstream, page_port: int, key: str) -> None:
        super().__init__(url, upstream, page_port)
        self.key = key

    @property
    def origin(self) -> str:
        """The one origin whose pages may call."""
        return f"http://127.0.0.1:{self.page_port}"

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Call the server as the site's own server does."""
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.url + path, data, headers, method=method)
        with urlopen(request, timeout=20) as response:
            return json.loads(response.read() or b"null")

    def create_token(self, **fields: Any) -> dict[str, Any]:
        scopes = ["chat", "vision", "embeddings", "structured", "usage"]
        grant = {"userId": "anna", "ttlS": 900, "scopes": scopes, **fields}
        token: dict[str, Any] = self.call("POST", "/api/tokens", grant)
        return token


@contextmanager
def run_site(folder: Path) -> Iterator[Site]:
    """Start Gatehouse as a site in production has it."""
    port, page_port = free_port(), free_port()
    with FakeUpstream() as upstream:
        settings = {
            "APP_ENV": "production",
            "SECRET_KEY": "s" * 40,
            "PORT": str(port),
            "OPENAI_API_KEY": "sk-test",
            "OPENAI_BASE_URL": upstream.url,
            "CHAT_FALLBACK_MODELS": "none",
            "RETRY_MAX_ATTEMPTS": "1",
            "AUTH_REQUIRED": "true",
            "ALLOWED_ORIGINS": f"http://127.0.0.1:{page_port}",
            "TRUSTED_HOSTS": "127.0.0.1",
            "RESUME_LINGER_S": "30",  # so that it is not the connection's end that ends an answer
            "STATE_DIR": str(folder),
            "DATA_DIR": str(folder),
            "DATABASE_URL": f"sqlite:///{folder}/gatehouse.sqlite3",
            "WEB_CONCURRENCY": "2",  # what a page asks for comes to another worker than before
        }
        with gunicorn(wait_for=port, **settings):
            key = make_key("flask keys create --name site", settings)
            yield Site(f"http://127.0.0.1:{port}", upstream, page_port, key)


class Pages(ThreadingHTTPServer):
    """The site's own server: its files, and its visitors' tokens at /gatehouse-token."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, site: Site, folder: Path, *, port: int | None = None) -> None:
        super().__init__(("127.0.0.1", site.page_port if port is None else port), _Handler)
        self.site = site
        self.folder = folder
        self.tokens: list[str] = []
        """All tokens that the pages were given."""
        self.grant: dict[str, Any] = {}
        """What the next tokens are for, besides the usual."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @contextmanager
    def serving(self) -> Iterator[Pages]:
        thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.shutdown()
            self.server_close()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Pages
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/gatehouse-token":
            token = self.server.site.create_token(**self.server.grant)
            self.server.tokens.append(token["token"])
            self._send(json.dumps(token).encode(), "application/json")
            return
        if path == "/revoke-all":
            self.server.site.call("DELETE", "/api/tokens?userId=anna")
            self._send(b"", "text/plain")
            return
        file = self.server.folder / path.lstrip("/")
        if path.endswith("/"):
            file /= "index.html"
        if not file.is_file():
            self.send_error(404)
            return
        self._send(file.read_bytes(), mimetypes.guess_type(file.name)[0] or "text/plain")

    def _send(self, content: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Stay silent."""
