"""The input of POST /v1/responses: items, images and files."""

from __future__ import annotations

import base64

from tests.fakes.tables import each_row
from tests.media.images.pictures import encoded, photo
from tests.web.routes.v1.responses.test_v1_responses import ASKED, message, text


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


def test_what_is_said_between_calls_and_their_results_is_said_with_the_calls(client, upstream):
    """Where a client puts what it made of the reasoning, for instance."""
    call = {"type": "function_call", "name": "f", "arguments": "{}"}
    result = {"type": "function_call_output"}
    items = [
        {"role": "user", "content": "Hi"},
        {**call, "call_id": "a"},
        {"role": "assistant", "content": "one"},
        {**call, "call_id": "b"},
        {"role": "assistant", "content": "two"},
        {**result, "call_id": "a", "output": "1"},
        {**result, "call_id": "b", "output": "2"},
    ]

    assert client.post("/v1/responses", json={**ASKED, "input": items}).status_code == 200

    [_, turn, *results] = upstream.sent[0].body["messages"]
    assert (turn["content"], [each["id"] for each in turn["tool_calls"]]) == ("one\n\ntwo", ["a", "b"])
    assert [each["content"] for each in results] == ["1", "2"]


@each_row("id_", ["rs_68af", "ws_1_0", "ci_1_0", "fs_1_0", "mcp_1_0", "mcpl_1_0"])
def test_a_reference_to_what_would_not_go_back_is_left_out(client, upstream, id_):
    items = [{"role": "user", "content": "Hi"}, {"type": "item_reference", "id": id_}, message(text("ok"))]

    assert client.post("/v1/responses", json={**ASKED, "input": items}).status_code == 200
    assert [each["role"] for each in upstream.sent[0].body["messages"]] == ["user", "assistant"]


@each_row("id_", ["msg_1_0", "fc_1_0", "rs", "", None, 1])
def test_a_reference_to_what_is_missing_is_refused_with_the_way_out(client, upstream, id_):
    items = [{"role": "user", "content": "Hi"}, {"type": "item_reference", "id": id_}]

    refused = client.post("/v1/responses", json={**ASKED, "input": items})

    assert (refused.status_code, refused.json["error"]["param"]) == (400, "input[1]")
    assert "store = false" in refused.json["error"]["message"]
    assert upstream.sent == []


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


@each_row(
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


def test_what_the_model_wrote_comes_back_whatever_it_is(client, upstream):
    spoilt = {"type": "function_call", "call_id": "a", "name": "f\0", "arguments": "{\0"}
    items = [{"role": "user", "content": "Hi"}, message(text("a\0b")), spoilt]

    answer = client.post("/v1/responses", json={**ASKED, "input": items})
    refused = client.post("/v1/responses", json={**ASKED, "input": [{"role": "user", "content": "a\0b"}]})

    assert answer.status_code == 200
    assert upstream.sent[0].body["messages"][1]["content"] == "a\0b"
    assert (refused.status_code, refused.json["error"]["param"]) == (400, "input[0].content")


def test_images_take_the_scope_vision(make_app, upstream):
    client = make_app(anonymous_scopes=("chat",)).test_client()
    parts = [{"type": "input_image", "image_url": "https://example.com/cat.png"}]

    text = client.post("/v1/responses", json=ASKED)
    image = client.post("/v1/responses", json={**ASKED, "input": [{"role": "user", "content": parts}]})

    assert (text.status_code, image.status_code) == (200, 401)
    assert len(upstream.sent) == 1


def test_an_image_may_be_larger_than_other_text(make_app, upstream):
    client = make_app(max_json_bytes=2_000, max_body_bytes=1_000_000).test_client()
    large = encoded(photo(300, 300), "PNG", compress_level=0)
    image = f"data:image/png;base64,{base64.b64encode(large).decode()}"
    assert len(image) > 70_000

    def ask(content):
        return client.post("/v1/responses", json={**ASKED, "input": [{"role": "user", "content": content}]})

    assert ask([{"type": "input_image", "image_url": image}]).status_code == 200
    [sent] = upstream.sent[0].body["messages"][0]["content"]
    assert sent["image_url"]["url"].startswith("data:image/png;base64,")
    assert ask(image).status_code == 413
