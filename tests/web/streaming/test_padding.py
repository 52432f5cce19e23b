"""Events of streams have lengths that tell little of the tokens in them."""

from __future__ import annotations

import json
import re
import timeit
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.openai_service import Token
from app.web.encoders.padding import Padding, get_padding
from app.web.encoders.token_sse import TokenSse
from tests.fakes.generated import generated
from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import error, stream_of
from tests.fakes.wire.reading import events_of

# Words as encodings cut English, with the space before them.
WORDS = re.findall(
    r"\s?\w+|[^\s\w]",
    "The length of each token can be seen by anybody on the way, although the text cannot: a word of eleven letters is"
    " longer than one of two, and from the order of such lengths a program guesses what the answer was about, often right."
    " It is therefore filled up to a few sizes, which costs some bytes, and now and then to a larger one than it has to be.",
)
STREAMS = ["/api/chat/stream", "/api/vision/stream", "/api/structured/stream"]
BODIES = {
    "/api/chat/stream": {"message": "Hi"},
    "/api/vision/stream": {"prompt": "Hi", "imageUrl": "https://example.com/a.png"},
    "/api/structured/stream": {"prompt": "Hi"},
}


def events_in(body: bytes) -> list[bytes]:
    assert body.endswith(b"\n\n")
    return [event + b"\n\n" for event in body.split(b"\n\n")[:-1]]


def encode(words, block):
    encoder = TokenSse("r", get_padding(block))
    return [encoder.encode([Token(word)]) for word in words]


@each_row("path", STREAMS)
@each_row("in_one", [False, True])
def test_every_event_of_every_stream_is_a_multiple_of_the_block(client, upstream, path, in_one):
    pieces = ['{"a": "', "x", "yy", "Grüße 🙂", "\\n", "z" * 40, '"}']
    payloads = stream_of(*pieces)
    whole = [
        b"".join(b"data: " + json.dumps(p).encode() + b"\n\n" for p in payloads if p != "[DONE]")
        + b"data: [DONE]\n\n"
    ]
    upstream.streams_bytes(whole) if in_one else upstream.streams(*payloads)

    answer = client.post(path, json=BODIES[path])

    lengths = [len(event) for event in events_in(answer.data)]
    assert len(lengths) >= 1 + (not in_one)
    assert [length % 16 for length in lengths] == [0] * len(lengths)
    events = events_of(answer.data)
    assert events[-1]["done"] is True
    if path != "/api/structured/stream":
        assert "".join(event["token"] for event in events[:-1]) == "".join(pieces)


@each_row("path", STREAMS)
def test_an_error_event_is_padded_too(client, upstream, path):
    upstream.streams(*stream_of('{"a": "x', "y")[:3], error(code="server_error"))

    body = client.post(path, json=BODIES[path]).data

    assert b'"code"' in body
    assert {len(event) % 16 for event in events_in(body)} == {0}


def test_padding_can_be_turned_off(make_app, upstream):
    upstream.streams(*stream_of("Hel", "lo"))

    body = make_app(stream_padding=0).test_client().post("/api/chat/stream", json={"message": "Hi"}).data

    assert events_in(body)[:2] == [b'data: {"token":"Hel"}\n\n', b'data: {"token":"lo"}\n\n']


@generated(cases=60, quickly=10)
@given(st.text(max_size=60), st.integers(0, 128))
def test_any_text_is_read_as_it_was_and_has_a_padded_length(text, block):
    (event,) = encode([text], block)

    assert len(event) % (block or 1) == 0
    assert event.startswith(b"data: ")
    assert event.endswith(b"}\n\n")
    assert event.count(b"\n") == 2
    read = json.loads(event[6:])
    assert read.pop("p", "") is not None
    assert read == {"token": text}


def test_words_of_one_length_have_several_and_words_of_many_lengths_few():
    same = Counter(len(event) for event in encode([" the"] * 2_000, 16))
    many = Counter(len(event) for word in WORDS for event in encode([word], 16))

    assert set(same) == {32, 48}
    assert 30 <= same[48] <= 400
    assert len({len(word) for word in WORDS}) > 8
    assert set(many) <= {32, 48}


def test_it_costs_at_most_two_fifths_of_the_bytes():
    padded, plain = (sum(map(len, encode(WORDS * 50, block))) for block in (16, 0))

    assert padded <= 1.4 * plain


def test_the_padding_is_random_where_it_has_room():
    pads = [json.loads(event[6:]).get("p") for event in encode(["a"] * 500, 16)]

    assert None not in pads
    assert len(set(pads)) >= 32
    assert max(Counter(pads).values()) < 60


def test_a_field_that_is_longer_than_a_block_is_always_there():
    padding = Padding(16, "obfuscation")
    for length in range(64):
        event = padding.close(b'data: {"delta":"' + b"x" * length + b'"')
        assert len(event) % 16 == 0
        assert set(json.loads(event[6:])) == {"delta", "obfuscation"}


def test_padding_an_event_takes_less_than_encoding_it():
    """A chunk takes some twenty times as long as its encoding, so this is well below 5 % of it."""
    plain, padded = TokenSse("r", get_padding(0)), TokenSse("r", get_padding(16))
    events = [Token(" word")]

    def ratio():
        rounds = [
            (
                timeit.timeit(lambda: padded.encode(events), number=5_000),
                timeit.timeit(lambda: plain.encode(events), number=5_000),
            )
            for _ in range(5)
        ]
        return min(one for one, _ in rounds) / min(one for _, one in rounds)

    assert min(ratio() for _ in range(3)) < 1.5


FRAMEWORKS = {
    "/v1/chat/completions": {
        "model": "gpt-6.1-terra",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
    },
    "/api/chat": {"id": "c", "messages": [{"id": "m", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}]},
    "/api/agui": {"threadId": "t", "runId": "r", "messages": [{"id": "m", "role": "user", "content": "Hi"}]},
}


@pytest.mark.parametrize("path", FRAMEWORKS)
def test_the_formats_of_others_are_padded_too(client, upstream, path):
    upstream.streams(*stream_of("Hel", "lo, Grüße 🙂", " x" * 20))

    answer = client.post(path, json=FRAMEWORKS[path])

    events = [
        event
        for event in events_in(answer.data)
        if (event != b"data: [DONE]\n\n" and b"Hel" in event) or b"x x" in event
    ]
    assert len(events) == 2, answer.data
    assert [len(event) % 16 for event in events] == [0, 0]
    assert {b"obfuscation" in event for event in events} == {path == "/v1/chat/completions"}


def test_a_client_of_openais_format_may_leave_it_out(client, upstream):
    upstream.streams(*stream_of("Hel"))
    options = {"stream_options": {"include_obfuscation": False}}

    assert (
        b"obfuscation"
        not in client.post("/v1/chat/completions", json=FRAMEWORKS["/v1/chat/completions"] | options).data
    )
