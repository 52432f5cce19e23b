"""A server for the clients of this folder, and how they are run."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.servers import FakeUpstream
from tests.fakes.upstreams.openai_answers import USAGE, chunk, stream_of

HERE = Path(__file__).parent
PYTHON = HERE / ".venv" / "bin" / "python"
"""Which has the packages of requirements.txt: clients that pin others than Gatehouse does."""
AI_VERSIONS = pytest.mark.parametrize("version", [5, 6, 7])
USAGE_CHUNK = {**chunk(), "choices": [], "usage": USAGE}


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
            [PYTHON if script.endswith(".py") else "node", script, self.url, json.dumps(options)],
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
