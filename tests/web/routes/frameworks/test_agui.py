"""POST /api/agui: what the model is sent of a run, and what is told of it."""

from __future__ import annotations

import pytest

from tests.fakes.person import Person
from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import MODEL, chunk, error, stream_of
from tests.fakes.wire.reading import events_of

ROUTE = "/api/agui"
USER = {"id": "1", "role": "user", "content": "Hi"}
RUN = {
    "threadId": "thread1",
    "runId": "run1",
    "protocolVersion": "1.7",
    "state": {str(number): None for number in range(2_000)},
    "messages": [USER],
    "tools": [],
    "context": [],
    "forwardedProps": {},
    "resume": [],
    "aFieldToCome": {"a": 1},
}


def run(client, *messages, **fields):
    return client.post(ROUTE, json={**RUN, "messages": list(messages) or [USER], **fields})


def call(id="call_1"):  # noqa: A002
    return {"id": id, "type": "function", "function": {"name": "weather", "arguments": "{}"}}


def test_an_answer_is_a_run(make_app, upstream):
    person = Person(make_app())
    upstream.streams(*stream_of("Hel", "lo"))

    answer = person.post(ROUTE, RUN)

    events = events_of(answer.data)
    assert [event["type"] for event in events] == [
        "RUN_STARTED",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "RUN_FINISHED",
    ]
    assert events[-1]["threadId"] == "thread1"
    assert events[-1]["runId"] == "run1"
    assert answer.content_type == "text/event-stream; charset=utf-8"
    assert answer.headers["X-Model"] == MODEL
    answer.close()
    row = person.row()
    assert (row["operation"], row["outcome"]) == ("chat", "complete")
    assert events[-1]["metadata"]["costMicroUsd"] == row["cost_micro_usd"] > 0
    assert upstream.sent[0].body["messages"] == [{"role": "user", "content": "Hi"}]


def test_the_pages_tools_and_own_fields_are_sent(client, upstream):
    upstream.streams(*stream_of("Hello"))
    tool = {"name": "weather", "description": "", "parameters": {"type": "object"}, "metadata": {"a": 1}}

    run(client, tools=[tool], forwardedProps={"maxTokens": 70, "systemPrompt": "Be brief.", "config": {"a": 1}})

    sent = upstream.sent[0].body
    assert sent["tools"] == [
        {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    ]
    assert sent["max_completion_tokens"] == 70
    assert sent["messages"][0] == {"role": "system", "content": "Be brief."}


@each_row(
    ("messages", "turns"),
    [
        ([{"id": "0", "role": "developer", "content": "a"}], [{"role": "system", "content": "a"}]),
        ([{"id": "0", "role": "system", "content": ""}], []),
        (
            [
                {
                    "id": "0",
                    "role": "user",
                    "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
                }
            ],
            [{"role": "user", "content": "a\n\nb"}],
        ),
        ([{"id": "0", "role": "assistant"}], [{"role": "assistant", "content": ""}]),
        (
            [
                {"id": "0", "role": "reasoning", "content": "hm"},
                {"id": "1", "role": "activity", "activityType": "PLAN", "content": {"a": 1}},
                {
                    "id": "2",
                    "role": "assistant",
                    "content": "a",
                    "name": "x",
                    "toolCalls": [{**call(), "metadata": {}}],
                },
                {"id": "3", "role": "tool", "toolCallId": "call_1", "content": "rain"},
            ],
            [
                {"role": "assistant", "content": "a", "tool_calls": [call()]},
                {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
            ],
        ),
        (
            [
                {"id": "2", "role": "assistant", "toolCalls": [call()]},
                {"id": "3", "role": "tool", "toolCallId": "call_1", "content": "", "error": "no wind"},
            ],
            [
                {"role": "assistant", "content": None, "tool_calls": [call()]},
                {"role": "tool", "tool_call_id": "call_1", "content": "no wind"},
            ],
        ),
        (
            [
                {"id": "2", "role": "assistant", "toolCalls": [call("servertool_1")]},
                {"id": "3", "role": "tool", "toolCallId": "servertool_1", "content": '{"status":"done"}'},
                {"id": "4", "role": "assistant", "content": "It rains."},
            ],
            [{"role": "assistant", "content": "It rains."}],
        ),
    ],
)
def test_a_thread_becomes_a_conversation(client, upstream, messages, turns):
    upstream.streams(*stream_of("Hello"))

    answer = run(client, *messages, USER)

    assert answer.status_code == 200, answer.text
    assert upstream.sent[0].body["messages"] == [*turns, {"role": "user", "content": "Hi"}]


def test_context_is_told_by_the_user(make_app, upstream):
    client = make_app(allow_client_system_prompt=False).test_client()
    upstream.streams(*stream_of("Hello"))

    run(client, context=[{"description": "The page", "value": "Basket"}, {"description": "Items", "value": "2"}])

    assert upstream.sent[0].body["messages"] == [
        {"role": "user", "content": "What the page says of itself:\n- The page: Basket\n- Items: 2"},
        {"role": "user", "content": "Hi"},
    ]


def test_calls_of_the_pages_tools(client, upstream):
    first = {"index": 0, "id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"a":1}'}}
    upstream.streams(chunk({"tool_calls": [first]}), chunk(finish_reason="tool_calls"), "[DONE]")

    events = events_of(run(client, tools=[{"name": "weather", "description": "d"}]).data)

    assert [event["type"] for event in events[1:]] == [
        "TOOL_CALL_START",
        "TOOL_CALL_ARGS",
        "TOOL_CALL_END",
        "RUN_FINISHED",
    ]
    assert events[-1]["outcome"] == {"type": "success", "pendingToolCallIds": ["c1"]}


@each_row(
    ("fields", "sentence"),
    [
        ({"threadId": None}, "threadId: should be a valid string."),
        ({"messages": []}, "messages: must have a message to answer."),
        ({"messages": [{"id": "1", "role": "user", "content": " "}]}, "messages.0.content: must have a text."),
        ({"messages": [{"id": "1", "role": "usr", "content": "a"}]}, None),
        (
            {"messages": [{"id": "1", "role": "user", "content": [{"type": "text"}]}]},
            "Missing messages.0.content.0.text.",
        ),
        (
            {"messages": [USER, {"id": "1", "role": "tool", "content": "a"}]},
            "Missing messages.1.toolCallId.",
        ),
        ({"tools": ["weather"]}, None),
        ({"tools": [{"description": "d"}]}, "Missing tools.0.function.name."),
        ({"forwardedProps": {"temperature": 3}}, "temperature: should be less than or equal to 2."),
        ({"context": [{"description": "a"}]}, "Missing context.0.value."),
    ],
)
def test_a_refusal_has_its_status_and_names_the_field(client, upstream, fields, sentence):
    answer = client.post(ROUTE, json={**RUN, **fields})

    assert (answer.status_code, answer.json["code"]) == (400, "invalid_request")
    if sentence is not None:
        assert answer.json["error"] == sentence
    assert not upstream.sent


@pytest.mark.one_attempt
def test_failures_before_and_after_the_first_token(client, upstream):
    upstream.answers(error(code="server_error"), status=500)
    upstream.streams(*stream_of("Hel")[:2], error("secret words", code="server_error"))

    assert run(client).status_code == 502
    *_, end, failure = events_of(run(client).data)

    assert end["type"] == "TEXT_MESSAGE_END"
    assert (failure["type"], failure["code"]) == ("RUN_ERROR", "upstream_failed")
    assert failure["message"] == "The model could not be reached or did not answer properly."
