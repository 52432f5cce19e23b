"""Every answer given here is valid history: it comes back as it was given, and the upstream accepts it."""

from __future__ import annotations

import json
import re

import httpx2
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from tests.fakes.generated import generated
from tests.fakes.tables import each_row
from tests.fakes.upstreams.fake_openai import Sent
from tests.fakes.upstreams.openai_answers import chunk, completion, sse, stream_of
from tests.fakes.wire.bodies import CALL, USER

some_answers = generated(cases=50, quickly=5, suppress_health_check=[HealthCheck.function_scoped_fixture])

TEXTS = st.sampled_from(["", " ", "Hello", "\n", "a\0b", "é 👋"])
CALLS = st.builds(
    lambda id_, name, arguments: {
        "id": id_,
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    },
    st.sampled_from(["call_1", "c" * 300, "é"]),
    st.sampled_from(["get_weather", "functions.get weather", "n" * 80]),
    st.sampled_from(["", "{}", '{"city": "Os', '{"a": "\\u0000"}', "a\0"]),
)
ANSWERS = st.fixed_dictionaries(
    {
        "text": st.none() | TEXTS,
        "refusal": st.sampled_from([None, "No."]),
        "tool_calls": st.lists(CALLS, max_size=2, unique_by=lambda call: call["id"]),
        "finish_reason": st.sampled_from(["stop", "length", "content_filter", "tool_calls"]),
    }
)


def accept_as_openai_does(sent: Sent) -> httpx2.Response:
    """Refuse what OpenAI refuses in a history."""
    open_calls: set[str] = set()
    for message in sent.body["messages"]:
        assert message.keys() <= {"role", "content", "tool_calls", "tool_call_id"}
        if message["role"] == "tool":
            assert message["tool_call_id"] in open_calls
            open_calls.discard(message["tool_call_id"])
            continue
        assert not open_calls
        assert isinstance(message.get("content"), str) or message.get("tool_calls")
        assert message.get("tool_calls") != []
        open_calls = {call["id"] for call in message.get("tool_calls", ())}
    assert not open_calls
    if sent.body.get("stream"):
        return httpx2.Response(200, headers={"Content-Type": "text/event-stream"}, content=sse(*stream_of("{}")))
    return httpx2.Response(200, json=completion("{}"))


def next_turns(answer):
    """What a page may add to its history: the answer's fields in OpenAI's form, or the whole answer."""
    calls = {"toolCalls": answer["toolCalls"]} if "toolCalls" in answer else {}
    yield {"role": "assistant", "content": answer["reply"], **calls}
    yield {"role": "assistant", "content": answer["reply"] or None, "tool_calls": answer.get("toolCalls", [])}
    yield {**answer, "role": "assistant"}


def ask_again(client, turn):
    """The next request on each route, with and without another turn of the user's."""
    for history in ([USER, turn, USER], [USER, turn]):
        for route, body in [
            ("/api/chat", {}),
            ("/api/chat/stream", {}),
            ("/api/chat/openai", {"chatSettings": {}}),
            ("/api/structured", {}),
        ]:
            again = client.post(route, json={**body, "messages": history})
            status, text = again.status_code, again.text
            again.close()
            yield route, status, text


@pytest.mark.one_attempt
@pytest.mark.chat_form
@some_answers
@given(given_answer=ANSWERS)
def test_every_answer_comes_back_as_it_was_given(client, upstream, given_answer):
    upstream.answers(completion(given_answer.pop("text"), **given_answer))
    answer = client.post("/api/chat", json={"message": "Hi"})
    assert answer.status_code == 200
    upstream.otherwise = accept_as_openai_does
    for turn in next_turns(answer.json):
        for route, status, text in ask_again(client, turn):
            assert status == 200, (route, text)
            [back] = [each for each in upstream.sent[-1].body["messages"] if each["role"] == "assistant"]
            assert (back["content"] or "") == answer.json["reply"]
            assert back.get("tool_calls", []) == answer.json.get("toolCalls", [])


def as_sdks_write(message):
    """A message of /v1 as the SDKs' models and helpers write it back."""
    calls = message.get("tool_calls") or []
    helped = [{**call, "index": 0, "function": {**call["function"], "parsed_arguments": None}} for call in calls]
    missing = dict.fromkeys(["refusal", "annotations", "audio", "function_call", "tool_calls"])
    return [message, {**missing, **message}, {**message, "parsed": None, "tool_calls": helped or None}]


@pytest.mark.one_attempt
@pytest.mark.chat_form
@some_answers
@given(
    given_answer=ANSWERS,
    more=st.sampled_from([{}, {"reasoning_content": "Hm."}, {"annotations": [{"type": "url_citation"}]}]),
)
def test_every_answer_of_v1_comes_back_on_each_route_of_chat(client, upstream, given_answer, more):
    routes = {
        "/v1/chat/completions": {"model": "gpt-6.1-terra"},
        "/api/chat": {},
        "/api/chat/openai": {"chatSettings": {}},
    }
    upstream.otherwise = None
    upstream.answers(completion(given_answer.pop("text"), **given_answer, **more))
    answer = client.post("/v1/chat/completions", json={"model": "gpt-6.1-terra", "messages": [USER]})
    upstream.otherwise = accept_as_openai_does
    for turn in as_sdks_write(answer.json["choices"][0]["message"]):
        for route, body in routes.items():
            again = client.post(route, json={**body, "messages": [USER, turn, USER]})
            assert again.status_code == 200, (route, again.text)
            again.close()


@pytest.mark.one_attempt
@pytest.mark.chat_form
@some_answers
@given(given_answer=ANSWERS)
def test_every_output_of_responses_comes_back_as_input(client, upstream, given_answer):
    upstream.otherwise = None
    upstream.answers(completion(given_answer.pop("text"), **given_answer))
    output = client.post("/v1/responses", json={"model": "gpt-6.1-terra", "input": "Hi"}).json["output"]
    upstream.otherwise = accept_as_openai_does
    bare = [{name: value for name, value in item.items() if name not in ("id", "status")} for item in output]
    for items in (output, bare):
        again = client.post("/v1/responses", json={"model": "gpt-6.1-terra", "input": [USER, *items, USER]})
        assert again.status_code == 200, again.text


@each_row(
    "payloads",
    [
        [chunk({"role": "assistant", "content": ""}, finish_reason="length"), "[DONE]"],
        [chunk({"content": ""}, finish_reason="content_filter"), "[DONE]"],
        [chunk({"tool_calls": [{"index": 0, **CALL}]}), chunk(finish_reason="tool_calls"), "[DONE]"],
        [chunk({"refusal": "No."}), chunk(finish_reason="stop"), "[DONE]"],
    ],
    ids=["only reasoning", "filtered", "tool calls", "refused"],
)
def test_a_stream_comes_back_as_it_was_given(client, upstream, payloads):
    upstream.streams_bytes([sse(payload) for payload in payloads])
    lines = re.findall(r"data: (.*)", client.post("/api/chat/stream", json={"message": "Hi"}).text)
    events = [json.loads(line) for line in lines]
    written = "".join(event.get("token", "") for event in events)
    [done] = [event for event in events if event.pop("done", False)]
    calls = [call for event in events for call in event.get("toolCalls", [])]

    upstream.otherwise = accept_as_openai_does
    for turn in (
        {"role": "assistant", "content": written, "toolCalls": calls},
        {**done, "role": "assistant", "content": written, "toolCalls": calls},
    ):
        for route, status, text in ask_again(client, turn):
            assert status == 200, (route, text)


@pytest.mark.one_attempt
def test_a_structured_answer_comes_back_as_it_was_given(client, upstream):
    upstream.answers(completion('{"city": "Oslo"}'))
    answer = client.post("/api/structured", json={"prompt": "Hi"}).json

    upstream.otherwise = accept_as_openai_does
    for route, status, text in ask_again(client, {**answer, "role": "assistant"}):
        assert status == 200, (route, text)
        assert '{"city":"Oslo"}' in [message["content"] for message in upstream.sent[-1].body["messages"]]


def test_a_text_may_be_longer_than_a_visitor_may_write(client):
    long = {"role": "assistant", "content": "x" * 500_001}

    assert client.post("/api/chat", json={"messages": [USER, long, USER]}).status_code == 200


def test_a_call_without_a_result_gets_one_for_the_upstream(client, upstream):
    turn = {"role": "assistant", "toolCalls": [CALL, {**CALL, "id": "call_2"}]}
    result = {"role": "tool", "toolCallId": "call_2", "content": "rain"}

    client.post("/api/chat", json={"messages": [USER, turn, result, USER]})

    assert upstream.sent[0].body["messages"][2:] == [
        {"role": "tool", "tool_call_id": "call_2", "content": "rain"},
        {"role": "tool", "tool_call_id": "call_1", "content": "(no result)"},
        USER,
    ]


def test_a_list_of_text_parts_is_a_text(client, upstream):
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    body = {"chatSettings": {}, "messages": [{"role": "user", "content": parts}], "customModelId": ""}

    client.post("/api/chat/openai", json=body)

    assert upstream.sent[0].body["messages"] == [{"role": "user", "content": "a\n\nb"}]
