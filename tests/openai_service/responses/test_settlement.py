"""Over /responses too each call is one settled row, however its answer ends."""

from __future__ import annotations

import pytest

from tests.fakes.person import Person
from tests.fakes.upstreams.responses_form import function_call, message, reasoning, response
from tests.fakes.wire.reading import events_of

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


CALLS = [
    function_call(f"call_{city}", "current_time", f'{{"time_zone":"Europe/{city}"}}', id_=f"fc_{city}")
    for city in ("Oslo", "Rome")
]
CALLING = [
    CREATED,
    {"type": "response.output_item.added", "output_index": 0, "item": reasoning("g")},
    {"type": "response.output_item.done", "output_index": 0, "item": reasoning()},
    *[
        {"type": "response.output_item.added", "output_index": place, "item": {**call, "arguments": ""}}
        for place, call in enumerate(CALLS, 1)
    ],
    *[
        {
            "type": "response.function_call_arguments.delta",
            "item_id": call["id"],
            "delta": call["arguments"][start:end],
        }
        for start, end in ((0, 9), (9, None))
        for call in CALLS
    ],
    *[
        {"type": "response.output_item.done", "output_index": place, "item": call}
        for place, call in enumerate(CALLS, 1)
    ],
    {"type": "response.completed", "response": response("completed", reasoning(), *CALLS)},
]
ANSWERING = [
    *BEGUN,
    {"type": "response.output_item.done", "output_index": 0, "item": message("Hel")},
    {"type": "response.completed", "response": response("completed", message("Hel"))},
]


@pytest.fixture
def shopper(make_app):
    return Person(make_app(upstream_api="responses", allowed_tools=("current_time",)))


def test_two_rounds_with_parallel_calls(shopper, upstream):
    upstream.streams_events(*CALLING)
    upstream.streams_events(*ANSWERING)

    *events, done = events_of(shopper.ask("/api/chat/stream", serverTools=["current_time"]).data)

    assert (
        sorted(event["tool"]["status"] for event in events if "tool" in event)
        == ["done", "done"] + ["running"] * 2
    )
    assert (events[-1], done["finishReason"]) == ({"token": "Hel"}, "stop")
    asked, thought, *calls_and_results = upstream.sent[1].raw["input"]
    assert asked == upstream.sent[0].raw["input"][0]
    assert thought == {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
    assert [(item["type"], item["call_id"]) for item in calls_and_results] == [
        (kind, call["call_id"]) for kind in ("function_call", "function_call_output") for call in CALLS
    ]
    assert not any("id" in item for item in calls_and_results)
    assert told(shopper.row()) == ("complete", "reported", 18, 6)


@pytest.mark.parametrize("turn", ["first", "second"])
def test_they_may_be_cut_at_every_event(make_app, upstream, turn):
    app = make_app(upstream_api="responses", allowed_tools=("current_time",))
    events = CALLING if turn == "first" else ANSWERING
    for end in range(1, len(events)):
        shopper = Person(app)
        if turn == "second":
            upstream.streams_events(*CALLING)
        upstream.streams_events(*events[:end])

        answer = shopper.ask("/api/chat/stream", serverTools=["current_time"])

        assert b'"code":"upstream_truncated"' in answer.data
        assert b'"done"' not in answer.data.replace(b'"status":"done"', b"")
        row = shopper.row()
        assert (row["outcome"], row["source"]) == ("upstream_truncated", "estimated")
        assert row["tool_calls"] == (2 if turn == "second" else 0)
    assert upstream.open_streams == 0
