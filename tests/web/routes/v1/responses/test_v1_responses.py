"""POST /v1/responses: plain and streamed answers, as OpenAI's own client and a reader of its bytes see them."""

from __future__ import annotations

import json

import openai
import pytest

from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import MODEL, chunk, completion, error, stream_of
from tests.fakes.wire.reading import read_typed_events as events_of

ASKED = {"model": "gpt-6.1-terra", "input": "Hi"}
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


@each_row("value", ["é😀", '"\\\n%s', "\u2028", "</script>"])
def test_texts_are_streamed_as_they_are(client, upstream, value):
    upstream.streams(*stream_of(value, value))

    events = stream(client)

    assert [each["delta"] for each in events if each["type"] == "response.output_text.delta"] == [value, value]
    assert events[-1]["response"]["output"][0]["content"] == [text(2 * value)]


@each_row(
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
