"""Why answers end, in the words of other servers: the same for an answer in one piece and for a stream."""

from __future__ import annotations

from contextlib import closing

import pytest

from tests.fakes.bodies import SMALLEST
from tests.fakes.openai_answers import USAGE, completion, stream_of
from tests.fakes.reading import events_of

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
CASES = [(word, meaning) for meaning, words in MEANINGS.items() for word in words]


def ask(client, upstream, route, reason, **message):
    """The answer in one piece or as a stream, its end last."""
    if not route.endswith("stream"):
        upstream.answers(completion(ANSWER, finish_reason=reason, **message))
        return client.post(route, json=SMALLEST[route]).json
    upstream.streams(*stream_of(ANSWER, finish_reason=reason))
    return events_of(client.post(route, json=SMALLEST[route]).data)[-1]


@pytest.mark.parametrize(("word", "meaning"), CASES)
def test_a_word_means_the_same_in_every_answer(make_app, upstream, records, word, meaning):
    client = make_app().test_client()
    for route in ("/api/chat", "/api/chat/stream", "/api/vision", "/api/vision/stream"):
        end = ask(client, upstream, route, word)

        assert (end["finishReason"], end["usage"]) == (meaning, USAGE)
    assert {(record.outcome, record.finish_reason) for record in records} == {("complete", meaning)}


@pytest.mark.parametrize("word", CUT_OFF)
@pytest.mark.parametrize("route", [route for route in SMALLEST if "batch" not in route and "embed" not in route])
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
    ("word", "code"), [("MAX_TOKENS", "truncated"), ("SAFETY", "content_filter"), ("error", "upstream_truncated")]
)
@pytest.mark.parametrize("route", ["/api/structured", "/api/structured/stream"])
def test_a_structured_answer_needs_a_whole_one(client, upstream, route, word, code):
    assert ask(client, upstream, route, word)["code"] == code


@pytest.mark.parametrize(
    "word", [*MEANINGS["length"], *MEANINGS["content_filter"], *MEANINGS["unknown"], *CUT_OFF]
)
@pytest.mark.parametrize("route", ["/api/chat", "/api/chat/stream"])
def test_only_a_whole_answer_is_cached(make_app, upstream, tmp_path, route, word):
    client = make_app(state_dir=str(tmp_path)).test_client()
    body = {"message": "Hi", "temperature": 0, "cache": True}
    if route.endswith("stream"):
        upstream.streams(*stream_of("half", finish_reason=word))
        upstream.streams(*stream_of("whole", finish_reason="eos"))
    else:
        upstream.answers(completion("half", finish_reason=word))
        upstream.answers(completion("whole", finish_reason="eos"))

    answers = [client.post(route, json=body).get_data(as_text=True) for _ in range(3)]

    assert ["whole" in answer for answer in answers] == [False, True, True]
    assert len(upstream.sent) == 2
