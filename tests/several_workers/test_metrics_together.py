"""What a scrape tells of several workers: sums over all of them, whoever answers, and whoever has died."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.fakes.servers import FakeUpstream, Gunicorn, exchange, free_port, gunicorn, next_event, wait_until

pytestmark = pytest.mark.servers

WORKERS = 2


class Site:
    """A server of several workers, and what it has been asked."""

    def __init__(self, server: Gunicorn, port: int, upstream: FakeUpstream) -> None:
        self.server, self.port, self.upstream = server, port, upstream

    def scrape(self) -> dict[str, float]:
        """The sums of each name over its labels."""
        with exchange(self.port, "GET", "/metrics") as response:
            assert response.status == 200
            text = response.read().decode()
        sums: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.labels.get("route", "/api/chat") == "/api/chat":
                    sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
        return sums

    def chat(self, times: int = 1) -> None:
        for number in range(times):
            with exchange(self.port, "POST", "/api/chat", {"message": f"Hello {number}"}) as response:
                assert response.status == 200, response.read()
                response.read()

    def kill_workers(self) -> None:
        workers = self.server.workers()
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        wait_until(lambda: not workers & self.server.workers(), "they have ended")
        wait_until(lambda: self.scrape()["gatehouse_workers"] == WORKERS, "there are new ones")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    port = free_port()
    left_over = tmp_path / "metrics" / "counter_1.db"
    left_over.parent.mkdir()
    left_over.write_bytes(b"of the server before")
    with (
        FakeUpstream() as upstream,
        gunicorn(
            wait_for=port,
            PORT=str(port),
            OPENAI_API_KEY="sk-canary",
            OPENAI_BASE_URL=upstream.url,
            WEB_CONCURRENCY=str(WORKERS),
            STATE_DIR=str(tmp_path),
            METRICS_ALLOW="127.0.0.1",
        ) as server,
    ):
        site = Site(server, port, upstream)
        wait_until(lambda: site.scrape()["gatehouse_workers"] == WORKERS, "all workers have started")
        yield site


def test_a_scrape_tells_the_sums_of_all_workers_living_and_dead(site: Site) -> None:
    site.chat(12)
    before = site.scrape()
    assert before["gatehouse_requests_total"] == before["gatehouse_attempts_total"] == 12
    assert before["gatehouse_call_duration_seconds_count"] == 12
    assert before["gatehouse_tokens_total"] == 12 * 12

    stream = site.upstream.streams("Hel", "lo")
    stream.release(2)
    with exchange(site.port, "POST", "/api/chat/stream", {"message": "Hi"}) as response:
        next_event(response)
        assert site.scrape()["gatehouse_streams_running"] == 1
        # Its worker is killed in the middle of it, as are all others.
        site.kill_workers()
    stream.release_all()

    found = site.scrape()
    assert found["gatehouse_requests_total"] == 12
    assert found["gatehouse_tokens_total"] == 12 * 12
    assert found["gatehouse_streams_running"] == 0

    site.chat(3)
    assert site.scrape()["gatehouse_requests_total"] == 15
    assert site.scrape()["gatehouse_store_up"] == 2
