"""Empty system texts, as agents without instructions send them: OpenAI takes them, and they say nothing."""

from __future__ import annotations

import pytest

from tests.fakes.tables import each_row

HI = {"role": "user", "content": "Hi"}


@each_row("text", ["", " \n", [{"type": "input_text", "text": ""}]])
@each_row("role", ["system", "developer"])
@each_row(("path", "field"), [("/v1/responses", "input"), ("/v1/chat/completions", "messages")])
def test_an_empty_turn_is_left_out(client, upstream, path, field, role, text):
    answer = client.post(path, json={field: [{"role": role, "content": text}, HI]})

    assert (answer.status_code, upstream.sent[0].body["messages"]) == (200, [HI])


@pytest.mark.parametrize("text", ["", "\n"])
def test_empty_instructions_are_none(make_app, upstream, text):
    client = make_app(system_prompt="Be kind.").test_client()

    assert client.post("/v1/responses", json={"input": "Hi", "instructions": text}).status_code == 200
    assert upstream.sent[0].body["messages"] == [{"role": "system", "content": "Be kind."}, HI]


@pytest.mark.parametrize(("path", "field"), [("/v1/responses", "input"), ("/v1/chat/completions", "messages")])
def test_something_must_be_said_all_the_same(client, upstream, path, field):
    refused = client.post(path, json={field: [{"role": "system", "content": ""}]})

    assert (refused.status_code, refused.json["error"]["param"]) == (400, field)
    assert upstream.sent == []


def test_the_place_of_a_fault_counts_them(client):
    result = {"role": "tool", "tool_call_id": "x", "content": "1"}
    refused = client.post(
        "/v1/chat/completions", json={"messages": [{"role": "system", "content": ""}, HI, result]}
    )

    assert refused.json["error"]["param"] == "messages[2].tool_call_id"
