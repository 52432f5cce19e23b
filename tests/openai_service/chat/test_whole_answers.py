"""An answer that came whole is an answer, however oddly a server writes it. It is paid for once."""

from __future__ import annotations

import pytest

from tests.fakes.tables import crossed
from tests.fakes.upstreams.openai_answers import USAGE, completion
from tests.fakes.wire.bodies import SMALLEST, TOOL

CHAT = {"message": "Hi"}
ANSWER = '{"a": 1}'


def without(body, *names):
    """The body, whose choice lacks these fields."""
    [choice] = body["choices"]
    return body | {"choices": [{name: value for name, value in choice.items() if name not in names}]}


NO_REASONS = {
    "null": completion(ANSWER, finish_reason=None),
    "empty": completion(ANSWER, finish_reason=""),
    "missing": without(completion(ANSWER), "finish_reason"),
    "a number": completion(ANSWER, finish_reason=1),
    "a list": completion(ANSWER, finish_reason=["stop"]),
}


@pytest.mark.chat_form
@pytest.mark.parametrize(("route", "body"), crossed(["/api/chat", "/api/vision", "/api/structured"], NO_REASONS))
def test_without_a_finish_reason_it_is_given_and_asked_for_once(make_app, upstream, records, route, body):
    upstream.answers(body)

    answer = make_app(chat_fallback_models=("gpt-6-luna",)).test_client().post(route, json=SMALLEST[route])

    assert (answer.status_code, answer.headers["X-Attempts"], len(upstream.sent)) == (200, "1", 1)
    assert (answer.json["finishReason"], answer.json["usage"]) == ("unknown", USAGE)
    assert answer.json.get("reply", ANSWER) == ANSWER
    assert [(record.outcome, record.finish_reason) for record in records] == [("complete", "unknown")]
    assert records[0].attempt_log[0].billed == "yes"


@pytest.mark.parametrize(
    ("message", "reply"), [({"refusal": "I will not."}, "I will not."), ({}, "")], ids=["refused", "nothing"]
)
def test_without_a_text_it_is_an_answer_as_well(client, upstream, message, reply):
    upstream.answers(completion(None, finish_reason=None, **message))

    answer = client.post("/api/chat", json=CHAT)

    assert (answer.status_code, answer.json["reply"], answer.json["finishReason"]) == (200, reply, "unknown")
    assert len(upstream.sent) == 1


def test_without_a_finish_reason_it_is_never_cached(make_app, upstream, tmp_path):
    client = make_app(state_dir=str(tmp_path)).test_client()
    body = CHAT | {"temperature": 0, "cache": True}
    upstream.answers(NO_REASONS["null"])
    upstream.answers(completion("whole"))

    replies = [client.post("/api/chat", json=body).json["reply"] for _ in range(3)]

    assert replies == [ANSWER, "whole", "whole"]
    assert len(upstream.sent) == 2


CALL = {"id": "call_9", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Bern"}'}}


@pytest.mark.parametrize("reason", [None, ""])
def test_tool_calls_without_a_finish_reason_are_given(client, upstream, reason):
    upstream.answers(completion(None, finish_reason=reason, tool_calls=[CALL]))

    answer = client.post("/api/chat", json=CHAT | {"tools": [TOOL]})

    assert (answer.status_code, answer.json["finishReason"]) == (200, "unknown")
    assert answer.json["toolCalls"] == [CALL]


@pytest.mark.parametrize(
    ("spelt", "read"),
    [
        ({name: value for name, value in CALL.items() if name != "id"}, CALL | {"id": "call_0"}),
        (CALL | {"id": None}, CALL | {"id": "call_0"}),
        (CALL | {"type": None, "index": 0}, CALL),
        (CALL | {"function": {"name": "get_weather", "arguments": {"city": "Bern"}}}, CALL),
        (
            CALL | {"function": {"name": "get_weather"}},
            CALL | {"function": {"name": "get_weather", "arguments": "{}"}},
        ),
    ],
    ids=["no id", "an id of null", "other fields", "an object of arguments", "no arguments"],
)
def test_tool_calls_are_read_however_they_are_spelt(client, upstream, spelt, read):
    upstream.answers(completion(None, finish_reason="tool_calls", tool_calls=[spelt]))

    answer = client.post("/api/chat", json=CHAT | {"tools": [TOOL]})

    assert (answer.status_code, answer.json["toolCalls"]) == (200, [read])
    assert len(upstream.sent) == 1


def test_an_answer_that_does_not_fit_the_schema_is_repaired_once_whatever_its_reason(client, upstream):
    upstream.answers(completion("no JSON", finish_reason=None))
    upstream.answers(completion("{}", finish_reason=None))

    answer = client.post("/api/structured", json={"prompt": "Hi"})

    assert (answer.json["data"], answer.json["finishReason"], len(upstream.sent)) == ({}, "unknown", 2)
