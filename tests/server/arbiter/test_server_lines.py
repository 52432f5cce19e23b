"""Every line of a server as JSON: its own events, gunicorn's, and requests."""

from __future__ import annotations

import json
import os
import signal
import socket

import pytest

from tests.fakes.servers import exchange, free_port, gunicorn, wait_until

pytestmark = pytest.mark.servers


@pytest.mark.parametrize("kind", ["gevent", "gthread"])
def test_each_line_of_a_server_is_one_object_and_tells_the_version(kind: str) -> None:
    port = free_port()
    settings = {"PORT": str(port), "WORKER_CLASS": kind, "LOG_FORMAT": "json", "WEB_CONCURRENCY": "2"}
    with gunicorn(wait_for=port, **settings, LOG_PRIORITIES="always") as server:

        def events() -> list[dict[str, object]]:
            return [json.loads(line[3:]) for line in server.log().splitlines() if line]

        def wait_for(name: str, **fields: object) -> dict[str, object]:
            def find() -> list[dict[str, object]]:
                return [each for each in events() if each["event"] == name and fields.items() <= each.items()]

            wait_until(find, f"{name} {fields}")
            return find()[0]

        wait_for("server.ready")
        with exchange(port, "POST", "/api/chat", {"message": "Hello"}) as response:
            request_id = response.headers["X-Request-ID"]
            response.read()
        line = wait_for("request", request_id=request_id)
        assert (line["route"], line["status"], line["attempts"]) == ("/api/chat", 200, 1)

        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"NOT HTTP\r\n\r\n")
            connection.recv(1000)
        assert wait_for("request", status=400)["reason"]

        killed = min(server.workers())
        os.kill(killed, signal.SIGKILL)
        wait_for("worker.exited", worker_pid=killed)
        wait_for("gunicorn", level="ERROR")

        server.signal(signal.SIGHUP)
        wait_for("server.reloading")
        server.signal(signal.SIGTERM)
        assert server.process.wait(timeout=20) == 0
        told = {str(each["event"]): each for each in events()}

    for name in ("server.starting", "server.ready", "server.reloading", "server.stopped", "worker.exited"):
        assert told[name]["version"], name
    assert told["server.stopping"]["is_graceful"] is True
    assert list(told)[-1] == "server.stopped"
