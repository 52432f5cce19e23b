"""A letter that a server cut in half over two deltas, as JavaScript does, is one letter again."""

from __future__ import annotations

import json

import pytest

from app.openai_service import Reasoning, Refusal, Token
from app.openai_service.answers.text import read_json
from app.openai_service.responses.stream import ResponseReader
from app.openai_service.streaming.chunks import ChunkReader
from app.openai_service.streaming.events import ToolCallDelta
from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import chunk, completion, sse, stream_of
from tests.fakes.wire.reading import events_of

HI = {"message": "Hi"}
HIGH, LOW, WAVE, LOST = "\ud83d", "\udc4b", "\U0001f44b", "\ufffd"
OWN = '{"id":"c","model":"m","choices":[{"index":0,"delta":{"content":%s},"finish_reason":null}],"usage":null}'
PIECES = {
    "a pair": ([HIGH, LOW], WAVE),
    "within text": (["Hi " + HIGH, LOW + " you"], f"Hi {WAVE} you"),
    "two pairs": ([HIGH, LOW + HIGH, LOW], WAVE * 2),
    "an empty delta between": ([HIGH, "", LOW], WAVE),
    "no second half": ([HIGH, "a"], LOST + "a"),
    "no end": (["a" + HIGH], "a" + LOST),
    "no first half": (["a", LOW + "b"], f"a{LOST}b"),
    "two first halves": ([HIGH, HIGH + LOW], LOST + WAVE),
    "the wrong way round": ([LOW, HIGH, "é"], LOST * 2 + "é"),
    "whole beside half": ([WAVE + HIGH, LOW + "é"], WAVE * 2 + "é"),
}
ALL_PIECES = each_row(("pieces", "text"), PIECES.values(), ids=PIECES)


@ALL_PIECES
@each_row(
    "write",
    [lambda piece: json.dumps(chunk({"content": piece})), lambda piece: OWN % json.dumps(piece)],
    ids=["with spaces", "without"],
)
def test_in_a_streamed_text(client, upstream, pieces, text, write):
    upstream.streams(*map(write, pieces), *stream_of()[1:])

    *tokens, done = events_of(client.post("/api/chat/stream", json=HI).data)

    assert ("".join(event["token"] for event in tokens), done["finishReason"]) == (text, "stop")


@ALL_PIECES
@each_row(
    ("field", "kind"),
    [("content", Token), ("refusal", Refusal), ("reasoning", Reasoning), ("reasoning_content", Reasoning)],
)
def test_in_each_kind_of_text(pieces, text, field, kind):
    reader, events = ChunkReader(), []
    for piece in pieces:
        reader.feed(sse(chunk({field: piece})), events)
        reader.feed(sse(chunk({"content": "x"}) if kind is not Token else chunk()), events)
    reader.feed(sse(chunk(finish_reason="stop"), "[DONE]"), events)

    assert "".join(event.text for event in events if type(event) is kind) == text
    assert kind is Token or all(event.text == "x" for event in events if type(event) is Token)


@ALL_PIECES
def test_in_the_arguments_of_a_tool(client, upstream, pieces, text):
    deltas = [chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}) for piece in pieces]
    head = chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}]})
    upstream.streams(head, *deltas, *stream_of()[1:])
    call = {"id": "a", "function": {"name": "f", "arguments": "".join(pieces)}}
    upstream.answers(completion(None, tool_calls=[call]))

    streamed = events_of(client.post("/api/chat/stream", json=HI).data)[-1]
    plain = client.post("/api/chat", json=HI).json

    for end in (streamed, plain):
        assert [call["function"]["arguments"] for call in end["toolCalls"]] == [text]


@ALL_PIECES
def test_in_an_answer_in_one_piece(client, upstream, pieces, text):
    upstream.answers(completion("".join(pieces)))
    upstream.answers(completion(None, refusal="".join(pieces)))

    assert [client.post("/api/chat", json=HI).json["reply"] for _ in range(2)] == [text, text]


def test_of_a_structured_value(client, upstream):
    upstream.answers(completion(json.dumps({"a": HIGH + "b"})))
    upstream.streams(*stream_of('{"a": "\\ud83d', '\\udc4b\\udc4b"}'))

    assert client.post("/api/structured", json={"prompt": "Hi"}).json["data"] == {"a": LOST + "b"}
    streamed = events_of(client.post("/api/structured/stream", json={"prompt": "Hi"}).data)
    assert streamed[-1]["data"] == {"a": WAVE + LOST}


def test_text_after_a_split_letter_is_read_the_fast_way_again(monkeypatch):
    reader, events, parsed = ChunkReader(), [], []
    read = ChunkReader._read
    monkeypatch.setattr(ChunkReader, "_read", lambda self, *rest: (parsed.append(1), read(self, *rest))[1])
    for piece in ("a", HIGH, LOW, *"bcdef"):
        reader.feed(f"data: {OWN % json.dumps(piece)}\n\n".encode(), events)

    assert "".join(event.text for event in events) == f"a{WAVE}bcdef"
    assert len(parsed) == 3


@pytest.mark.parametrize(
    "text",
    ['"\\ud83d', '["\\ud83d", NaN]', "\udc4b", "[" * 100_000 + '"\\ud83d"', "é", '{"a": "\\ud83d", "b": 1e}', ""],
)
def test_what_is_no_json_stays_none(text):
    with pytest.raises(ValueError):  # that of any parser
        read_json(text)


def test_a_number_beside_half_a_letter_is_read_as_without():
    for number in ("1", "-5", "1.5", str(2**64 - 1), str(-(2**63)), str(2**64), str(-(2**63) - 1), "9" * 5_000):
        if len(number) < 400:
            assert read_json(f'["\\ud83d", {number}]')[1] == read_json(f'["a", {number}]')[1]
        json.dumps(read_json(f'["\\ud83d", {number}]'))


def assert_waves_are_whole(reader, pieces):
    found = []
    for piece in pieces:
        reader.feed(piece, found)
    for kind in (Reasoning, Token, Refusal):
        assert "".join(event.text for event in found if type(event) is kind) == "a👋b"
    assert "".join(event.arguments for event in found if type(event) is ToolCallDelta) == '{"a":"👋"}'
    assert found[-1].tool_calls[0]["function"]["arguments"] == '{"a":"👋"}'


@pytest.mark.parametrize("size", [1, 3, 10_000])
def test_in_every_text_of_a_response_however_its_bytes_are_cut(size):
    message = {"id": "m", "type": "message", "role": "assistant", "content": []}
    call = {"id": "f", "type": "function_call", "call_id": "c", "name": "f", "arguments": ""}
    wave = ("a\ud83d", "\udc4bb")
    events = [
        {"type": "response.created", "response": {"id": "r", "model": "m", "status": "in_progress"}},
        *[
            {"type": "response.reasoning_text.delta", "item_id": "t", "output_index": 0, "delta": half}
            for half in wave
        ],
        {"type": "response.output_item.added", "output_index": 1, "item": message},
        *[
            {"type": "response.output_text.delta", "item_id": "m", "output_index": 1, "delta": half}
            for half in wave
        ],
        *[{"type": "response.refusal.delta", "item_id": "m", "output_index": 1, "delta": half} for half in wave],
        {"type": "response.output_item.added", "output_index": 2, "item": call},
        *[
            {"type": "response.function_call_arguments.delta", "item_id": "f", "output_index": 2, "delta": half}
            for half in ('{"a":"\ud83d', '\udc4b"}')
        ],
        {"type": "response.completed", "response": {"id": "r", "model": "m", "status": "completed", "output": []}},
    ]
    raw = sse(*events)
    assert_waves_are_whole(ResponseReader("m"), [raw[at : at + size] for at in range(0, len(raw), size)])


@pytest.mark.parametrize("size", [1, 3, 10_000])
def test_in_every_text_of_a_chat_however_its_bytes_are_cut(size):
    wave = ("a\ud83d", "\udc4bb")
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a":"\ud83d'}}
    deltas = [
        *[{name: half} for name in ("reasoning_content", "content", "refusal") for half in wave],
        {"tool_calls": [call]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '\udc4b"}'}}]},
    ]
    raw = sse(*map(chunk, deltas), chunk(finish_reason="tool_calls"), "[DONE]")
    assert_waves_are_whole(ChunkReader(), [raw[at : at + size] for at in range(0, len(raw), size)])
