"""The npm packages that pages use, run in Node against a real server with a scripted upstream behind it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.openai_answers import USAGE, chunk, stream_of
from tests.fakes.servers import FakeUpstream, free_port, gunicorn

USAGE_CHUNK = {**chunk(), "choices": [], "usage": USAGE}
HERE = Path(__file__).parent
TOOLS = '''
from app.tools import tool


@tool
def order_status(order_id: str) -> str:
    """Look up an order.

    Args:
        order_id: as printed on the receipt.
    """
    return "on its way"
'''


class Server:
    """A server, the upstream behind it, and the port of the pages that may call it."""

    def __init__(self, url: str, upstream: FakeUpstream, page_port: int) -> None:
        self.url = url
        self.upstream = upstream
        self.page_port = page_port

    def run(self, script: str, **options: Any) -> Any:
        """Run a script of this folder, and return what it prints."""
        self.upstream.received.clear()
        done = subprocess.run(
            ["node", script, self.url, json.dumps(options)],
            cwd=HERE,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def answers(self, *payloads: Any) -> None:
        self.upstream.streams_payloads(*payloads).release_all()

    def says(self, *tokens: str) -> None:
        self.answers(*stream_of(*tokens))

    def calls(self, name: str, *pieces: str, id: str = "call_1") -> None:  # noqa: A002
        """Queue an answer that calls a tool."""
        first = {"index": 0, "id": id, "type": "function", "function": {"name": name, "arguments": ""}}
        rest = [chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}) for piece in pieces]
        end = [chunk(finish_reason="tool_calls"), USAGE_CHUNK, "[DONE]"]
        self.answers(chunk({"tool_calls": [first]}), *rest, *end)

    def asked(self) -> list[list[dict[str, Any]]]:
        """The conversations that the model was sent."""
        return [each.body["messages"] for each in self.upstream.received]


@pytest.fixture
def server(running: Server) -> Server:
    running.upstream.forget()
    return running


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    tools = tmp_path_factory.mktemp("tools")
    (tools / "orders.py").write_text(TOOLS, encoding="utf-8")
    port, page_port = free_port(), free_port()
    with (
        FakeUpstream() as upstream,
        gunicorn(
            wait_for=port,
            PORT=str(port),
            OPENAI_API_KEY="sk-test",
            ALLOWED_ORIGINS=f"http://127.0.0.1:{page_port}",
            OPENAI_BASE_URL=upstream.url,
            CHAT_FALLBACK_MODELS="none",
            RETRY_MAX_ATTEMPTS="1",
            TOOLS_DIR=str(tools),
            ALLOWED_TOOLS="order_status",
            WEB_CONCURRENCY="1",
        ),
    ):
        yield Server(f"http://127.0.0.1:{port}", upstream, page_port)
