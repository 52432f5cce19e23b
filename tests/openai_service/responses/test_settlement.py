"""Over /responses too each call is one settled row, however its answer ends."""

from __future__ import annotations

import pytest

from tests.fakes.person import Person
from tests.fakes.reading import events_of
from tests.fakes.responses_form import message, reasoning, response

pytestmark = pytest.mark.one_attempt

CREATED = {"type": "response.created", "response": response("in_progress", usage=None)}
ADDED = {"type": "response.output_item.added", "output_index": 0, "item": {**message(""), "content": []}}
DELTA = {
    "type": "response.output_text.delta",
    "item_id": "msg_1",
    "output_index": 0,
    "content_index": 0,
    "delta": "Hel",
}
BEGUN = (CREATED, ADDED, DELTA)
ERROR = {"code": "server_error", "message": "secret"}
FAILED = response("failed", error=ERROR)
CUT_OFF = response("incomplete", reasoning(), incomplete_details={"reason": "max_output_tokens"})
FOREIGN = response("completed", message("x"), id="resp_other", usage={"input_tokens": 500, "output_tokens": 500})


@pytest.fixture
def person(make_app):
    return Person(make_app(upstream_api="responses"))


def told(row):
    return row["outcome"], row["source"], row["prompt_tokens"], row["completion_tokens"]


@pytest.mark.parametrize("route", ["/api/chat", "/api/chat/stream"])
def test_reasoning_that_took_the_whole_limit_is_an_empty_answer_with_its_cost(person, upstream, route):
    if "stream" in route:
        upstream.streams_events(CREATED, {"type": "response.incomplete", "response": CUT_OFF})
        [done] = events_of(person.ask(route).data)
    else:
        upstream.answers(CUT_OFF)
        done = person.ask(route).json
        assert done["reply"] == ""

    assert done["finishReason"] == "length"
    assert told(person.row()) == ("complete", "reported", 9, 3)


@pytest.mark.parametrize("route", ["/api/chat", "/api/chat/stream"])
def test_an_answer_that_failed_costs_what_it_says(person, upstream, route):
    if "stream" in route:
        upstream.streams_events(*BEGUN, {"type": "response.failed", "response": FAILED})
    else:
        upstream.answers(FAILED)

    answer = person.ask(route)

    assert b'"code":"upstream_failed"' in answer.data
    assert b"secret" not in answer.data
    assert told(person.row()) == ("upstream_error", "reported", 9, 3)
    assert upstream.open_streams == 0


@pytest.mark.parametrize(
    ("rest", "code"),
    [
        ([], "upstream_truncated"),
        ([{"type": "error", "error": ERROR}], "upstream_failed"),
        ([{"type": "response.completed", "response": FOREIGN}], "upstream_truncated"),
        ([{"type": "response.output_item.done", "item": reasoning("x" * 10_000_000)}], "upstream_truncated"),
    ],
    ids=["cut", "an error", "another's end", "10 MB of reasoning"],
)
def test_a_stream_without_an_end_is_no_answer_and_its_cost_is_estimated(person, upstream, rest, code):
    upstream.streams_events(*BEGUN, *rest)

    token, failure = events_of(person.ask("/api/chat/stream", maxTokens=400).data)

    assert (token, failure["code"]) == ({"token": "Hel"}, code)
    row = person.row()
    assert row["source"] == "estimated"
    assert 0 < row["completion_tokens"] < 500
    assert upstream.open_streams == 0
