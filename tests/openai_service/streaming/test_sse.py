from __future__ import annotations

import json
import random
import time

import pytest

from app.openai_service.errors import UpstreamFailed
from app.openai_service.streaming.sse import EventSplitter
from tests.fakes.tables import each_row

# Each text as an event stream, and the data that it holds.
STREAMS = [
    (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
    (b"data:a\n\ndata:  b\n\n", [b"a", b" b"]),
    (b": comment\n\ndata: a\n\n:\n\n", [b"a"]),
    (b"event: x\nid: 1\nretry: 5\ndata: a\n\n", [b"a"]),
    (b"data: a\n: between\ndata: b\n\n", [b"a\nb"]),
    (b"data: a\ndata:\ndata: b\n\n", [b"a\n\nb"]),
    (b"data: \n\ndata:\n\ndata\n\ndata: a\n\n", [b"a"]),
    (b"\n\n\ndata: a\n\n\n\n\ndata: b\n\n\n", [b"a", b"b"]),
    (b"dataset: x\n\n data: y\n\ndata: a\n\n", [b"a"]),
    (b"data: a", [b"a"]),
    (b"\xef\xbb\xbfdata: a\n\ndata: b\n\n", [b"a", b"b"]),
    (b"\xef\xbb\xbf: comment\r\n\r\ndata: a\r\n\r\n", [b"a"]),
    (b'\xef\xbb\xbfdata: {"a": 1}\n\n', [b'{"a": 1}']),
    (b"data: a\n", [b"a"]),
    (b"data: a\n\ndata: b\nevent: x", [b"a", b"b"]),
    (b"event: x", []),
    (b"", []),
    ("data: Ж\u2028\u2029\u0085é\x0b\x0c\x1c\x1d\n\n".encode(), ["Ж\u2028\u2029\u0085é\x0b\x0c\x1c\x1d".encode()]),
    (b'data: {"a": "b"}\n\ndata: [DONE]\n\n', [b'{"a": "b"}', b"[DONE]"]),
]


def read(pieces):
    splitter = EventSplitter()
    found = [data for piece in pieces for data in splitter.feed(piece)]
    return found + splitter.end()


def cuts(stream, seed):
    """A stream in pieces of random sizes, empty ones among them."""
    rng = random.Random(seed)
    places = sorted(rng.randint(0, len(stream)) for _ in range(rng.choice([0, 1, 2, 5, 30])))
    return [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]


@each_row("line_end", [b"\n", b"\r\n", b"\r"])
@each_row(("stream", "expected"), STREAMS)
def test_the_data_is_the_same_however_the_bytes_were_cut(stream, expected, line_end):
    stream = stream.replace(b"\n", line_end)
    ways = [[stream], [stream[at : at + 1] for at in range(len(stream))]]
    ways += [[stream[:at], stream[at:]] for at in range(len(stream))]
    ways += [cuts(stream, seed) for seed in range(30)]

    for pieces in ways:
        assert read(pieces) == expected, pieces


def test_line_ends_of_several_kinds_may_be_mixed():
    stream = b"data: a\r\n\ndata: b\n\r\ndata: c\r\rdata: d\r\n\r\ndata: e\n\n"

    for seed in range(200):
        assert read(cuts(stream, seed)) == [b"a", b"b", b"c", b"d", b"e"]


def test_any_stream_is_read_as_one_line_after_the_other():
    rng = random.Random(7)
    parts = [b"data: x", b"data:", b"data: ", b": c", b"event: e", b"data:y", b"", b"id", b"data: data: z", b"x"]
    for seed in range(300):
        lines = [rng.choice(parts) for _ in range(rng.randint(0, 12))]
        ends = [rng.choice([b"\n", b"\r\n", b"\r"]) for _ in lines]
        # A CR before an LF is one line end, whatever was meant.
        ends = [
            b"\r\n" if end == b"\r" and not (lines[at + 1 : at + 2] or [b"x"])[0] else end
            for at, end in enumerate(ends)
        ]
        stream = b"".join(line + end for line, end in zip(lines, ends, strict=True))

        assert read(cuts(stream, seed)) == _reference(lines), stream


def _reference(lines):
    events, data = [], []
    for line in [*lines, b""]:
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        if not line:
            if b"\n".join(data):
                events.append(b"\n".join(data))
            data = []
    return events


def test_what_is_no_event_stream_holds_no_data():
    assert read([b"<html>", b"<p>data: x</p>\n\n", b'"error": 1']) == []


def test_an_object_in_place_of_an_event_is_its_data_up_to_the_end():
    body = b'{"a":\r\n\r\n1}'
    for pieces in ([body], [b": comment\n\n", body], [bytes([byte]) for byte in b"\xef\xbb\xbf\n" + body]):
        assert [json.loads(data) for data in read(pieces)] == [{"a": 1}]


def test_an_object_is_no_event_to_either_way_of_reading():
    body = b'{"id":\ndata: {"a": 1}\n\n'

    assert EventSplitter().feed_whole(body) == []
    assert read([body]) == [body]


def test_an_event_that_does_not_end_is_refused():
    splitter = EventSplitter()

    with pytest.raises(UpstreamFailed):
        for _ in range(20):
            splitter.feed(b"x" * 1_000_000)


def test_many_events_in_one_piece_are_all_found():
    assert read([b"data: x\n\n" * 10_000]) == [b"x"] * 10_000


def test_a_large_event_is_not_copied_for_each_of_its_pieces():
    pieces = [b"data: ", *[b"x" * 1_000] * 7_000, b"\n\n"]
    begun = time.process_time()

    assert len(read(pieces)[0]) == 7_000_000

    assert time.process_time() - begun < 0.5
