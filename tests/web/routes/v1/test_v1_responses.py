"""POST /v1/responses, as OpenAI's own client and a reader of its bytes see it."""

from __future__ import annotations

import base64
import json

import openai
import pydantic
import pytest

from tests.fakes.openai_answers import MODEL, chunk, completion, error, stream_of
from tests.fakes.reading import read_typed_events as events_of
from tests.images.pictures import encoded, photo

ASKED = {"model": "gpt-6.1-terra", "input": "Hi"}
FUNCTION = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'}}
USAGE = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 3,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 12,
}


def stream(client, **fields):
    answer = client.post("/v1/responses", json={**ASKED, "stream": True, **fields})
    assert answer.status_code == 200, answer.text
    return events_of(answer.data)


def message(*content, place=0, status="completed", request_id=""):
    return {
        "id": f"msg_{request_id}_{place}",
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": list(content),
    }


def text(value):
    return {"type": "output_text", "text": value, "annotations": [], "logprobs": []}


def test_a_plain_answer_is_a_whole_response(client, upstream):
    answer = client.post("/v1/responses", json=ASKED, headers={"X-Request-ID": "r1"})

    created, completed = answer.json["created_at"], answer.json["completed_at"]
    assert completed >= created > 1_700_000_000
    assert answer.json == {
        "id": "resp_r1",
        "object": "response",
        "created_at": created,
        "completed_at": completed,
        "status": "completed",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": MODEL,
        "output": [message(text("Hello there"), request_id="r1")],
        "usage": USAGE,
        "service_tier": "auto",
        "store": False,
        "previous_response_id": None,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "reasoning": {"effort": None, "summary": None},
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "truncation": "disabled",
        "prompt_cache_key": None,
        "safety_identifier": None,
    }
    assert (answer.headers["X-Model"], answer.headers["X-Attempts"]) == (MODEL, "1")
    assert upstream.sent[0].body["messages"] == [{"role": "user", "content": "Hi"}]


def test_the_client_of_openai_reads_a_plain_answer(records, sdk):
    answer = sdk.responses.create(**ASKED)

    assert answer.output_text == "Hello there"
    assert answer.usage.total_tokens == 12
    assert answer._request_id == records[0].request_id
    assert (records[0].operation, records[0].outcome) == ("chat", "complete")
    assert type(answer).model_validate(answer.to_dict())  # all fields are there, and of their types


def test_the_client_of_openai_reads_a_stream(sdk, upstream):
    upstream.streams(*stream_of("Hel", "lo"))

    with sdk.responses.stream(**ASKED) as streamed:
        events = list(streamed)
        answer = streamed.get_final_response()

    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert answer.output_text == events[-1].response.output_text == "Hello"
    assert answer.usage.total_tokens == 12
    for event in events[:-1]:
        fields = {name for name, each in type(event).model_fields.items() if each.is_required()}
        assert fields <= event.model_fields_set | {"snapshot"}, event.type


def test_events_are_padded_in_openais_own_field(client, upstream):
    for _ in range(2):
        upstream.streams(*stream_of("a", "abc", "abcdefghijklmnop"))
    asked = {**ASKED, "stream": True}

    padded = client.post("/v1/responses", json=asked).data.split(b"\n\n")[:-1]
    asked["stream_options"] = {"include_obfuscation": False}
    bare = client.post("/v1/responses", json=asked).data.split(b"\n\n")[:-1]

    assert {(len(event) + 2) % 16 for event in padded} == {0}
    assert sum(b'"obfuscation":"' in event for event in padded) >= 1
    assert not any(b"obfuscation" in event or b"  " in event for event in bare)


@pytest.mark.parametrize("value", ["é😀", '"\\\n%s', "\u2028", "</script>"])
def test_texts_are_streamed_as_they_are(client, upstream, value):
    upstream.streams(*stream_of(value, value))

    events = stream(client)

    assert [each["delta"] for each in events if each["type"] == "response.output_text.delta"] == [value, value]
    assert events[-1]["response"]["output"][0]["content"] == [text(2 * value)]


@pytest.mark.parametrize(
    ("finish_reason", "status", "details"),
    [
        ("stop", "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", "incomplete", {"reason": "content_filter"}),
    ],
)
def test_an_answer_that_was_cut_is_incomplete_and_has_its_usage(
    client, sdk, upstream, finish_reason, status, details
):
    upstream.answers(completion("Hel", finish_reason=finish_reason))
    upstream.streams(*stream_of("Hel", finish_reason=finish_reason))

    plain = client.post("/v1/responses", json=ASKED).json
    last = stream(client)[-1]

    assert last["type"] == f"response.{status}"
    for response in (plain, last["response"]):
        assert (response["status"], response["incomplete_details"]) == (status, details)
        assert response["usage"] == USAGE
        assert [item["status"] for item in response["output"]] == [status]
        assert (response["completed_at"] is None) is (status == "incomplete")


def test_all_that_usage_tells_is_told(sdk, upstream):
    details = {
        "prompt_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }
    upstream.answers({**completion(), "usage": {"prompt_tokens": 9, "completion_tokens": 3, **details}})

    usage = sdk.responses.create(**ASKED).usage

    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (9, 3, 12)
    assert usage.output_tokens_details.reasoning_tokens == 1
    assert usage.input_tokens_details.to_dict() == {"cached_tokens": 5, "cache_write_tokens": 2}


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


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
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


def test_a_refusal_is_a_part_and_reasoning_is_not_shown(client, sdk, upstream):
    upstream.streams(
        chunk({"reasoning_content": "Hm."}), chunk({"refusal": "No."}), chunk(finish_reason="stop"), "[DONE]"
    )
    upstream.answers(completion(None, refusal="No."))

    events = stream(client)
    plain = sdk.responses.create(**ASKED)

    refusal = {"type": "refusal", "refusal": "No."}
    assert [each["delta"] for each in events if each["type"] == "response.refusal.delta"] == ["No."]
    assert events[-1]["response"]["output"][0]["content"] == [refusal]
    assert "Hm." not in json.dumps(events)
    assert plain.output[0].content[0].to_dict() == refusal


def test_an_answer_that_fails_before_its_first_token_has_its_real_status(sdk, upstream):
    upstream.answers(error(code="context_length_exceeded"), 400)

    with pytest.raises(openai.BadRequestError) as caught:
        sdk.responses.create(**ASKED, stream=True)

    assert caught.value.code == "context_length_exceeded"


def test_an_answer_that_fails_amid_a_stream_ends_as_failed(client, sdk, upstream):
    broken = stream_of("Hel", finish_reason=None, done=False)
    upstream.streams(*broken)
    upstream.streams(*broken)

    *_, last = stream(client)
    *_, read = sdk.responses.create(**ASKED, stream=True)

    failure = {"code": "upstream_truncated", "message": "The model's answer stopped before its end."}
    assert (last["type"], last["response"]["status"]) == ("response.failed", "failed")
    assert last["response"]["error"] == failure
    assert last["response"]["output"][0]["content"] == [text("Hel")]
    assert (read.type, read.response.error.code) == ("response.failed", "upstream_truncated")


class Weather(pydantic.BaseModel):
    city: str


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


PASSED_ON = [
    ({"temperature": 0.5}, {"temperature": 0.5}),
    ({"top_p": 0.5}, {"top_p": 0.5}),
    ({"max_output_tokens": 70}, {"max_completion_tokens": 70}),
    ({"reasoning": {"effort": "low", "summary": "auto"}}, {"reasoning_effort": "low"}),
    ({"text": {"verbosity": "low"}}, {"verbosity": "low"}),
    ({"service_tier": "default"}, {"service_tier": "default"}),
    ({"text": {"format": {"type": "json_object"}}}, {"response_format": {"type": "json_object"}}),
]


@pytest.mark.parametrize(("given", "sent"), PASSED_ON)
def test_parameters_of_the_model_are_passed_on_and_repeated(make_app, upstream, given, sent):
    client = make_app(chat_model="own").test_client()  # of which nothing is known

    answer = client.post("/v1/responses", json={"model": "own", "input": "Hi, in JSON", **given})

    assert sent.items() <= upstream.sent[0].body.items()
    for name, value in given.items():
        if name == "service_tier":
            continue  # is that of the answer
        told = answer.json[name]
        if name == "reasoning":
            assert told == {"effort": "low", "summary": None}
        elif name == "text":
            assert value.items() <= told.items()
        else:
            assert told == value


def test_metadata_is_repeated_and_goes_nowhere(client, upstream):
    asked = {
        **ASKED,
        "metadata": {"a": "b"},
        "user": "u",
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }

    assert client.post("/v1/responses", json=asked).json["metadata"] == {"a": "b"}
    assert upstream.sent[0].body.keys() <= {
        *("model", "messages", "max_completion_tokens"),
        *("safety_identifier", "prompt_cache_key", "store"),
    }


REFUSED = {
    "store": True,
    "background": True,
    "previous_response_id": "resp_1",
    "conversation": "conv_1",
    "prompt": {"id": "pmpt_1"},
    "top_logprobs": 3,
    "include": ["message.output_text.logprobs"],
    "metadata": {str(number): "x" for number in range(17)},
    "temperature": 3,
    "truncation": "some",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_served_is_refused_by_name(client, upstream, name):
    answer = client.post("/v1/responses", json={**ASKED, name: REFUSED[name]})

    assert answer.status_code == 400
    assert (answer.json["error"]["param"], answer.json["error"]["code"]) == (name, "invalid_request")
    assert upstream.sent == []


@pytest.mark.parametrize("name", REFUSED)
def test_null_is_as_good_as_nothing(client, name):
    assert client.post("/v1/responses", json={**ASKED, name: None}).status_code == 200


@pytest.mark.parametrize(
    "kind",
    [
        *("web_search", "web_search_preview", "file_search", "mcp", "code_interpreter", "image_generation"),
        *("computer_use_preview", "local_shell", "shell", "apply_patch", "custom", "namespace"),
    ],
)
def test_tools_that_openai_runs_are_refused_by_name(client, upstream, kind):
    tools = client.post("/v1/responses", json={**ASKED, "tools": [FUNCTION, {"type": kind, "more": {}}]})
    choice = client.post("/v1/responses", json={**ASKED, "tools": [FUNCTION], "tool_choice": {"type": kind}})

    assert (tools.status_code, choice.status_code) == (400, 400)
    assert tools.json["error"]["param"] == "tools[1]"
    assert choice.json["error"]["param"] == "tool_choice"
    for answer in (tools, choice):
        assert f"the type {kind} is not accepted" in answer.json["error"]["message"]
    assert upstream.sent == []


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"messages": []}, "messages", "unknown_parameter"),
        ({"max_tokens": 3}, "max_tokens", "unknown_parameter"),
        ({"input": ""}, "input", "invalid_request"),
        ({"input": []}, "input", "invalid_request"),
        ({"input": [{"type": "reasoning", "summary": []}]}, "input", "invalid_request"),
        ({"input": [7]}, "input[0]", "invalid_request"),
        ({"input": [{"content": "Hi"}]}, "input[0]", "invalid_request"),
        ({"input": [{"role": "user", "content": "Hi", "extra": 1}]}, "input[0].extra", "unknown_parameter"),
        ({"input": [{"role": "user"}]}, "input[0].content", "invalid_request"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]", "invalid_request"),
        ({"input": [{"type": "computer_call"}]}, "input[0]", "invalid_request"),
        ({"tool_choice": "required"}, "tool_choice", "invalid_request"),
        (
            {"tools": [FUNCTION], "tool_choice": {"type": "function", "name": "f"}},
            "tool_choice",
            "invalid_request",
        ),
        ({"stream_options": {}}, "stream_options", "invalid_request"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort", "invalid_request"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format.type", "invalid_request"),
    ],
)
def test_refusals_name_the_place(client, upstream, fields, param, code):
    answer = client.post("/v1/responses", json={**ASKED, **fields})

    assert answer.status_code == 400
    assert (answer.json["error"]["param"], answer.json["error"]["code"]) == (param, code)
    assert upstream.sent == []


def test_items_of_each_kind_are_understood(sdk, upstream):
    call = {"type": "function_call", "name": "f", "arguments": "{}"}
    result = {"type": "function_call_output"}
    sdk.responses.create(
        model="gpt-6.1-terra",
        instructions="Be kind.",
        input=[
            {"role": "developer", "content": "Be brief."},
            {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Be good."}]},
            {
                "role": "user",
                "content": [{"type": "input_text", "text": "one"}, {"type": "input_text", "text": "two"}],
            },
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
            message(text("ok")),
            {**call, "call_id": "a", "id": "fc_1", "status": "completed"},
            {"type": "reasoning", "id": "rs_2", "summary": []},
            {**call, "call_id": "b"},
            {**result, "call_id": "b", "output": [{"type": "input_text", "text": "2"}]},
            {**call, "call_id": "c"},
            {"role": "user", "content": "Hi"},
            message({"type": "refusal", "refusal": "No."}),
            {**result, "call_id": "a", "output": "1"},
        ],
    )

    def called(*ids):
        return [{"id": id_, "type": "function", "function": {"name": "f", "arguments": "{}"}} for id_ in ids]

    def result_of(id_, content):
        return {"role": "tool", "tool_call_id": id_, "content": content}

    assert upstream.sent[0].body["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "system", "content": "Be brief."},
        {"role": "system", "content": "Be good."},
        {"role": "user", "content": "one\n\ntwo"},
        {"role": "assistant", "content": "ok", "tool_calls": called("a", "b")},
        result_of("b", "2"),
        result_of("a", "1"),
        {"role": "assistant", "content": None, "tool_calls": called("c")},
        result_of("c", "(no result)"),
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "No."},
    ]


def test_a_result_without_its_call_is_refused_by_its_place(client):
    items = [{"role": "user", "content": "Hi"}, {"type": "function_call_output", "call_id": "x", "output": "1"}]

    answer = client.post("/v1/responses", json={**ASKED, "input": items})

    assert answer.json["error"]["param"] == "input[1].call_id"


def test_images_are_prepared_and_passed_on(sdk, upstream):
    url = "https://example.com/cat.png"
    parts = [
        {"type": "input_text", "text": "What?"},
        {"type": "input_image", "image_url": url, "detail": "low"},
    ]

    sdk.responses.create(model="gpt-6.1-terra", input=[{"role": "user", "content": parts}])

    [sent] = upstream.sent[0].body["messages"]
    assert sent["content"] == [
        {"type": "text", "text": "What?"},
        {"type": "image_url", "image_url": {"url": url, "detail": "low"}},
    ]


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({"type": "input_image", "image_url": "data:image/png;base64,QUJD"}, "input[1].content[0].image_url"),
        ({"type": "input_image", "file_id": "file-1"}, "input[1].content[0]"),
        ({"type": "input_file", "file_id": "file-1"}, "input[1].content[0]"),
        ({"type": "input_file", "file_url": "https://example.com/a.pdf"}, "input[1].content[0]"),
        ({"type": "input_file", "filename": "a.pdf", "file_data": "QUJD"}, "input[1].content[0].file"),
        ({"type": "input_audio", "data": "QUJD"}, "input[1].content[0].type"),
    ],
)
def test_an_image_or_file_that_is_none_is_refused_by_its_place(client, upstream, part, param):
    items = [{"role": "user", "content": "Hi"}, {"role": "user", "content": [part]}]

    answer = client.post("/v1/responses", json={**ASKED, "input": items})

    assert (answer.status_code, answer.json["error"]["param"]) == (400, param)
    assert upstream.sent == []


def test_the_systems_text_may_be_the_sites_own(make_app, upstream):
    client = make_app(system_prompt="Ours.", allow_client_system_prompt=False).test_client()

    told = client.post("/v1/responses", json={**ASKED, "instructions": "Mine."})
    said = client.post("/v1/responses", json={**ASKED, "input": [{"role": "system", "content": "Mine."}]})
    plain = client.post("/v1/responses", json=ASKED)

    assert (told.status_code, told.json["error"]["param"]) == (400, "instructions")
    assert (said.status_code, said.json["error"]["param"]) == (400, "input")
    assert plain.json["instructions"] is None  # and not a secret of the site's
    assert upstream.sent[0].body["messages"][0] == {"role": "system", "content": "Ours."}


def test_a_stream_can_be_resumed(client, upstream):
    upstream.streams(*stream_of("Hel", "lo"))

    answer = client.post("/v1/responses", json={**ASKED, "stream": True, "resumable": True})

    again = client.get(f"/api/chat/stream/{answer.headers['X-Stream-Id']}?after=0")
    assert b"response.completed" in answer.data
    assert again.status_code == 200
    assert answer.data.endswith(again.data)


def test_an_answer_can_be_had_again_with_its_key(client, upstream):
    headers = {"Idempotency-Key": "k1"}

    first = client.post("/v1/responses", json=ASKED, headers=headers)
    second = client.post("/v1/responses", json=ASKED, headers=headers)

    assert first.data == second.data
    assert second.headers["Idempotent-Replay"] == "true"
    assert len(upstream.sent) == 1


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("messages", "input"),
        ("max_tokens", "max_output_tokens"),
        ("max_completion_tokens", "max_output_tokens"),
        ("reasoning_effort", "reasoning"),
        ("response_format", "text"),
        ("verbosity", "text"),
        ("instruction", "instructions"),
    ],
)
def test_the_name_of_a_parameter_of_chat_completions_is_answered_with_this_one(client, theirs, ours):
    error = client.post("/v1/responses", json={**ASKED, theirs: 5}).json["error"]

    assert error["message"] == f"Unrecognized request argument supplied: {theirs}: did you mean {ours}?"


def test_what_the_model_wrote_comes_back_whatever_it_is(client, upstream):
    spoilt = {"type": "function_call", "call_id": "a", "name": "f\0", "arguments": "{\0"}
    items = [{"role": "user", "content": "Hi"}, message(text("a\0b")), spoilt]

    answer = client.post("/v1/responses", json={**ASKED, "input": items})
    refused = client.post("/v1/responses", json={**ASKED, "input": [{"role": "user", "content": "a\0b"}]})

    assert answer.status_code == 200
    assert upstream.sent[0].body["messages"][1]["content"] == "a\0b"
    assert (refused.status_code, refused.json["error"]["param"]) == (400, "input[0].content")


def test_a_stored_prompt_keeps_its_own_settings_to_itself(make_app, tmp_path, upstream):
    prompt = 'system = "Be short, and secret."\nmodel = "gpt-6-luna"\nmax_tokens = 50'
    (tmp_path / "short.toml").write_text(prompt)
    client = make_app(prompts_dir=str(tmp_path)).test_client()

    answer = client.post("/v1/responses", json={**ASKED, "promptName": "short"})
    refused = client.post("/v1/responses", json={**ASKED, "promptName": "short", "instructions": "Mine."})

    assert answer.status_code == 200, answer.text
    assert upstream.sent[0].body["model"] == "gpt-6-luna"
    assert "secret" in upstream.sent[0].body["messages"][0]["content"]
    assert (answer.json["instructions"], answer.json["max_output_tokens"]) == (None, None)
    assert (refused.status_code, refused.json["error"]["param"]) == (400, "instructions")


def test_images_take_the_scope_vision(make_app, upstream):
    client = make_app(anonymous_scopes=("chat",)).test_client()
    parts = [{"type": "input_image", "image_url": "https://example.com/cat.png"}]

    text = client.post("/v1/responses", json=ASKED)
    image = client.post("/v1/responses", json={**ASKED, "input": [{"role": "user", "content": parts}]})

    assert (text.status_code, image.status_code) == (200, 401)
    assert len(upstream.sent) == 1


def test_an_image_may_be_larger_than_other_text(make_app, upstream):
    client = make_app(max_json_bytes=2_000, max_body_bytes=1_000_000).test_client()
    image = f"data:image/png;base64,{base64.b64encode(encoded(photo(1200, 1200), 'PNG')).decode()}"
    assert len(image) > 70_000

    def ask(content):
        return client.post("/v1/responses", json={**ASKED, "input": [{"role": "user", "content": content}]})

    assert ask([{"type": "input_image", "image_url": image}]).status_code == 200
    [sent] = upstream.sent[0].body["messages"][0]["content"]
    assert sent["image_url"]["url"].startswith("data:image/png;base64,")
    assert ask(image).status_code == 413
