"""POST /v1/chat/completions, as OpenAI's own client and a reader of its bytes see it."""

from __future__ import annotations

import json

import openai
import pydantic
import pytest

from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import MODEL, USAGE, chunk, completion, error, sse, stream_of

ASKED = {"model": "gpt-6.1-terra", "messages": [{"role": "user", "content": "Hi"}]}
FUNCTION = {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
TOOLS = [{"type": "function", "function": FUNCTION}]
CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'}}


def payloads_of(answer):
    """What stands behind each `data: ` of a stream; `[DONE]` as it is."""
    events = answer.get_data(as_text=True).split("\n\n")
    assert events.pop() == ""
    texts = [event.removeprefix("data: ") for event in events if not event.startswith(":")]
    return [text if text == "[DONE]" else json.loads(text) for text in texts]


def stream(client, **fields):
    answer = client.post("/v1/chat/completions", json={**ASKED, "stream": True, **fields})
    assert answer.status_code == 200, answer.text
    return payloads_of(answer)


def texts_of(payloads):
    choices = [choice for payload in payloads[:-1] for choice in payload["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def test_a_plain_answer_is_a_whole_chat_completion(client, upstream):
    answer = client.post("/v1/chat/completions", json=ASKED)

    created = answer.json["created"]
    assert created > 1_700_000_000
    assert answer.json == {
        "id": "chatcmpl-1",
        "created": created,
        "object": "chat.completion",
        "model": MODEL,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello there", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": USAGE,
        "service_tier": None,
        "system_fingerprint": None,
    }
    assert (answer.headers["X-Model"], answer.headers["X-Attempts"]) == (MODEL, "1")
    assert upstream.sent[0].body["messages"] == ASKED["messages"]


def test_the_client_of_openai_reads_a_plain_answer(records, sdk):
    answer = sdk.chat.completions.create(**ASKED)

    assert answer.choices[0].message.content == "Hello there"
    assert answer.usage.total_tokens == 12
    assert answer._request_id == records[0].request_id
    assert (records[0].operation, records[0].outcome) == ("chat", "complete")


def test_the_client_of_openai_reads_a_stream_with_its_usage(sdk, upstream):
    upstream.streams(*stream_of("Hel", "lo"))

    chunks = list(sdk.chat.completions.create(**ASKED, stream=True, stream_options={"include_usage": True}))

    assert "".join(each.choices[0].delta.content or "" for each in chunks[:-1]) == "Hello"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == 12
    assert {each.id for each in chunks} == {chunks[0].id}
    assert {each.model for each in chunks} == {MODEL}


def test_the_service_tier_is_told_as_the_upstream_tells_it(sdk, upstream):
    upstream.answers({**completion(), "service_tier": "priority"})
    upstream.streams(*[{**each, "service_tier": "flex"} for each in stream_of("Hi", done=False)], "[DONE]")

    plain = sdk.chat.completions.create(**ASKED)
    chunks = list(sdk.chat.completions.create(**ASKED, stream=True))

    assert plain.service_tier == "priority"
    assert chunks[-1].service_tier == "flex"


def test_each_chunk_of_a_stream_has_all_fields(client, upstream):
    upstream.streams(*stream_of("Hi"))

    first, token, finish, end = stream(client, stream_options={"include_obfuscation": False})

    frame = {name: first[name] for name in ("id", "object", "created", "model", "system_fingerprint")}
    assert frame["object"] == "chat.completion.chunk"
    for payload, delta, reason in (
        (first, {"role": "assistant", "content": "", "refusal": None}, None),
        (token, {"content": "Hi"}, None),
        (finish, {}, "stop"),
    ):
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        assert payload == {**frame, "choices": [choice]}
    assert end == "[DONE]"


def test_chunks_are_padded_in_openais_own_field(client, upstream):
    for _ in range(2):
        upstream.streams(*stream_of("a", "abc", "abcdefghijklmnop"))
    asked = {**ASKED, "stream": True}

    padded = client.post("/v1/chat/completions", json=asked).data.split(b"\n\n")[:-2]
    asked["stream_options"] = {"include_obfuscation": False}
    bare = client.post("/v1/chat/completions", json=asked).data.split(b"\n\n")[:-2]

    assert {(len(event) + 2) % 16 for event in padded} == {0}
    assert all(b'"obfuscation":"' in event for event in padded)
    assert not any(b"obfuscation" in event for event in bare)


def test_a_stream_with_usage_has_null_in_all_chunks_but_the_last(client, upstream):
    upstream.streams(*stream_of("Hi", "."))

    *chunks, last, _ = stream(client, stream_options={"include_usage": True})

    assert [each["usage"] for each in chunks] == [None] * 4
    assert (last["usage"], last["choices"]) == (USAGE, [])


@each_row("text", ["é😀", '"\\\n', "\u2028", "</script>"])
def test_texts_are_streamed_as_they_are(client, upstream, text):
    upstream.streams(*stream_of(text, text))

    assert texts_of(stream(client)) == 2 * text


def test_a_letter_that_is_split_over_two_chunks_comes_whole(client, upstream):
    upstream.streams(*stream_of("a\ud83d", "\ude00b"))

    assert texts_of(stream(client)) == "a😀b"


@each_row("cut", [1, 7, 64])
def test_a_stream_is_the_same_however_the_upstream_cuts_it(client, upstream, cut):
    whole = b"".join(sse(payload) for payload in stream_of("Hé", "llo 😀"))
    upstream.streams_bytes([whole[at : at + cut] for at in range(0, len(whole), cut)])

    payloads = stream(client, stream_options={"include_usage": True})

    assert texts_of(payloads) == "Héllo 😀"
    assert payloads[-2]["usage"] == USAGE


def test_tools_are_called_and_answered(sdk, upstream):
    upstream.answers(completion(None, finish_reason="tool_calls", tool_calls=[CALL]))

    answer = sdk.chat.completions.create(**ASKED, tools=TOOLS, tool_choice="required")
    message = answer.choices[0].message
    sdk.chat.completions.create(
        model=ASKED["model"],
        messages=[*ASKED["messages"], message, {"role": "tool", "tool_call_id": "call_1", "content": "rain"}],
        tools=TOOLS,
    )

    assert message.content is None
    assert message.tool_calls[0].function.arguments == '{"city":"Oslo"}'
    assert answer.choices[0].finish_reason == "tool_calls"
    assert upstream.sent[0].body["tools"] == TOOLS
    assert upstream.sent[1].body["messages"] == [
        *ASKED["messages"],
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
    ]


def call_delta(index, id_=None, name=None, arguments=None):
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    named = {"id": id_, "type": "function"} if id_ else {}
    return chunk({"tool_calls": [{"index": index, **named, "function": function}]})


@pytest.mark.chat_form
def test_a_result_may_name_its_tool(client, upstream):
    """As OpenAI's own examples do; its API takes the name, and other servers may not."""
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    result = {"role": "tool", "tool_call_id": "a", "name": "f", "content": "1"}
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "tool_calls": [call]}, result]

    assert client.post("/v1/chat/completions", json={"messages": messages}).status_code == 200
    assert upstream.sent[0].body["messages"][-1] == {"role": "tool", "tool_call_id": "a", "content": "1"}


def test_calls_of_functions_as_they_were_before_tools_are_history(client, upstream):
    def called(city):
        return {"name": "get_weather", "arguments": json.dumps({"city": city})}

    history = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "function_call": called("Oslo")},
        {"role": "function", "name": "get_weather", "content": "rain"},
        {"role": "assistant", "content": "And", "function_call": called("Bergen"), "tool_calls": None},
        {"role": "function", "name": "get_weather", "content": None},
        {"role": "assistant", "content": "Rain.", "function_call": None},
        {"role": "assistant", "content": None, "function_call": called("Kiel"), "tool_calls": [CALL]},
        {"role": "function", "name": "get_weather", "content": "sun"},
        {"role": "user", "content": "And?"},
    ]

    answer = client.post("/v1/chat/completions", json={**ASKED, "messages": history})

    assert answer.status_code == 200, answer.text
    turns = upstream.sent[0].body["messages"]
    calls = [call for turn in turns for call in turn.get("tool_calls") or ()]
    results = [turn for turn in turns if turn["role"] == "tool"]
    assert [turn["role"] for turn in turns] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "tool",
        "assistant",
        "assistant",
        "tool",
        "user",
    ]
    assert [json.loads(call["function"]["arguments"])["city"] for call in calls] == ["Oslo", "Bergen", "Oslo"]
    assert [(turn["tool_call_id"], turn["content"]) for turn in results] == [
        (call["id"], content) for call, content in zip(calls, ["rain", "", "sun"], strict=True)
    ]
    assert len({call["id"] for call in calls}) == 3
    assert not any("function_call" in turn or turn["role"] == "function" for turn in turns)


def test_calls_of_tools_are_streamed_as_they_come(sdk, upstream):
    pieces = [
        call_delta(0, "call_1", "get_weather", ""),
        call_delta(0, arguments='{"city":'),
        call_delta(0, arguments='"Oslo"}'),
        call_delta(1, "call_2", "get_weather", ""),  # without arguments
    ]
    upstream.streams(*pieces, chunk(finish_reason="tool_calls"), "[DONE]")

    with sdk.chat.completions.stream(**ASKED, tools=TOOLS) as streamed:
        deltas = [event.chunk.choices[0].delta for event in streamed if event.type == "chunk"]
        message = streamed.get_final_completion().choices[0].message

    assert [delta.tool_calls[0].function.arguments for delta in deltas if delta.tool_calls][:3] == [
        "",
        '{"city":',
        '"Oslo"}',
    ]
    assert [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls] == [
        ("call_1", "get_weather", '{"city":"Oslo"}'),
        ("call_2", "get_weather", "{}"),
    ]


def test_a_letter_that_is_split_over_two_pieces_of_arguments_stays_whole(client, upstream):
    pieces = [
        call_delta(0, "call_1", "say", '{"text":"\ud83d'),
        call_delta(0, arguments='\ude00"}'),
    ]
    upstream.streams(*pieces, chunk(finish_reason="tool_calls"), "[DONE]")

    payloads = stream(client, tools=TOOLS)

    deltas = [payload["choices"][0]["delta"] for payload in payloads[:-1]]
    arguments = [delta["tool_calls"][0]["function"]["arguments"] for delta in deltas if "tool_calls" in delta]
    assert "".join(arguments) == '{"text":"😀"}'


def test_a_refusal_and_reasoning_have_fields_of_their_own(client, upstream):
    upstream.streams(
        chunk({"reasoning_content": "Hm."}), chunk({"refusal": "No."}), chunk(finish_reason="stop"), "[DONE]"
    )
    upstream.answers(completion(None, refusal="No."))

    payloads = stream(client)
    message = client.post("/v1/chat/completions", json=ASKED).json["choices"][0]["message"]

    deltas = [payload["choices"][0]["delta"] for payload in payloads[1:3]]
    assert deltas == [{"reasoning_content": "Hm."}, {"refusal": "No."}]
    assert message == {"role": "assistant", "content": None, "refusal": "No."}


def test_an_answer_that_fails_before_its_first_token_has_its_real_status(sdk, upstream):
    upstream.answers(error(code="context_length_exceeded"), 400)

    with pytest.raises(openai.BadRequestError) as caught:
        sdk.chat.completions.create(**ASKED, stream=True)

    assert caught.value.code == "context_length_exceeded"


def test_an_answer_that_fails_amid_a_stream_ends_with_an_error(client, sdk, upstream):
    broken = stream_of("Hel", finish_reason=None, done=False)
    upstream.streams(*broken)
    upstream.streams(*broken)

    payloads = stream(client)
    with pytest.raises(openai.APIError) as caught:
        list(sdk.chat.completions.create(**ASKED, stream=True))

    assert payloads[-2]["choices"][0]["delta"] == {"content": "Hel"}
    assert payloads[-1]["error"]["type"] == "api_error"
    assert (caught.value.code, caught.value.message) == (
        "upstream_truncated",
        "The model's answer stopped before its end.",
    )


class Weather(pydantic.BaseModel):
    city: str


def test_the_clients_parse_gets_an_object(sdk, upstream):
    upstream.answers(completion('{"city":"Oslo"}'))

    parsed = sdk.chat.completions.parse(**ASKED, response_format=Weather)

    assert parsed.choices[0].message.parsed == Weather(city="Oslo")
    sent = upstream.sent[0].body["response_format"]
    assert (sent["type"], sent["json_schema"]["name"], sent["json_schema"]["strict"]) == (
        "json_schema",
        "Weather",
        True,
    )


def test_a_schema_outside_of_the_subset_is_refused_before_anything_is_spent(sdk, upstream):
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    named = {"name": "n", "schema": schema, "strict": True}

    with pytest.raises(openai.BadRequestError) as caught:
        sdk.chat.completions.create(**ASKED, response_format={"type": "json_schema", "json_schema": named})

    assert (caught.value.code, caught.value.param) == ("unsupported_schema", "response_format")
    assert upstream.sent == []


def test_what_a_schema_that_is_not_strict_allows_is_the_models_affair(sdk, upstream):
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    given = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": False}}

    sdk.chat.completions.create(**ASKED, response_format=given)

    assert upstream.sent[0].body["response_format"] == given


def test_images_are_prepared_and_passed_on(sdk, upstream):
    url = "https://example.com/cat.png"
    parts = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": url}}]

    sdk.chat.completions.create(model="gpt-6.1-terra", messages=[{"role": "user", "content": parts}])

    [message] = upstream.sent[0].body["messages"]
    assert message["content"] == [parts[0], {"type": "image_url", "image_url": {"url": url, "detail": "auto"}}]


def test_an_image_that_is_none_is_refused_by_its_place(sdk, upstream):
    parts = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}]

    with pytest.raises(openai.BadRequestError) as caught:
        sdk.chat.completions.create(model="gpt-6.1-terra", messages=[{"role": "user", "content": parts}])

    assert (caught.value.code, caught.value.param) == ("invalid_image", "messages[0].content[0].image_url")
    assert upstream.sent == []


@pytest.mark.chat_form
def test_messages_of_each_role_and_form_are_understood(sdk, upstream):
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    whole = completion("ok")["choices"][0]["message"]

    sdk.chat.completions.create(
        model="gpt-6.1-terra",
        messages=[
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": parts, "name": "anna"},
            {**whole, "annotations": [], "audio": None, "function_call": None, "tool_calls": None},
            {"role": "assistant", "content": None, "refusal": "No.", "name": None},
            {"role": "user", "content": "Hi"},
        ],
    )

    assert upstream.sent[0].body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "one\n\ntwo", "name": "anna"},
        {"role": "assistant", "content": "ok"},
        {"role": "assistant", "content": "No."},
        {"role": "user", "content": "Hi"},
    ]


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
@pytest.mark.chat_form
def test_either_name_limits_the_answer(sdk, upstream, name):
    sdk.chat.completions.create(**ASKED, **{name: 7})

    assert upstream.sent[0].body["max_completion_tokens"] == 7


PASSED_ON = {
    "temperature": 0.5,
    "top_p": 0.5,
    "stop": ["a", "b"],
    "seed": -5,
    "reasoning_effort": "low",
    "verbosity": "low",
    "service_tier": "default",
    "frequency_penalty": 0.5,
    "presence_penalty": -0.5,
    "logit_bias": {"1734": -100},
    "response_format": {"type": "json_object"},
}


@pytest.fixture
def sdk_of_own(make_app, connect):
    """Of a site with a model of which nothing is known."""
    return connect(make_app(chat_model="own"))


@each_row("name", PASSED_ON)
@pytest.mark.chat_form
def test_parameters_of_the_model_are_passed_on(sdk_of_own, upstream, name):
    messages = [{"role": "user", "content": "Hi, in JSON"}]
    sdk_of_own.chat.completions.create(**{"model": "own", "messages": messages, name: PASSED_ON[name]})

    assert upstream.sent[0].body[name] == PASSED_ON[name]


def test_parallel_calls_of_tools_can_be_turned_off(sdk, upstream):
    sdk.chat.completions.create(**ASKED, tools=TOOLS, parallel_tool_calls=False)

    assert upstream.sent[0].body["parallel_tool_calls"] is False


@each_row("name", ["messages", "model", "temperature", "maxTokens", "topP", "prompt_name"])
def test_optional_parameters_may_be_null_and_have_openais_names_only(client, name):
    answer = client.post("/v1/chat/completions", json={**ASKED, name: None})

    if name in ("model", "temperature"):
        assert answer.status_code == 200
    else:
        assert answer.json["error"]["param"] == name


@each_row("name", ["reasoning_effort", "verbosity", "service_tier"])
def test_a_word_that_is_no_value_of_a_parameter_is_refused(sdk, upstream, name):
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.chat.completions.create(**ASKED, **{name: "huge"})

    assert (caught.value.param, upstream.sent) == (name, [])


IGNORED = {
    "user": "anna",
    "safety_identifier": "x",
    "metadata": {"a": "b"},
    "store": True,
    "prompt_cache_key": "k",
    "n": 1,
    "logprobs": False,
    "top_logprobs": None,
    "modalities": ["text"],
    "audio": None,
}


@each_row("name", IGNORED)
def test_parameters_that_change_nothing_are_taken(sdk, upstream, name):
    sdk.chat.completions.create(**ASKED, extra_body={name: IGNORED[name]})

    sent = upstream.sent[0].body
    assert name not in sent or sent[name] != IGNORED[name]  # some have the site's own value


@each_row(
    ("fields", "param", "says"),
    [
        ({"n": 2}, "n", "should be 1"),
        ({"logit_bias": {"a": 101}}, "logit_bias.a", "less than or equal to 100"),
        ({"presence_penalty": 3}, "presence_penalty", "less than or equal to 2"),
        ({"reasoning_effort": "huge"}, "reasoning_effort", "should be"),
        ({"logprobs": True}, "logprobs", "not supported"),
        ({"audio": {"voice": "a", "format": "mp3"}}, "audio", "not supported"),
        ({"functions": [FUNCTION]}, "functions", "use tools"),
        ({"function_call": "auto"}, "function_call", "use tools"),
        ({"web_search_options": {}}, "web_search_options", "not supported"),
        ({"temperature": 3}, "temperature", "less than or equal to 2"),
        ({"stop": ["a"] * 5}, "stop", "at most 4"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "stream"),
        ({"max_tokens": 1, "max_completion_tokens": 1}, "max_tokens", "either"),
        ({"tool_choice": "auto"}, "tool_choice", "tools"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", "function"),
        ({"messages": [{"role": "robot", "content": "a", "name": "b"}]}, "messages[0].role", "one of"),
        ({"messages": [{"role": "function", "content": "a", "name": "b"}]}, "messages[0].name", "function call"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "messages[0].tool_call_id", "Missing"),
        (
            {"messages": [{"role": "tool", "content": "a", "tool_call_id": "b"}]},
            "messages[0].tool_call_id",
            "tool call",
        ),
        ({"messages": []}, "messages", "at least 1"),
    ],
)
def test_what_is_not_served_is_refused_by_its_name(sdk, upstream, fields, param, says):
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.chat.completions.create(**{**ASKED, "extra_body": fields})

    assert caught.value.param == param
    assert says in caught.value.body["message"]
    assert (caught.value.type, caught.value.code) == ("invalid_request_error", "invalid_request")
    assert upstream.sent == []


@pytest.mark.parametrize(
    ("name", "hint"),
    [("max_token", ": did you mean max_tokens?"), ("maxTokens", ": did you mean max_tokens?"), ("foo_bar", "")],
)
def test_an_unknown_parameter_is_named_as_it_was_given(sdk, name, hint):
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.chat.completions.create(**ASKED, extra_body={name: 1})

    assert (caught.value.param, caught.value.code) == (name, "unknown_parameter")
    assert caught.value.body["message"] == f"Unrecognized request argument supplied: {name}{hint}"


def test_a_token_that_is_tied_to_a_prompt_chats_with_the_prompts_model(make_site, connect, upstream, tmp_path):
    (tmp_path / "guide.toml").write_text('system = "Be a guide."\nmodel = "gpt-6-luna"')
    site = make_site(prompts_dir=str(tmp_path))
    sdk = connect(site.app, site.token(prompt="guide"))

    sdk.chat.completions.create(**ASKED)

    sent = upstream.sent[0].body
    assert sent["model"] == "gpt-6-luna"
    assert sent["messages"] == [{"role": "system", "content": "Be a guide."}, *ASKED["messages"]]


def test_a_prompt_and_the_cache_are_chosen_in_the_extra_body(make_app, connect, upstream, tmp_path):
    (tmp_path / "guide.toml").write_text('system = "Be a guide of {{town}}."\n[variables.town]')
    app = make_app(prompts_dir=str(tmp_path), chat_cache_entries=10)
    extra = {"promptName": "guide", "variables": {"town": "Oslo"}, "cache": True}

    first, second = [connect(app).chat.completions.create(**ASKED, temperature=0, extra_body=extra) for _ in "12"]

    assert len(upstream.sent) == 1
    assert upstream.sent[0].body["messages"][0]["content"] == "Be a guide of Oslo."
    assert second.choices == first.choices
    assert second.usage.total_tokens == 0


def test_a_cached_answer_with_calls_is_streamed_whole(make_app, upstream):
    client = make_app(chat_cache_entries=10).test_client()
    upstream.answers(completion(None, finish_reason="tool_calls", tool_calls=[CALL]))
    fields = {**ASKED, "temperature": 0, "cache": True, "tools": TOOLS}
    client.post("/v1/chat/completions", json=fields)

    payloads = stream(client, **fields)

    deltas = [payload["choices"][0]["delta"] for payload in payloads[:-1]]
    assert [delta["tool_calls"] for delta in deltas if "tool_calls" in delta] == [[{"index": 0, **CALL}]]
    assert payloads[-2]["choices"][0]["finish_reason"] == "tool_calls"
    assert len(upstream.sent) == 1
