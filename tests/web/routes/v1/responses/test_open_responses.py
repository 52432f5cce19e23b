"""The compliance cases of Open Responses: each request as its suite sends it, each answer with all that it must have.

Source: https://www.openresponses.org/compliance
"""

from __future__ import annotations

import base64
import json
from typing import Any, Literal

import pytest
from pydantic import ConfigDict, TypeAdapter
from typing_extensions import TypedDict

from tests.fakes.upstreams.openai_answers import chunk, completion, stream_of
from tests.media.images.pictures import png

IMAGE = f"data:image/png;base64,{base64.b64encode(png(32, 32)).decode()}"
USER = {"type": "message", "role": "user", "content": "Say hello in exactly 3 words."}
TOOL = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the current weather for a location",
    "parameters": {
        "type": "object",
        "properties": {"location": {"type": "string", "description": "The city and state"}},
        "required": ["location"],
    },
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"location":"SF"}'}}


class Usage(TypedDict):
    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: dict[str, int]
    output_tokens_details: dict[str, int]


class FunctionTool(TypedDict):
    type: Literal["function"]
    name: str
    description: str | None
    parameters: dict[str, Any] | None
    strict: bool | None


class ResponseResource(TypedDict):
    """What the specification requires of a response, of the types that it has there."""

    __pydantic_config__ = ConfigDict(strict=True)

    id: str
    object: Literal["response"]
    created_at: int
    completed_at: int | None
    status: str
    incomplete_details: dict[str, str] | None
    model: str
    previous_response_id: str | None
    instructions: str | None
    output: list[dict[str, Any]]
    error: dict[str, str] | None
    tools: list[FunctionTool]
    tool_choice: str | dict[str, Any]
    truncation: Literal["auto", "disabled"]
    parallel_tool_calls: bool
    text: dict[str, Any]
    top_p: float
    presence_penalty: float
    frequency_penalty: float
    top_logprobs: int
    temperature: float
    reasoning: dict[str, Any] | None
    usage: Usage | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    store: bool
    background: bool
    service_tier: str
    metadata: Any
    safety_identifier: str | None
    prompt_cache_key: str | None


RESPONSE = TypeAdapter(ResponseResource)


def ask(client, *items, **fields):
    answer = client.post("/v1/responses", json={"model": "gpt-6.1-terra", "input": list(items), **fields})
    assert answer.status_code == 200, answer.text
    return answer


def completed(client, *items, **fields):
    response = ask(client, *items, stream=False, **fields).json
    RESPONSE.validate_python(response)
    assert response["status"] == "completed"
    assert response["output"]
    return response


def events_of(answer):
    texts = [block.partition("\ndata: ")[2] for block in answer.get_data(as_text=True).split("\n\n")[:-1]]
    events = [json.loads(text) for text in texts if text]
    for event in events:
        if "response" in event:
            RESPONSE.validate_python(event["response"])
    return events


def test_basic_text_response(client):
    assert completed(client, USER)["output"][0]["content"][0]["text"] == "Hello there"


def test_streaming_response(client, upstream):
    upstream.streams(*stream_of("1 2", " 3"))

    last = events_of(ask(client, USER, stream=True))[-1]

    assert (last["type"], last["response"]["status"]) == ("response.completed", "completed")


def test_system_prompt(client, upstream):
    completed(client, {"type": "message", "role": "system", "content": "You are a pirate."}, USER)

    assert upstream.sent[0].body["messages"][0] == {"role": "system", "content": "You are a pirate."}


def test_tool_calling(client, upstream):
    upstream.answers(completion(None, finish_reason="tool_calls", tool_calls=[CALL]))

    assert [item["type"] for item in completed(client, USER, tools=[TOOL])["output"]] == ["function_call"]


def test_tool_calling_streaming(client, upstream):
    call = {"index": 0, **CALL}
    upstream.streams(chunk({"tool_calls": [call]}), chunk(finish_reason="tool_calls"), "[DONE]")

    events = events_of(ask(client, USER, tools=[TOOL], stream=True))

    told = {(event["type"], event.get("item", {}).get("type")) for event in events}
    assert told >= {
        ("response.output_item.added", "function_call"),
        ("response.function_call_arguments.delta", None),
        ("response.function_call_arguments.done", None),
        ("response.output_item.done", "function_call"),
    }


@pytest.mark.parametrize("fields", [{}, {"detail": "high"}])
def test_image_input(client, upstream, fields):
    image = {"type": "input_image", "image_url": IMAGE, **fields}
    text = {"type": "input_text", "text": "What do you see?"}

    completed(client, {"type": "message", "role": "user", "content": [text, image]})

    [_, sent] = upstream.sent[0].body["messages"][0]["content"]
    assert sent["image_url"]["url"].startswith("data:image/png;base64,")


def test_multi_turn_conversation(client, upstream):
    answer = {"type": "message", "role": "assistant", "content": "Hello Alice!"}

    completed(client, USER, answer, {**USER, "content": "What is my name?"})

    assert [message["role"] for message in upstream.sent[0].body["messages"]] == ["user", "assistant", "user"]
