import json

import openai
import pytest

USER = [{"role": "user", "content": "Hello"}]
TOOL = {"type": "function", "function": {"name": "look_up"}}


def schema_format(schema):
    return {"type": "json_schema", "json_schema": {"name": "thing", "schema": schema}}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": None}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": "Hello"}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": ["Hello"]}, "messages[0]"),
        ({"messages": [{"content": "Hello"}]}, "messages[0].role"),
        ({"messages": [{"role": "wizard", "content": "Hello"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "assistant", "content": None}]}, "messages[0].content"),
        ({"messages": [{"role": "tool", "content": "4"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "assistant", "tool_calls": [4]}]}, "messages[0].tool_calls"),
        ({"messages": [{"role": "user", "content": ["Hello"]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "system", "content": [{"type": "image_url"}]}]}, "messages[0].content[0]"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_completion_tokens": "5"}, "max_completion_tokens"),
        ({"n": 2}, "n"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stop": 4}, "stop"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {"type": "yaml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": schema_format(None)}, "response_format.json_schema.schema"),
        ({"response_format": schema_format({"type": "potato"})}, "response_format"),
        (
            {"response_format": schema_format({"type": "string", "minLength": 9, "maxLength": 1})},
            "response_format",
        ),
        ({"tools": []}, "tools"),
        ({"tools": [5]}, "tools[0]"),
        ({"tools": [{"type": "custom"}]}, "tools[0].custom"),
        ({"tools": [{"type": "potato"}]}, "tools[0].type"),
        ({"tools": [{"type": "function", "function": {"name": "two words"}}]}, "tools[0].function.name"),
        ({"tools": [TOOL], "tool_choice": "sometimes"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "x"}}}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
    ],
)
def test_bad_chat_field_is_named(http, change, param):
    response = http.post("/v1/chat/completions", json={"model": "m", "messages": USER} | change)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["param"] == param
    assert error["type"] == "invalid_request_error"
    assert error.keys() == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"4", b"\xff", b'{"a": NaN}', b"[" * 100_000, b'{"a":' * 1000 + b"1" + b"}" * 1000],
)
def test_body_that_is_no_json_object_is_refused(http, body):
    for path in ("/v1/chat/completions", "/embeddings"):
        response = http.post(path, content=body)
        assert response.status_code == 400
        assert response.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("depth", [30, 200, 1000])
def test_deeply_nested_schema_is_answered_or_refused(http, depth):
    schema = '{"type":"array","items":' * depth + "true" + "}" * depth
    tool = {"type": "function", "function": {"name": "f", "parameters": {"items": "SCHEMA"}}}
    for change in (
        {"response_format": schema_format("SCHEMA")},
        {"tools": [tool], "tool_choice": "required"},
    ):
        body = json.dumps({"model": "m", "messages": USER} | change)
        response = http.post("/v1/chat/completions", content=body.replace('"SCHEMA"', schema))
        assert response.status_code == (200 if depth == 30 else 400)


def test_body_over_the_ceiling_is_refused(http, monkeypatch):
    monkeypatch.setattr("app.offline_model.MAX_BODY_BYTES", 10)
    response = http.post("/v1/embeddings", json={"model": "m", "input": "a longer text"})
    assert response.status_code == 413
    assert response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/v1/chat/completions"), ("GET", "/v1/responses/resp_1"), ("GET", "/v2/models")],
)
def test_unknown_route_is_not_found_in_openais_shape(http, method, path):
    response = http.request(method, path)
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "unknown_url"


def test_client_raises_its_own_error_even_for_a_stream(offline):
    with pytest.raises(openai.BadRequestError) as refused:
        offline.chat.completions.create(model="m", messages=[], stream=True)
    assert refused.value.param == "messages"
    assert refused.value.request_id.startswith("req_offline_")
