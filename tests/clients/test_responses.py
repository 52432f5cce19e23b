"""The frameworks that call /v1/responses by themselves, as clients of a real server."""

from __future__ import annotations

import pytest

from tests.clients.running_server import USAGE_CHUNK, Server
from tests.fakes.upstreams.openai_answers import chunk, error, stream_of

pytestmark = pytest.mark.clients

QUESTION = {"role": "user", "content": "Hi"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}


def found(server, script, **options):
    printed = server.run(script, **options)
    assert "error" not in printed, printed
    return printed["found"]


def test_the_ai_sdk_generates_a_text(server):
    answer = found(server, "ai_sdk.mjs", method="generate")

    assert (answer["text"], answer["finishReason"]) == ("Hello there", "stop")
    assert answer["usage"]["inputTokens"] == 9


def test_the_ai_sdk_streams(server: Server) -> None:
    server.says("Hel", "lo 😀")

    parts = found(server, "ai_sdk.mjs", method="stream")

    assert "".join(part["text"] for part in parts if part["type"] == "text-delta") == "Hello 😀"
    assert parts[-1]["finishReason"] == "stop"


def test_the_ai_sdk_calls_its_tools_and_goes_on(server):
    server.calls("weather", '{"city":', '"Oslo"}')
    server.says("It rains.")

    assert found(server, "ai_sdk.mjs", method="tools") == {"text": "It rains.", "steps": 2}
    [_, second] = server.asked()
    assert second == [
        QUESTION,
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "rain in Oslo"},
    ]


def test_the_ai_sdk_gets_an_object(server, monkeypatch):
    monkeypatch.setattr(server.upstream, "text", '{"city":"Oslo"}')

    assert found(server, "ai_sdk.mjs", method="object") == {"city": "Oslo"}


def test_the_ai_sdk_goes_on_with_a_conversation(server):
    assert found(server, "ai_sdk.mjs", method="turns") == "Hello there"

    assert server.asked()[-1] == [
        QUESTION,
        {"role": "assistant", "content": "Hello there"},
        {**QUESTION, "content": "And?"},
    ]


def test_the_ai_sdk_tells_a_failure_amid_a_stream(server):
    server.answers(*stream_of("Hel")[:2], error(code="server_error"))

    parts = found(server, "ai_sdk.mjs", method="stream")

    assert [part["error"] for part in parts if part["type"] == "error"] == [
        "The model could not be reached or did not answer properly."
    ]


def test_the_ai_sdk_tells_a_refusal(server):
    failed = server.run("ai_sdk.mjs", method="generate", settings={"temperature": 3}, model="gpt-4o")["error"]

    assert (failed["name"], failed["status"]) == ("AI_APICallError", 400)


@pytest.mark.parametrize("script", ["agents.mjs", "agents_sdk.py"])
def test_the_agents_sdk_runs_an_agent(server, script):
    assert found(server, script, streams=False) == {"output": "Hello there", "text": ""}


@pytest.mark.parametrize("script", ["agents.mjs", "agents_sdk.py"])
def test_the_agents_sdk_runs_an_agent_with_a_tool_streamed(server, script):
    server.calls("weather", '{"city":', '"Oslo"}')
    server.says("It ", "rains.")

    answer = found(server, script, streams=True)

    assert answer == {"output": "It rains.", "text": "It rains."}
    assert server.asked()[1] == [
        {"role": "system", "content": "Be brief."},
        QUESTION,
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "rain in Oslo"},
    ]


@pytest.mark.parametrize("script", ["ai_sdk.mjs", "agents_sdk.py"])
def test_a_custom_tool_is_run_with_its_text(server, script):
    custom = {"index": 0, "id": "call_1", "type": "custom", "custom": {"name": "run", "input": ""}}
    pieces = [{"index": 0, "custom": {"input": piece}} for piece in ("a\n", "b")]
    told = [chunk({"tool_calls": [call]}) for call in (custom, *pieces)]
    server.answers(*told, chunk(finish_reason="tool_calls"), USAGE_CHUNK, "[DONE]")
    server.says("It ran.")

    answer = found(server, script, method="custom", tool="run", streams=True)

    assert answer["text"] == "It ran."
    *_, turn, result = server.asked()[1]
    assert turn["tool_calls"] == [{"id": "call_1", "type": "custom", "custom": {"name": "run", "input": "a\nb"}}]
    assert result["content"] == "ran a\nb"


def test_the_agents_sdk_shows_the_picture_of_a_tool(server):
    server.calls("plot", "{}")
    server.says("I see.")

    assert found(server, "agents_sdk.py", tool="plot", streams=True)["output"] == "I see."
    *_, result, shown = server.asked()[1]
    assert result["content"] == "(attached)"
    assert [part["type"] for part in shown["content"]] == ["image_url"]


@pytest.mark.parametrize("script", ["agents.mjs", "agents_sdk.py"])
def test_the_agents_sdk_tells_a_failure_amid_a_stream(server, script):
    server.answers(*stream_of("Hel")[:2], error(code="server_error"))

    assert "error" in server.run(script, streams=True)
