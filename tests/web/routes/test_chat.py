from __future__ import annotations

from tests.conftest import over_both_endpoints
from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import USAGE, completion
from tests.fakes.wire.bodies import conversation_of

pytestmark = over_both_endpoints

TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}},
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'}}


def test_messages_are_answered_with_a_reply(client, upstream, upstream_api):
    answer = client.post("/api/chat", json={"messages": [{"role": "user", "content": "Hi"}]})

    assert answer.status_code == 200
    assert answer.json == {
        "reply": "Hello there",
        "finishReason": "stop",
        "usage": USAGE,
        "model": "gpt-6.1-terra-2026-10-01",
        "id": "chatcmpl-1",
    }
    assert upstream.sent[0].path == ("/v1/responses" if upstream_api == "responses" else "/v1/chat/completions")
    assert conversation_of(upstream.sent[0].body) == {
        "model": "gpt-6.1-terra",
        "messages": [{"role": "user", "content": "Hi"}],
        "max_completion_tokens": 8192,
    }


def test_the_key_goes_to_the_upstream_and_nowhere_else(client, upstream):
    answer = client.post("/api/chat", json={"message": "Hi"})

    assert upstream.sent[0].headers["Authorization"] == "Bearer sk-canary-0123456789"
    assert "canary" not in answer.text + str(answer.headers)


def test_user_message_is_answered_under_text_as_well(client):
    assert client.post("/api/chat", json={"userMessage": "Hi"}).json["text"] == "Hello there"


def test_message_is_answered_as_a_message_as_well(client):
    body = client.post("/api/chat", json={"message": "Hi"}).json

    assert (body["role"], body["content"], body["reply"]) == ("assistant", "Hello there", "Hello there")
    assert "text" not in body


def test_settings_of_the_call_are_sent_on(client, upstream):
    client.post("/api/chat", json={"message": "Hi", "model": "gpt-6-luna", "verbosity": "low", "maxTokens": 50})

    body = upstream.sent[0].body
    assert (body["model"], body["verbosity"], body["max_completion_tokens"]) == ("gpt-6-luna", "low", 50)


def test_more_tokens_than_the_ceiling_are_lowered_to_it_and_said_so(client, upstream):
    answer = client.post("/api/chat", json={"message": "Hi", "maxTokens": 99_999})

    assert upstream.sent[0].body["max_completion_tokens"] == 8192
    assert answer.headers["X-Params-Adjusted"] == "maxTokens=8192"


def test_tools_go_in_and_tool_calls_come_out(client, upstream):
    upstream.answers(completion(None, finish_reason="tool_calls", tool_calls=[CALL]))

    answer = client.post("/api/chat", json={"message": "Weather?", "tools": [TOOL], "toolChoice": "required"})

    assert answer.json["toolCalls"] == [CALL]
    assert (answer.json["finishReason"], answer.json["reply"]) == ("tool_calls", "")
    assert upstream.sent[0].body["tools"] == [TOOL]
    assert upstream.sent[0].body["tool_choice"] == "required"


@each_row(("calls", "call_id"), [("toolCalls", "toolCallId"), ("tool_calls", "tool_call_id")])
def test_results_of_tools_go_into_the_next_turn(client, upstream, calls, call_id):
    messages = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": None, calls: [CALL]},
        {"role": "tool", call_id: "call_1", "content": "rain"},
    ]

    assert client.post("/api/chat", json={"messages": messages, "tools": [TOOL]}).status_code == 200
    assert upstream.sent[0].body["messages"][1:] == [
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
    ]


def test_the_sites_system_prompt_comes_first_unless_the_caller_has_one(make_app, upstream):
    client = make_app(system_prompt="Be brief.").test_client()

    client.post("/api/chat", json={"message": "Hi"})
    client.post("/api/chat", json={"message": "Hi", "systemPrompt": "Be long."})

    systems = [sent.body["messages"][0] for sent in upstream.sent]
    assert systems == [{"role": "system", "content": "Be brief."}, {"role": "system", "content": "Be long."}]


@each_row(
    "body",
    [
        {"message": "Hi", "systemPrompt": "Obey me."},
        {"messages": [{"role": "system", "content": "Obey me."}, {"role": "user", "content": "Hi"}]},
    ],
)
def test_a_site_can_keep_the_system_prompt_to_itself(make_app, upstream, body):
    answer = make_app(allow_client_system_prompt=False).test_client().post("/api/chat", json=body)

    assert (answer.status_code, answer.json["code"]) == (400, "invalid_request")
    assert upstream.sent == []


def test_a_model_that_is_not_offered_is_forbidden(client, upstream):
    answer = client.post("/api/chat", json={"message": "Hi", "model": "gpt-4"})

    assert (answer.status_code, answer.json["code"]) == (403, "forbidden")
    assert upstream.sent == []


def test_a_model_of_allowed_models_is_offered(make_app, upstream):
    client = make_app(allowed_models=("my-model",)).test_client()

    assert client.post("/api/chat", json={"message": "Hi", "model": "my-model"}).status_code == 200
    assert upstream.sent[0].body["model"] == "my-model"


def test_every_answer_says_how_the_call_went(client):
    headers = client.post("/api/chat", json={"message": "Hi"}, headers={"X-Request-ID": "my.id-1"}).headers

    assert headers["X-Request-ID"] == "my.id-1"
    assert headers["X-Model"] == "gpt-6.1-terra-2026-10-01"
    assert headers["X-Attempts"] == "1"
    assert float(headers["X-Overhead-Ms"]) >= 0


def test_a_request_id_that_is_not_one_is_replaced(client):
    headers = client.post("/api/chat", json={"message": "Hi"}, headers={"X-Request-ID": "a b;c"}).headers

    assert len(headers["X-Request-ID"]) == 24


def test_a_call_leaves_one_record(app, client, records, make_app):
    make_app().test_client().post("/api/chat", json={"message": "Hi"}, headers={"X-Request-ID": "r1"})

    [record] = records
    assert (record.request_id, record.operation, record.outcome) == ("r1", "chat", "complete")
    assert (record.attempts, record.usage.raw, record.finish_reason) == (1, USAGE, "stop")
