"""Functions and structured answers over POST /v1/responses."""

from __future__ import annotations

import openai
import pydantic
import pytest

from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import chunk, completion, stream_of

ASKED = {"model": "gpt-6.1-terra", "input": "Hi"}
FUNCTION = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'}}


class Weather(pydantic.BaseModel):
    city: str


def test_functions_are_called_and_answered(sdk, upstream):
    upstream.answers(completion("Wait.", finish_reason="tool_calls", tool_calls=[CALL]))

    answer = sdk.responses.create(**ASKED, tools=[FUNCTION], tool_choice="required")
    output = {"type": "function_call_output", "call_id": "call_1", "output": "rain"}
    sdk.responses.create(
        model=ASKED["model"],
        input=[{"role": "user", "content": "Hi"}, *answer.output, output],
        tools=[FUNCTION],
    )

    assert [item.type for item in answer.output] == ["message", "function_call"]
    call = answer.output[1]
    assert (call.call_id, call.name, call.arguments) == ("call_1", "get_weather", '{"city":"Oslo"}')
    sent = upstream.sent[0].body
    assert [tool["function"]["parameters"] for tool in sent["tools"]] == [FUNCTION["parameters"]]
    assert sent["tool_choice"] == "required"
    assert upstream.sent[1].body["messages"] == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Wait.", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
    ]


STRICT = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}


@each_row(
    ("tool", "strict"),
    [
        ({"parameters": STRICT}, True),
        ({"parameters": STRICT, "strict": None}, True),
        ({"parameters": STRICT, "strict": False}, False),
        ({"parameters": FUNCTION["parameters"]}, False),
        ({"parameters": None, "description": None}, False),
    ],
)
def test_functions_are_strict_where_they_can_be(client, upstream, tool, strict):
    answer = client.post("/v1/responses", json={**ASKED, "tools": [{"type": "function", "name": "f", **tool}]})

    [sent] = upstream.sent[0].body["tools"]
    assert sent["function"].get("strict", False) is strict  # the fake has no default
    assert None not in sent["function"].values()
    parameters = tool["parameters"]
    told = {"type": "function", "name": "f", "description": None, "parameters": parameters, "strict": strict}
    assert answer.json["tools"] == [told]


@each_row(
    ("choice", "sent"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ({"type": "function", "name": "get_weather"}, {"type": "function", "function": {"name": "get_weather"}}),
    ],
)
def test_the_choice_of_a_tool_is_passed_on(client, upstream, choice, sent):
    asked = {**ASKED, "tools": [FUNCTION], "tool_choice": choice, "parallel_tool_calls": False}

    answer = client.post("/v1/responses", json=asked)

    assert upstream.sent[0].body["tool_choice"] == sent
    assert upstream.sent[0].body["parallel_tool_calls"] is False
    assert (answer.json["tool_choice"], answer.json["parallel_tool_calls"]) == (choice, False)


def test_no_tools_are_no_tools(client, upstream):
    asked = {**ASKED, "tools": [], "tool_choice": "auto", "parallel_tool_calls": True}

    assert client.post("/v1/responses", json=asked).status_code == 200
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & upstream.sent[0].body.keys()


def call_delta(index, id_=None, name=None, arguments=None):
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    named = {"id": id_, "type": "function"} if id_ else {}
    return chunk({"tool_calls": [{"index": index, **named, "function": function}]})


def test_calls_of_functions_are_streamed_as_they_come(sdk, upstream):
    pieces = [
        call_delta(0, "call_1", "get_weather", ""),
        call_delta(0, arguments='{"city":'),
        call_delta(0, arguments='"Oslo"}'),
        call_delta(1, "call_2", "get_weather", ""),  # without arguments
    ]
    upstream.streams(*pieces, chunk(finish_reason="tool_calls"), "[DONE]")

    with sdk.responses.stream(**ASKED, tools=[FUNCTION]) as streamed:
        events = list(streamed)
        answer = streamed.get_final_response()

    deltas = [each for each in events if each.type == "response.function_call_arguments.delta"]
    assert [(each.output_index, each.delta) for each in deltas] == [(0, '{"city":'), (0, '"Oslo"}'), (1, "{}")]
    assert [(item.call_id, item.name, item.arguments) for item in answer.output] == [
        ("call_1", "get_weather", '{"city":"Oslo"}'),
        ("call_2", "get_weather", "{}"),
    ]


def test_the_clients_parse_gets_an_object(sdk, upstream):
    upstream.answers(completion('{"city":"Oslo"}'))
    upstream.streams(*stream_of('{"city":', '"Oslo"}'))

    parsed = sdk.responses.parse(**ASKED, text_format=Weather)
    with sdk.responses.stream(**ASKED, text_format=Weather) as streamed:
        streamed.until_done()

    assert parsed.output_parsed == streamed.get_final_response().output_parsed == Weather(city="Oslo")
    sent = upstream.sent[0].body["response_format"]
    assert (sent["type"], sent["json_schema"]["name"], sent["json_schema"]["strict"]) == (
        "json_schema",
        "Weather",
        True,
    )
    assert parsed.text.format.name == "Weather"


def test_a_parsed_answer_can_be_sent_back(sdk, upstream):
    upstream.answers(completion('{"city":"Oslo"}'))
    first = sdk.responses.parse(**ASKED, text_format=Weather)

    sdk.responses.create(model=ASKED["model"], input=[*first.output, {"role": "user", "content": "And?"}])

    assert upstream.sent[1].body["messages"] == [
        {"role": "assistant", "content": '{"city":"Oslo"}'},
        {"role": "user", "content": "And?"},
    ]


def test_a_schema_outside_of_the_subset_is_refused_before_anything_is_spent(sdk, upstream):
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    form = {"type": "json_schema", "name": "n", "schema": schema, "strict": True}

    with pytest.raises(openai.BadRequestError) as caught:
        sdk.responses.create(**ASKED, text={"format": form})

    assert (caught.value.code, caught.value.param) == ("unsupported_schema", "text.format.schema")
    assert upstream.sent == []
