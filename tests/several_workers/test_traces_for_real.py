"""Traces of real servers: sent while they run and when they stop, by workers of both kinds."""

from __future__ import annotations

import signal
from collections import Counter

import pytest

from tests.fakes.collector import Collector
from tests.fakes.servers import exchange, free_port, gunicorn

pytestmark = pytest.mark.servers


@pytest.mark.parametrize("kind", ["gevent", "gthread"])
def test_a_server_that_stops_has_sent_all_its_spans(kind: str) -> None:
    collector, port = Collector(), free_port()
    settings = {"PORT": str(port), "WORKER_CLASS": kind, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    with gunicorn(wait_for=port, **settings) as server:
        for path in ("/api/chat", "/api/chat", "/api/chat/stream"):
            with exchange(port, "POST", path, {"message": "Hello"}) as response:
                response.read()
        server.signal(signal.SIGTERM)
        assert server.process.wait(timeout=20) == 0
        log = server.log()
    collector.close()

    names = Counter(str(span["name"]).partition(" gpt")[0] for span in collector.spans)
    assert (names["chat"], names["POST /api/chat"], names["POST /api/chat/stream"]) == (3, 2, 1)
    assert "opentelemetry" not in log
