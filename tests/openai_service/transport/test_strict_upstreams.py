"""The tests' own upstreams refuse what OpenAI refuses, in its words."""

from __future__ import annotations

import httpx2
import pytest

from tests.fakes.servers import FakeUpstream
from tests.fakes.upstreams.costly_upstream import CostlyUpstream
from tests.fakes.upstreams.fake_openai import FakeOpenAI
from tests.fakes.upstreams.raw_server import READ, RawServer, answer

HI = {"model": "gpt-6.1-terra", "messages": [{"role": "user", "content": "Hi"}], "max_completion_tokens": 5}
TOOLS = {"tools": [{"type": "function", "function": {"name": "look"}}]}


@pytest.fixture(params=["in process", "costly", "raw", "of real servers"])
def send(request):
    """Sends a body to one of the upstreams."""
    match request.param:
        case "in process":
            client = FakeOpenAI().http_client
            yield lambda body: client.post("https://api.openai.com/v1/chat/completions", json=body)
        case "costly":
            with CostlyUpstream() as upstream:
                yield lambda body: httpx2.post(f"{upstream.url}/chat/completions", json=body)
        case "raw":
            with RawServer([READ, answer({"choices": []})]) as server:
                yield lambda body: httpx2.post(f"{server.url}/chat/completions", json=body)
        case _:
            with FakeUpstream() as upstream:
                yield lambda body: httpx2.post(f"{upstream.url}/chat/completions", json=body)


def test_what_openai_refuses_is_refused(send):
    refused = send(HI | TOOLS)

    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "reasoning_effort"
    assert refused.json()["error"]["code"] is None
    assert refused.json()["error"]["message"].startswith("Function tools with reasoning_effort are not supported")


def test_what_it_takes_is_answered(send):
    assert send(HI).status_code == 200
