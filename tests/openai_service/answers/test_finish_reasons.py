"""Why answers end, in the words of other servers: the same for an answer in one piece and for a stream."""

from __future__ import annotations

import json
from contextlib import closing

import pytest

from tests.fakes.tables import crossed, each_row, further
from tests.fakes.upstreams.openai_answers import USAGE, chunk, completion, sse, stream_of
from tests.fakes.upstreams.responses_form import to_response
from tests.fakes.wire.bodies import CALL, EVERY_SMALLEST, SMALLEST
from tests.fakes.wire.reading import events_of

pytestmark = pytest.mark.one_attempt

ANSWER = '{"a": 1}'
MEANINGS = {
    "stop": ["stop", "STOP", "eos", "eos_token", "end_turn", "stop_sequence", "COMPLETE", "FINISH_REASON_STOP"],
    "length": ["length", "max_tokens", "model_length", "MAX_TOKENS", "FinishReason.MAX_TOKENS", "max-tokens"],
    "content_filter": [
        "content_filter",
        "SAFETY",
        "RECITATION",
        "PROHIBITED_CONTENT",
        "BLOCKLIST",
        "SPII",
        "content-filter",
        "content_filter: SAFETY",
        "refusal",
        "sensitive",
        "guardrail_intervened",
    ],
    "unknown": ["OTHER", "load", "Stop it", "stopped by the moon", "MALFORMED_FUNCTION_CALL", "null", "🛑", " "],
}
CUT_OFF = ["abort", "error", "insufficient_system_resource", "ERROR", "network_error", "cancelled", "incomplete"]
# Of /responses an incomplete answer is cut off whatever the word: tests/openai_service/responses has those.


@pytest.fixture
def client(records, make_app):
    return make_app().test_client()


def ask(client, upstream, route, reason, **message):
    """The answer in one piece or as a stream, its end last."""
    if not route.endswith("stream"):
        upstream.answers(completion(ANSWER, finish_reason=reason, **message))
        return client.post(route, json=SMALLEST[route]).json
    upstream.streams(*stream_of(ANSWER, finish_reason=reason))
    return events_of(client.post(route, json=SMALLEST[route]).data)[-1]


@pytest.mark.parametrize(
    "meaning", ["stop", "length", "content_filter", pytest.param("unknown", marks=pytest.mark.chat_form)]
)
def test_a_word_means_the_same_in_every_answer(make_app, upstream, records, subtests, meaning):
    client = make_app().test_client()
    for word in MEANINGS[meaning]:
        records.clear()
        with subtests.test(word):
            for route in ("/api/chat", "/api/chat/stream", "/api/vision", "/api/vision/stream"):
                end = ask(client, upstream, route, word)

                assert (end["finishReason"], end["usage"]) == (meaning, USAGE)
            assert {(record.outcome, record.finish_reason) for record in records} == {("complete", meaning)}


@pytest.mark.parametrize(
    ("route", "word"),
    crossed([route for route in SMALLEST if "batch" not in route and "embed" not in route], CUT_OFF),
)
def test_an_answer_that_its_server_broke_off_is_no_answer(make_app, upstream, records, route, word):
    client = make_app(chat_fallback_models=()).test_client()
    if route == "/api/chat/openai":
        upstream.streams(*stream_of(ANSWER, finish_reason=word))
        answer = client.post(route, json=SMALLEST[route], buffered=False)
        with closing(answer), pytest.raises(ConnectionResetError):
            list(answer.response)
    else:
        assert ask(client, upstream, route, word)["code"] == "upstream_truncated"
    assert [record.outcome for record in records] == ["upstream_truncated"]
    assert len(upstream.sent) == 1  # it is paid for already


@pytest.mark.parametrize(
    ("route", "word", "code"),
    crossed(
        ["/api/structured", "/api/structured/stream"],
        [("MAX_TOKENS", "truncated"), ("SAFETY", "content_filter"), ("error", "upstream_truncated")],
    ),
)
def test_a_structured_answer_needs_a_whole_one(client, upstream, route, word, code):
    assert ask(client, upstream, route, word)["code"] == code


@pytest.fixture
def caching(make_app, tmp_path):
    return make_app(state_dir=str(tmp_path)).test_client()


@pytest.mark.parametrize("route", ["/api/chat", *further("/api/chat/stream")])
@each_row("word", [*MEANINGS["length"], *MEANINGS["content_filter"], *MEANINGS["unknown"], *CUT_OFF])
def test_only_a_whole_answer_is_cached(caching, upstream, route, word):
    upstream.sent.clear()
    body = {"message": f"Hi {word}", "temperature": 0, "cache": True}
    if route.endswith("stream"):
        upstream.streams(*stream_of("half", finish_reason=word))
        upstream.streams(*stream_of("whole", finish_reason="eos"))
    else:
        upstream.answers(completion("half", finish_reason=word))
        upstream.answers(completion("whole", finish_reason="eos"))

    answers = [caching.post(route, json=body).get_data(as_text=True) for _ in range(3)]

    assert ["whole" in answer for answer in answers] == [False, True, True]
    assert len(upstream.sent) == 2


NO_REASONS = {"null": None, "empty": "", "missing": ..., "a number": 1, "a list": ["stop"]}
ROUTES = [
    "/api/chat",
    "/api/vision",
    "/api/structured",
    "/v1/chat/completions",
    "/v1/responses",
]


def with_reason(body, reason):
    """A body or chunk whose choice ends with this; `...` leaves it out."""
    [choice] = body["choices"]
    rest = {name: value for name, value in choice.items() if name != "finish_reason"}
    return {**body, "choices": [rest if reason is ... else {**rest, "finish_reason": reason}]}


def ask_plain_and_streamed(client, upstream, route, message, reason):
    """The ends of an answer without a reason, in one piece and as a stream up to `[DONE]`."""
    upstream.answers(with_reason(completion(None, **message), reason))
    chunks = [with_reason(chunk(message), reason), with_reason(chunk(), reason), {"choices": [], "usage": USAGE}]
    upstream.streams(*chunks, "[DONE]")
    body = EVERY_SMALLEST[route]
    plain = client.post(route, json=body).json
    if route.startswith("/v1"):
        lines = client.post(route, json={**body, "stream": True}).data.splitlines()
        payloads = [line.removeprefix(b"data: ") for line in lines if line.startswith(b"data: {")]
        events = [json.loads(payload) for payload in payloads]
    else:
        events = events_of(client.post(f"{route}/stream", json=body).data)
    return plain, events


@each_row("reason", NO_REASONS.values(), ids=NO_REASONS)
@each_row("route", ROUTES)
@pytest.mark.chat_form
def test_without_a_reason_a_whole_answer_is_unknown_plain_and_streamed(client, upstream, records, route, reason):
    records.clear()
    upstream.sent.clear()

    plain, events = ask_plain_and_streamed(client, upstream, route, {"content": ANSWER}, reason)

    if route == "/v1/responses":
        assert (plain["status"], events[-1]["response"]["status"]) == ("completed", "completed")
    elif route == "/v1/chat/completions":
        reasons = [choice["finish_reason"] for event in events for choice in event["choices"]]
        assert (plain["choices"][0]["finish_reason"], reasons[-1]) == ("stop", "stop")  # it has no other word
    else:
        assert (plain["finishReason"], events[-1]["finishReason"]) == ("unknown", "unknown")
        assert plain["usage"] == events[-1]["usage"] == USAGE
    assert [(record.outcome, record.finish_reason) for record in records] == [("complete", "unknown")] * 2
    assert len(upstream.sent) == 2


@each_row("reason", NO_REASONS.values(), ids=NO_REASONS)
@each_row("message", [{"refusal": "No."}, {"tool_calls": [CALL]}], ids=["refusal", "tool calls"])
@pytest.mark.chat_form
def test_without_a_reason_whatever_was_said_is_an_answer(client, upstream, message, reason):
    plain, events = ask_plain_and_streamed(client, upstream, "/api/chat", message, reason)

    assert (plain["finishReason"], events[-1]["finishReason"]) == ("unknown", "unknown")
    assert plain.get("toolCalls") == events[-1].get("toolCalls")


@pytest.mark.chat_form
@pytest.mark.parametrize("reason", [None, "", ...])
def test_without_a_reason_a_stream_must_have_come_to_its_end(client, upstream, reason):
    upstream.streams(with_reason(chunk({"content": ANSWER}), reason), {"choices": [], "usage": USAGE})

    events = events_of(client.post("/api/chat/stream", json=SMALLEST["/api/chat/stream"]).data)

    assert [event.get("code") for event in events] == [None, "upstream_truncated"]


@pytest.mark.chat_form
def test_the_last_line_needs_no_end(client, upstream):
    upstream.streams_bytes([sse(with_reason(chunk({"content": ANSWER}), None)), b"data: [DONE]"])

    events = events_of(client.post("/api/chat/stream", json=SMALLEST["/api/chat/stream"]).data)

    assert events[-1]["finishReason"] == "unknown"


STATUSES = [
    ("completed", "stop"),
    (None, "unknown"),
    ("", "unknown"),
    (..., "unknown"),
    ("done for today", "unknown"),
    (7, "unknown"),
]


@pytest.mark.parametrize(("status", "meaning"), STATUSES)
def test_a_response_without_a_status_is_unknown(make_app, upstream, status, meaning):
    said = to_response(completion(ANSWER))
    rest = {name: value for name, value in said.items() if name != "status"}
    upstream.answers(rest if status is ... else {**rest, "status": status})
    client = make_app(upstream_api="responses", chat_fallback_models=()).test_client()

    answer = client.post("/api/chat", json=SMALLEST["/api/chat"]).json

    assert (answer["reply"], answer["finishReason"]) == (ANSWER, meaning)


@pytest.mark.parametrize(("end", "meaning"), [(b"data: [DONE]\n\n", "unknown"), (b"", None)])
def test_the_stream_of_a_response_may_end_with_the_mark_alone(make_app, upstream, end, meaning):
    item = {"id": "msg_1", "type": "message", "role": "assistant", "content": []}
    events = [
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 0, "delta": ANSWER},
    ]
    upstream.streams_events(*events, end=end)
    client = make_app(upstream_api="responses", chat_fallback_models=()).test_client()

    told = events_of(client.post("/api/chat/stream", json=SMALLEST["/api/chat/stream"]).data)

    assert told[0] == {"token": ANSWER}
    assert told[-1].get("finishReason") == meaning
    assert (told[-1].get("code") == "upstream_truncated") is (meaning is None)
