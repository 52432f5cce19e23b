"""A start with the offline model, one call of each kind, and their rows in the ledger, with every warning an error."""

from __future__ import annotations

import base64
import io
import json
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.fakes.servers import Gunicorn, exchange, free_port, gunicorn, wait_until
from tests.fakes.wire.reading import events_of

pytestmark = pytest.mark.thorough

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


class Site:
    def __init__(self, server: Gunicorn, port: int, ledger: Path) -> None:
        self.server = server
        self._port = port
        self._ledger = ledger

    def post(self, path: str, body: dict[str, Any]) -> bytes:
        """Send a request; it is answered, and its row in the ledger has what it used."""
        with exchange(self._port, "POST", path, body) as response:
            answer = response.read()
        assert response.status == 200, answer
        wait_until(lambda: self._rows(path), "the row in the ledger")
        (row,) = self._rows(path)
        assert row["outcome"] == "complete"
        assert row["source"] == "reported"
        assert row["prompt_tokens"] > 0
        assert row["completion_tokens"] > 0
        return answer

    def _rows(self, path: str) -> list[sqlite3.Row]:
        connection = sqlite3.connect(self._ledger)
        connection.row_factory = sqlite3.Row
        try:
            return connection.execute(
                "SELECT * FROM entries WHERE route = ? AND state = 'settled'", (path,)
            ).fetchall()
        finally:
            connection.close()


@pytest.fixture(scope="module", params=["gevent", "gthread"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    port, folder = free_port(), tmp_path_factory.mktemp("data")
    settings = {
        "PYTHONWARNINGS": "error",
        "PORT": str(port),
        "WEB_CONCURRENCY": "1",
        "WORKER_CLASS": request.param,
        "DATA_DIR": str(folder),
        "STATE_DIR": str(folder),
        "DATABASE_URL": f"sqlite:///{folder / 'ledger.sqlite3'}",
    }
    with gunicorn(wait_for=port, **settings) as server:
        yield Site(server, port, folder / "ledger.sqlite3")


def test_a_chat_is_answered_and_booked(site: Site) -> None:
    assert json.loads(site.post("/api/chat", {"message": "Hello"}))["reply"]


def test_a_stream_is_answered_and_booked(site: Site) -> None:
    *tokens, done = events_of(site.post("/api/chat/stream", {"message": "Hello"}))
    assert all(event["token"] for event in tokens)
    assert tokens
    assert done["done"] is True


def test_an_image_is_looked_at_and_booked(site: Site) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (255, 0, 0)).save(buffer, "PNG")
    url = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    answer = json.loads(site.post("/api/vision", {"prompt": "What is this?", "imageUrl": url}))
    assert "a PNG image, 8×8 pixels" in answer["reply"]


def test_a_structured_answer_fits_its_schema_and_is_booked(site: Site) -> None:
    answer = json.loads(site.post("/api/structured", {"prompt": "Oslo", "schema": SCHEMA}))
    assert isinstance(answer["data"]["city"], str)


def test_nothing_warns_or_fails_and_the_stop_is_clean(site: Site) -> None:
    """The last test of this file: it stops the server of the others, after all that these have sent."""
    site.server.signal(signal.SIGTERM)
    assert site.server.process.wait(timeout=10) == 0
    assert not site.server.faults()
    assert "Warning" not in site.server.log()
