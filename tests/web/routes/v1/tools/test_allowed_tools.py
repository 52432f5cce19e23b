"""The tool choice `allowed_tools` of both APIs: what may not be called is not offered to the model."""

from __future__ import annotations

import pytest

from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import completion

ASKED = {"model": "gpt-6.1-terra"}
HI = [{"role": "user", "content": "Hi"}]
NAMES = ("get_weather", "get_time", "get_news")


def ask_chat(client, names, mode="auto", offered=NAMES):
    tools = [{"type": "function", "function": {"name": name}} for name in offered]
    allowed = [{"type": "function", "function": {"name": name}} for name in names]
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": allowed}}
    body = {**ASKED, "messages": HI, "tools": tools, "tool_choice": choice}
    return client.post("/v1/chat/completions", json=body)


def ask_response(client, names, mode="auto", offered=NAMES):
    tools = [{"type": "function", "name": name} for name in offered]
    choice = {
        "type": "allowed_tools",
        "mode": mode,
        "tools": [{"type": "function", "name": name} for name in names],
    }
    return client.post("/v1/responses", json={**ASKED, "input": HI, "tools": tools, "tool_choice": choice})


@pytest.fixture(params=[ask_chat, ask_response])
def ask(request):
    return request.param


@each_row("mode", ["auto", "required"])
def test_only_what_is_allowed_is_offered(client, upstream, ask, mode):
    assert ask(client, ["get_news", "get_weather"], mode).status_code == 200

    sent = upstream.sent[0].body
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["get_weather", "get_news"]
    assert sent["tool_choice"] == mode


@each_row("names", [["get_money"], []])
def test_what_is_not_offered_cannot_be_allowed(client, upstream, ask, names):
    refused = ask(client, names)

    assert refused.status_code == 400
    assert refused.json["error"]["param"].startswith("tool_choice")
    assert upstream.sent == []


def test_a_response_repeats_the_choice(client):
    choice = ask_response(client, ["get_time"], "required").json["tool_choice"]

    assert choice == {
        "type": "allowed_tools",
        "mode": "required",
        "tools": [{"type": "function", "name": "get_time"}],
    }


def test_a_tool_that_openai_runs_is_allowed_by_its_type(make_app, upstream):
    upstream.answers(completion())
    client = make_app(upstream_api="responses", allowed_openai_tools=("web_search", "file_search")).test_client()
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "web_search"}]}
    tools = [{"type": "function", "name": "get_time"}, {"type": "web_search", "search_context_size": "low"}]

    answer = client.post("/v1/responses", json={**ASKED, "input": HI, "tools": tools, "tool_choice": choice})

    assert answer.status_code == 200
    assert upstream.sent[0].raw["tools"] == [tools[1]]
    assert answer.json["tools"] == [tools[1]]


def test_a_tool_that_the_owner_does_not_allow_stays_refused(client, upstream):
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "web_search"}]}
    asked = {**ASKED, "input": HI, "tools": [{"type": "web_search"}], "tool_choice": choice}

    assert client.post("/v1/responses", json=asked).status_code == 400
    assert upstream.sent == []
