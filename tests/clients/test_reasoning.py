"""Clients whose models reason before they call a tool: the offline model does, as OpenAI's do."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.clients.running_server import HERE
from tests.fakes.servers import free_port, gunicorn

pytestmark = pytest.mark.clients


@pytest.fixture
def offline() -> Iterator[str]:
    port = free_port()
    with gunicorn(wait_for=port, PORT=str(port), WEB_CONCURRENCY="1"):
        yield f"http://127.0.0.1:{port}"


def test_the_ai_sdk_refers_to_reasoning_by_its_id(offline: str) -> None:
    """It takes every answer for stored, and there is no option here that tells it otherwise."""
    options = {"method": "tools", "messages": [{"role": "user", "content": "The weather, please"}]}

    ran = subprocess.run(
        ["node", "ai_sdk.mjs", offline, json.dumps(options)],
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    told = json.loads(ran.stdout)
    assert "error" not in told, told
    assert told["found"]["steps"] == 2
    assert "rain in" in told["found"]["text"]
