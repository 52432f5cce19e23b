"""`gunicorn wsgi:app` as an operator starts it: what it says, that it serves, and when it refuses to start."""

from __future__ import annotations

import http.client
import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

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
from tests.fakes.wire.reading import events_of


@pytest.fixture(scope="module", params=["gevent", pytest.param("gthread", marks=pytest.mark.servers)])
def offline(request: pytest.FixtureRequest) -> Iterator[tuple[Gunicorn, int]]:
    """A server without any setting but where it listens, and its one worker (the second time, also of which kind).

    Each warning is an error, as in tests/test_api_docs.py, which has the other kind of worker.
    """
    port = free_port()
    settings = {} if request.param == "gevent" else {"WORKER_CLASS": request.param}
    settings |= {"PYTHONWARNINGS": "error", "WEB_CONCURRENCY": "1"}
    with gunicorn(wait_for=port, PORT=str(port), **settings) as server:
        wait_until(lambda: "  curl " in server.log(), "the lines that say it is ready")
        yield server, port


def test_last_words_of_a_start_say_what_to_open_and_what_to_try(offline: tuple[Gunicorn, int]) -> None:
    server, port = offline
    *_, ready, command = [line for line in server.log().splitlines() if " INFO " not in line]
    assert ready == (
        f"Gatehouse is ready: open http://127.0.0.1:{port}/ with the offline model, as there is no OPENAI_API_KEY. "
        "To try it:"
    )
    assert command.startswith(f"  curl http://127.0.0.1:{port}/api/chat ")


def test_start_logs_no_warning_about_late_patching(offline: tuple[Gunicorn, int]) -> None:
    # gevent gives it when TLS was imported before it could change it; calls to the upstream then fail.
    server, _ = offline
    assert "Warning" not in server.log()
    assert not server.faults()


def test_offline_model_answers_a_chat(offline: tuple[Gunicorn, int]) -> None:
    _, port = offline
    with exchange(port, "POST", "/api/chat", {"message": "Hello"}) as response:
        body = json.loads(response.read())
    assert response.status == 200
    assert body["reply"]


def test_offline_model_streams_a_chat(offline: tuple[Gunicorn, int]) -> None:
    _, port = offline
    with exchange(port, "POST", "/api/chat/stream", {"message": "Hello"}) as response:
        events = events_of(response.read())
    assert response.status == 200
    assert len(events) > 1
    assert events[-1]["done"] is True


def test_production_without_settings_ends_at_once_and_names_each_fault() -> None:
    with gunicorn(wait_for=None, APP_ENV="production", PORT=str(free_port())) as server:
        assert server.process.wait(timeout=10) == 4
        log = server.log()
    for name in ("OPENAI_API_KEY", "SECRET_KEY", "ALLOWED_ORIGINS"):
        assert f"  - {name} is missing" in log
    assert log.count("Gatehouse cannot start with these settings") == 1
    assert "Traceback" not in log


@pytest.mark.servers
def test_reload_replaces_the_workers_and_cuts_no_stream() -> None:
    port = free_port()
    with (
        FakeUpstream() as upstream,
        gunicorn(wait_for=port, PORT=str(port), WEB_CONCURRENCY="1", OPENAI_BASE_URL=upstream.url) as server,
    ):
        stream = upstream.streams("one", "two")
        stream.release(2)
        with exchange(port, "POST", "/api/chat/stream", {"message": "Hello"}) as response:
            assert next_event(response) == {"token": "one"}
            old = server.workers()
            server.signal(signal.SIGHUP)
            wait_until(lambda: server.workers() - old, "there is a new worker")
            wait_until(lambda: _answers(port), "one of the two answers")
            stream.release_all()
            assert next_event(response) == {"token": "two"}
            assert next_event(response)["done"] is True
        wait_until(lambda: not server.workers() & old, "the old worker has ended")


def _answers(port: int) -> bool:
    try:
        with exchange(port, "GET", "/healthz") as response:
            return response.status == 200
    except ConnectionError:
        return False


REFUSED = {
    "no request line": (b"canary\r\n\r\n", 400),
    "bad method": (b"ca{}nary / HTTP/1.1\r\n\r\n", 400),
    "bad version": (b"GET /?canary HTTP/9.7\r\n\r\n", 400),
    "unknown version": (b"GET / HTTP/9.7\r\nHost: x\r\nX-A: canary\r\n\r\n", 400),
    "no host": (b"GET / HTTP/1.1\r\nX-A: canary\r\n\r\n", 400),
    "long URL": (b"GET /?canary=" + b"a" * 5000 + b" HTTP/1.1\r\n\r\n", 414),
    "bad header name": (b"GET / HTTP/1.1\r\nHost: x\r\nca nary: 1\r\n\r\n", 400),
    "bad header value": (b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer canary\x00\r\n\r\n", 400),
    "header without colon": (b"GET / HTTP/1.1\r\nHost: x\r\ncanary\r\n\r\n", 400),
    "folded header": (b"GET / HTTP/1.1\r\nHost: x\r\nX-A: a\r\n canary\r\n\r\n", 400),
    "many headers": (b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: canary\r\n" % n for n in range(80)) + b"\r\n", 431),
    "large header": (b"GET / HTTP/1.1\r\nCookie: canary=" + b"c" * 9000 + b"\r\n\r\n", 431),
    "two lengths": (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\nX-A: canary\r\n\r\n", 400),
    "bad length": (b"POST / HTTP/1.1\r\nContent-Length: canary\r\n\r\n", 400),
    "bad coding": (b"POST / HTTP/1.1\r\nTransfer-Encoding: canary\r\n\r\n", 501),
    "compressed chunks": (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n6\r\ncanary\r\n0\r\n\r\n",
        501,
    ),
    "bad expectation": (b"POST / HTTP/1.1\r\nExpect: canary\r\nContent-Length: 1\r\n\r\nx", 417),
}


def test_what_gunicorn_refuses_itself_is_our_json_and_logs_no_part_of_it(offline: tuple[Gunicorn, int]) -> None:
    server, port = offline
    for name, (sent, status) in REFUSED.items():
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(sent)
            with http.client.HTTPResponse(connection) as response:
                response.begin()
                body = json.loads(response.read())
        assert response.status == status, name
        assert set(body) == {"error", "code", "requestId"}
        assert body["code"] == "invalid_request"
        assert response.headers["Content-Type"] == "application/json"
        assert response.headers["X-Request-ID"] == body["requestId"]
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        wait_until(lambda body=body: body["requestId"] in server.log(), "the line of the log")
    assert "canary" not in server.log()


def test_below_v1_it_is_openais_object(offline: tuple[Gunicorn, int]) -> None:
    _, port = offline
    for name, (sent, status) in REFUSED.items():
        if not sent.startswith((b"GET / HTTP", b"POST / HTTP")):
            continue  # what is refused before the path is read
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(sent.replace(b" / ", b" /v1/chat/completions "))
            with http.client.HTTPResponse(connection) as response:
                response.begin()
                error = json.loads(response.read())["error"]
        assert list(error) == ["message", "type", "param", "code"], name
        assert (response.status, error["code"], error["param"]) == (status, "invalid_request", None)
        assert error["type"] == ("api_error" if status >= 500 else "invalid_request_error")
        assert response.headers["X-Request-ID"]


def test_a_broken_form_is_the_callers_fault(offline: tuple[Gunicorn, int]) -> None:
    _, port = offline
    head = (
        b"POST /api/vision HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(head + b"ZZ\r\nno chunk\r\n")
        assert b" 400 " in connection.recv(1000).split(b"\r\n")[0]


def test_files_and_answers_without_a_body_come_whole_over_one_connection(offline: tuple[Gunicorn, int]) -> None:
    _, port = offline
    css = Path(__file__).parents[3].joinpath("app", "web", "static", "pages.css").read_bytes()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    for method, path, expected in [
        ("GET", "/static/pages.css", css),
        ("HEAD", "/static/pages.css", b""),
        ("OPTIONS", "/api/chat", b""),
        ("GET", "/favicon.ico", b""),
        ("GET", "/healthz", b'{"status":"alive"}'),
    ]:
        connection.request(method, path)
        response = connection.getresponse()
        assert response.status in (200, 204)
        assert response.read() == expected
    connection.close()


def test_stop_in_a_hurry_tells_what_runs_and_is_clean_and_quiet(offline: tuple[Gunicorn, int]) -> None:
    """The last test of this file: it stops the server of the others, after all that these have sent."""
    server, port = offline
    with exchange(port, "POST", "/api/chat/stream", {"message": "Tell me a long story."}) as response:
        assert next_event(response)["token"]
        server.signal(signal.SIGINT)
        *tokens, last = events_of(response.read())
    assert all(event["token"] for event in tokens)
    assert last["code"] == "draining"
    assert server.process.wait(timeout=10) == 0
    assert server.log().count("outcome=interrupted") == 1
    assert not server.faults()
