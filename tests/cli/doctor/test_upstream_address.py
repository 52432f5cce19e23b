"""What `flask doctor` says of an upstream at which something else answers, or which cannot be reached: why, and no key."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from app.cli.doctor import keys
from app.cli.doctor.finding import Finding
from app.config import Config
from tests.cli.doctor.test_certificates import make_certificate
from tests.fakes.servers import free_port

__all__ = ["make_certificate"]

KEY = "sk-canary-0123456789"
LIST = (200, json.dumps({"object": "list", "data": [{"id": "gpt-6.1-terra"}, {"id": "text-embedding-3-small"}]}))
NO_ROUTE = (404, json.dumps({"error": {"message": "Invalid URL", "type": "invalid_request_error"}}))
PAGE = (200, "<html>Welcome</html>")
NOTHING_TO_SAY = (400, json.dumps({"error": {"message": "you must provide a model", "param": "model"}}))


class _Answers(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        status, body = self.server.answers.get(self.path, self.server.answers["else"])  # type: ignore[attr-defined]
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.send_response_only(status)
        if 300 <= status < 400:
            self.send_header("Location", "https://elsewhere.example/canary")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def do_GET(self) -> None:
        self.do_POST()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.upstream_http.proxies.getproxies", dict)


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Serve these answers by path, and return the host and port."""
    with ExitStack() as stack:

        def serve(answers: dict[str, tuple[int, str]], certificate: Path | None = None) -> str:
            server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), _Answers))
            server.answers = answers  # type: ignore[attr-defined]
            if certificate is not None:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(certificate)
                server.socket = context.wrap_socket(server.socket, server_side=True)
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            stack.callback(server.shutdown)
            return f"localhost:{server.server_port}"

        yield serve


def look(url: str) -> list[Finding]:
    found = list(
        keys.check_keys(Config(openai_api_key=KEY, openai_base_url=url, chat_fallback_models=(), moderation="off"))
    )
    assert "canary" not in str(found)
    assert all(each.hint for each in found if each.state != "ok")
    return found


def test_a_path_that_lacks_v1_is_written_out(serve):
    host = serve({"/v1/models": LIST, "else": NO_ROUTE})
    (found,) = look(f"http://{host}")
    assert (found.check, found.state) == ("base url", "fault")
    assert found.hint == f"OPENAI_BASE_URL=http://{host}/v1"
    assert [each.state for each in look(found.hint.partition("=")[2])] == ["ok", "ok"]


@pytest.mark.parametrize(
    ("answers", "state", "words"),
    [
        ({"else": PAGE}, "fault", "is a page"),
        ({"else": (200, '{"ok": true}')}, "fault", "is a page or comes from another program"),
        ({"else": (404, "<html>")}, "fault", "has none of OpenAI's routes"),
        ({"else": NO_ROUTE, "/v1/chat/completions": NOTHING_TO_SAY}, "warning", "but answers chats"),
        ({"else": (308, "")}, "fault", "redirect (308)"),
        ({"else": (301, "")}, "fault", "redirect (301)"),
    ],
)
def test_what_answers_there(serve, answers, state, words):
    (found,) = look(f"http://{serve(answers)}/v1")
    assert (found.check, found.state) == ("base url", state)
    assert words in found.sentence


def _error(status: int, code: str | None = None, message: str = "of canary") -> tuple[int, str]:
    return status, json.dumps({"error": {"message": message, "type": "x", "code": code}})


@pytest.mark.parametrize(
    ("answers", "state", "words"),
    [
        ({"else": _error(401, "invalid_api_key")}, "fault", "The key is refused (401)."),
        (
            {"else": _error(400, None, "API key not valid. Please pass a valid API key.")},
            "fault",
            "is refused (400)",
        ),
        (
            {"else": _error(429, "insufficient_quota")},
            "fault",
            "no credit left, or has reached its limit (429 insuff",
        ),
        ({"else": _error(402)}, "fault", "no credit left, or has reached its limit (402)"),
        ({"else": _error(403, "unsupported_country_region_territory")}, "fault", "from this network"),
        ({"else": _error(401, "ip_not_authorized")}, "fault", "from this address"),
        ({"else": _error(403)}, "fault", "may neither list models nor chat"),
        ({"else": _error(403), "/v1/chat/completions": NOTHING_TO_SAY}, "warning", "may not list models (403)"),
        ({"else": _error(503)}, "fault", "answers 503 to the key"),
    ],
)
def test_how_a_key_is_refused(serve, answers, state, words):
    (found,) = look(f"http://{serve(answers)}/v1")
    assert (found.check, found.state) == ("key", state)
    assert words in found.sentence


@pytest.mark.parametrize(
    ("days", "name", "expected"),
    [
        (60, "localhost", []),
        (2.5, "localhost", [("warning", "The certificate of localhost expires in 2 days.")]),
        (-1, "localhost", [("fault", "The certificate of localhost is not valid: certificate has expired.")]),
    ],
)
def test_the_end_of_an_upstreams_certificate(serve, make_certificate, monkeypatch, days, name, expected):
    file = make_certificate(days, name)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    found = look(f"https://{serve({'/v1/models': LIST, 'else': NO_ROUTE}, file)}/v1")
    assert [(each.state, each.sentence) for each in found if each.check == "certificate"] == expected


def test_a_certificate_of_another_name_or_of_nobody(serve, make_certificate, monkeypatch):
    file = make_certificate(60, "other.example")
    for words in ("self-signed certificate", "Hostname mismatch"):
        (found,) = look(f"https://{serve({'else': NO_ROUTE}, file)}/v1")
        assert (found.check, found.state) == ("certificate", "fault")
        assert words in found.sentence
        monkeypatch.setenv("SSL_CERT_FILE", str(file))


def test_no_connection(serve, make_certificate):
    plain = serve({"else": NO_ROUTE})
    secured = serve({"else": NO_ROUTE}, make_certificate(60))
    for url, words in (
        (f"https://{plain}/v1", "does not use TLS"),
        (f"http://{secured}/v1", "closes the connection"),
        (f"http://127.0.0.1:{free_port()}/v1", "nothing listens there"),
    ):
        (found,) = look(url)
        assert (found.check, found.state) == ("base url", "fault")
        assert words in found.sentence


def test_a_name_that_nobody_knows(monkeypatch):
    def fail(*_: Any, **__: Any) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr("app.upstream_http.addresses.socket.getaddrinfo", fail)
    (found,) = look("http://no-such.invalid/v1")
    assert "its name cannot be resolved" in found.sentence


def test_a_proxy_that_does_not_answer(monkeypatch):
    monkeypatch.setattr(
        "app.upstream_http.proxies.getproxies", lambda: {"https": f"http://me:canary@127.0.0.1:{free_port()}"}
    )
    (found,) = look("https://upstream.example/v1")
    assert "the proxy does not answer" in found.sentence
    assert "HTTPS_PROXY" in found.hint
