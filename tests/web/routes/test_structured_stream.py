from __future__ import annotations

import json
import math
import time

import pytest

from app.models.token_counts.estimates import weigh_text
from tests.fakes.tables import each_row, in_part
from tests.fakes.upstreams.openai_answers import MODEL, USAGE, chunk, error, stream_of
from tests.fakes.wire.reading import events_of

# What is asked for over /responses is tested in test_structured.py, and how its streams are read in test_chat_stream.py.
pytestmark = [
    pytest.mark.one_attempt,
    pytest.mark.parametrize(
        "upstream_api", in_part({"auto": "auto", "responses": "responses"}, by_default={"auto"})
    ),
]

CITY = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "size": {"type": "number"},
        "sights": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["city", "size", "sights"],
    "additionalProperties": False,
}
OSLO = {"city": "Oslo\nby", "size": 717.5, "sights": ["Opera", "Fram"]}
PIECES = ['{"ci', 'ty": "O', "slo\\", 'nby", "size": 7', "17.5", ', "sights": ["Op', 'era", "Fram"]', "}"]
TWICE = {name: 2 * count for name, count in USAGE.items()}
DONE = {"done": True, "data": OSLO, "finishReason": "stop", "usage": USAGE, "model": MODEL, "id": "chatcmpl-1"}


@pytest.fixture
def at_once(monkeypatch):
    """Values are told as often as they change."""
    monkeypatch.setattr("app.openai_service.structured.partial_json.MIN_S", 0)
    monkeypatch.setattr("app.openai_service.structured.partial_json.CHARS_PER_S", float("inf"))


@pytest.fixture
def ask(client):
    def post(schema=CITY, **fields):
        return client.post("/api/structured/stream", json={"prompt": "Where?", "schema": schema, **fields})

    return post


def outcome(answer):
    return answer.status_code, answer.json["code"]


@pytest.mark.usefixtures("at_once")
def test_the_value_is_told_as_it_grows_and_whole_at_the_end(ask, upstream):
    upstream.streams(*stream_of(*PIECES))

    answer = ask()

    *partials, done = events_of(answer.data)
    assert partials == [
        {"partial": {"city": "O"}},
        {"partial": {"city": "Oslo"}},
        {"partial": {"city": "Oslo\nby"}},
        {"partial": {"city": "Oslo\nby", "size": 717.5, "sights": ["Op"]}},
        {"partial": {"city": "Oslo\nby", "size": 717.5, "sights": ["Opera", "Fram"]}},
    ]
    assert done == DONE
    assert answer.content_type == "text/event-stream; charset=utf-8"
    assert (answer.headers["X-Model"], answer.headers["Cache-Control"]) == (MODEL, "no-cache")
    body = upstream.sent[0].body
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})
    assert body["response_format"]["json_schema"] == {"name": "answer", "schema": CITY, "strict": True}


@each_row(
    ("least_s", "chars_per_s", "told"),
    [(3, float("inf"), ["", "abc", "abcdef", "abcdefgh"]), (0, 5, ["", "ab", "abcde", "abcdefgh"])],
)
def test_values_are_told_only_so_often(ask, upstream, monkeypatch, least_s, chars_per_s, told):
    ticks = iter(range(1_000))
    monkeypatch.setattr("app.openai_service.structured.partial_json.MIN_S", least_s)
    monkeypatch.setattr("app.openai_service.structured.partial_json.CHARS_PER_S", chars_per_s)
    clock = type("Clock", (), {"monotonic": staticmethod(lambda: next(ticks))})
    monkeypatch.setattr("app.openai_service.structured.partial_json.time", clock)
    upstream.streams(*stream_of('{"city": "', *"abcdefgh", '", "size": 1, "sights": []}'))

    *partials, done = events_of(ask().data)

    assert [event["partial"]["city"] for event in partials] == told
    assert done["data"] == {"city": "abcdefgh", "size": 1, "sights": []}


def test_a_long_answer_in_small_pieces_takes_time_in_proportion_to_its_length(ask, upstream):
    value = {**OSLO, "sights": ["The opera house"] * 2_000}
    text = json.dumps(value)
    upstream.streams(*stream_of(*(text[at : at + 4] for at in range(0, len(text), 4))))

    started = time.process_time()
    answer = ask()

    assert time.process_time() - started < 3
    assert events_of(answer.data)[-1]["data"] == value
    assert len(answer.data) < 100 * len(text)  # each of the pieces with all before it: 4,700 times


@pytest.mark.usefixtures("at_once")
def test_an_answer_without_a_schema_is_any_object(client, upstream):
    upstream.streams(*stream_of('{"a": [1', ", 2]", "}"))

    *partials, done = events_of(client.post("/api/structured/stream", json={"prompt": "x"}).data)

    assert partials == [{"partial": {"a": []}}, {"partial": {"a": [1, 2]}}]
    assert done["data"] == {"a": [1, 2]}


@pytest.mark.usefixtures("at_once")
def test_an_answer_that_does_not_fit_is_mended_in_the_same_stream(ask, upstream, records, make_app):
    client = make_app().test_client()
    upstream.streams(*stream_of('{"city": "Rome"', "}"))
    upstream.streams(*stream_of(*PIECES))

    answer = client.post("/api/structured/stream", json={"prompt": "x", "schema": CITY})

    *partials, done = events_of(answer.data)
    assert partials[:2] == [{"partial": {"city": "Rome"}}, {"partial": {"city": "O"}}]
    assert done == DONE | {"usage": TWICE}
    *asked, shown, demand = upstream.sent[1].body["messages"]
    assert asked == upstream.sent[0].body["messages"]
    assert shown == {"role": "assistant", "content": '{"city": "Rome"}'}
    assert '"size" is a required property' in demand["content"]
    [record] = records
    assert (record.attempts, record.usage.raw, record.outcome, record.operation) == (
        2,
        TWICE,
        "complete",
        "structured",
    )
    assert upstream.open_streams == 0


def test_an_answer_that_never_fits_is_refused_after_one_repair(make_app, upstream, records):
    for _ in range(2):
        upstream.streams(*stream_of("no JSON"))

    answer = make_app().test_client().post("/api/structured/stream", json={"prompt": "x", "schema": CITY})

    assert (*outcome(answer), len(upstream.sent)) == (422, "refused", 2)
    [record] = records
    assert (record.usage.raw, record.outcome) == (TWICE, "rejected")
    assert upstream.open_streams == 0


REFUSING = [chunk({"role": "assistant"}), chunk({"refusal": "I cannot CANARY"}), *stream_of()[1:]]


@each_row(
    ("payloads", "code"),
    [
        (REFUSING, "refused"),
        (stream_of("{", finish_reason="length"), "truncated"),
        (stream_of(finish_reason="content_filter"), "content_filter"),
    ],
)
@each_row("repaired", [False, True])
def test_a_model_that_would_not_or_could_not_is_not_asked_again(ask, upstream, payloads, code, repaired):
    if repaired:
        upstream.streams(*stream_of("no JSON"))
    upstream.streams(*payloads)

    answer = ask()

    assert (*outcome(answer), len(upstream.sent)) == (422, code, 1 + repaired)
    assert "CANARY" not in answer.text


@each_row(("finish_reason", "code"), [("length", "truncated"), ("content_filter", "content_filter"), (None, None)])
def test_what_ends_an_answer_halfway_is_told_in_an_event(ask, upstream, finish_reason, code):
    upstream.streams(*stream_of('{"city": "Os', finish_reason=finish_reason, done=finish_reason is not None))

    answer = ask()

    partial, failed = events_of(answer.data)
    assert partial == {"partial": {"city": "Os"}}
    assert failed["code"] == (code or "upstream_truncated")
    assert failed["requestId"] == answer.headers["X-Request-ID"]
    assert list(failed) == ["error", "code", "requestId"]


def test_a_refusal_of_the_upstream_is_told_with_its_own_status(ask, upstream):
    upstream.answers(error("bad CANARY", param="response_format"), status=400)

    answer = ask()

    assert outcome(answer) == (400, "unsupported_schema")
    assert "CANARY" not in answer.text


def test_a_schema_that_cannot_be_used_is_refused_before_anything_is_sent(ask, upstream):
    assert outcome(ask({"type": "array"})) == (400, "unsupported_schema")
    assert outcome(ask({"type": "object", "x": {"$ref": "#/no"}}, strict=False)) == (400, "unsupported_schema")
    assert upstream.sent == []


@pytest.mark.usefixtures("at_once")
def test_a_reader_who_leaves_closes_the_upstream(make_app, upstream, records):
    upstream.streams(*stream_of(*PIECES))
    answer = make_app().test_client().post("/api/structured/stream", json={"prompt": "x", "schema": CITY})

    next(answer.iter_encoded())
    answer.close()

    assert upstream.open_streams == 0
    [record] = records
    assert record.outcome == "client_gone"
    # All had arrived, and is billed, whatever was told of it.
    assert record.received == math.ceil(sum(max(1, weigh_text(piece)) for piece in PIECES))


@pytest.mark.usefixtures("at_once")
@each_row(
    "odd",
    [
        ['{"a": "\\ud83d', '\\ude00"}'],
        ['{"a": 123456789012345678901234', "5}"],
        ['{"a": 1e999', ', "b": 1}'],
        ['{"a": 1' + "0" * 5_000, ', "b": 1}'],
        ['{"a": NaN', ', "b": 1}'],
        ['{"a": "\\ud800', '"}'],
        ['{"a":' * 300, "1" + "}" * 300],
        ["[" * 5_000, "]" * 5_000],
        ['{"a": 1, "a"', ": 2}"],
        ["```json\n{", "}\n```"],
    ],
)
def test_odd_answers_are_told_or_refused_like_any_other(ask, upstream, odd):
    for _ in range(2):
        upstream.streams(*stream_of(*odd))

    answer = ask({}, strict=False)

    assert answer.status_code in (200, 422)
    if answer.status_code == 200:
        last = events_of(answer.data)[-1]
        assert last.get("done") or last["code"] == "refused"


def test_optional_properties_are_left_out_at_the_end(ask, upstream):
    upstream.streams(*stream_of('{"a": null, "b": 1}'))
    schema = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}

    done = events_of(ask(schema, normalize=True).data)[-1]

    assert done["data"] == {"b": 1}
    assert done["normalized"][-1].startswith("schema.properties.b: was made required")
