"""The parameters of POST /v1/responses: what is passed on, and what is refused and how."""

from __future__ import annotations

import pytest

from tests.fakes.tables import each_row

ASKED = {"model": "gpt-6.1-terra", "input": "Hi"}
FUNCTION = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
PASSED_ON = [
    ({"temperature": 0.5}, {"temperature": 0.5}),
    ({"top_p": 0.5}, {"top_p": 0.5}),
    ({"max_output_tokens": 70}, {"max_completion_tokens": 70}),
    ({"reasoning": {"effort": "low", "summary": "auto"}}, {"reasoning_effort": "low"}),
    ({"text": {"verbosity": "low"}}, {"verbosity": "low"}),
    ({"service_tier": "default"}, {"service_tier": "default"}),
    ({"text": {"format": {"type": "json_object"}}}, {"response_format": {"type": "json_object"}}),
]


@pytest.fixture
def client_of_own(make_app):
    """Of a site with a model of which nothing is known."""
    return make_app(chat_model="own").test_client()


@each_row(("given", "sent"), PASSED_ON)
def test_parameters_of_the_model_are_passed_on_and_repeated(client_of_own, upstream, given, sent):
    answer = client_of_own.post("/v1/responses", json={"model": "own", "input": "Hi, in JSON", **given})

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


@each_row("name", REFUSED)
def test_what_is_not_served_is_refused_by_name(client, upstream, name):
    answer = client.post("/v1/responses", json={**ASKED, name: REFUSED[name]})

    assert answer.status_code == 400
    assert (answer.json["error"]["param"], answer.json["error"]["code"]) == (name, "invalid_request")
    assert upstream.sent == []


@each_row("name", REFUSED)
def test_null_is_as_good_as_nothing(client, name):
    assert client.post("/v1/responses", json={**ASKED, name: None}).status_code == 200


@each_row(
    "kind",
    [
        *("web_search", "web_search_preview", "file_search", "mcp", "code_interpreter", "image_generation"),
        *("computer_use_preview", "local_shell", "shell", "apply_patch", "namespace"),
        *("computer", "computer_use", "tool_search", "programmatic_tool_calling"),
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


@each_row(
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
        (
            {"input": [{"type": "computer_call", "call_id": "c", "action": {"type": "wait"}}]},
            "input[0]",
            "invalid_request",
        ),
        ({"input": [{"type": "custom_tool_call"}]}, "input[0].call_id", "invalid_request"),
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


def test_the_systems_text_may_be_the_sites_own(make_app, upstream):
    client = make_app(system_prompt="Ours.", allow_client_system_prompt=False).test_client()

    told = client.post("/v1/responses", json={**ASKED, "instructions": "Mine."})
    said = client.post("/v1/responses", json={**ASKED, "input": [{"role": "system", "content": "Mine."}]})
    plain = client.post("/v1/responses", json=ASKED)

    assert (told.status_code, told.json["error"]["param"]) == (400, "instructions")
    assert (said.status_code, said.json["error"]["param"]) == (400, "input")
    assert plain.json["instructions"] is None  # and not a secret of the site's
    assert upstream.sent[0].body["messages"][0] == {"role": "system", "content": "Ours."}


@each_row(
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
