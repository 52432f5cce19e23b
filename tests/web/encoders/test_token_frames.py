"""What is written where only the text of a token is put into a frame, beside the bytes that encoding it makes."""

from __future__ import annotations

import orjson
import pytest

from app.openai_service import Events
from app.openai_service.results import Attempt
from app.openai_service.streaming.chunks import ChunkReader
from app.openai_service.streaming.passing import TokenRelay, TokenWriter
from app.upstream_http.call_state import CallState
from app.web.encoders.padding import get_padding
from app.web.encoders.token_sse import TokenSse
from tests.fakes.wire.relays import FakeRelay
from tests.web.encoders.test_copied_encoders import ENCODERS

# Letters of all lengths in UTF-8, and those that JSON, or some line splitter, has a meaning for.
_TEXTS = [
    "Where",
    " do",
    "\u00e9t\u00e9",
    " \U0001f600",
    "\u65e5\u672c",
    "\u2028",
    "\u0085",
    "\u00a0",
    "\x7f",
    "a\tb",
]
_TEXTS += [
    "two\nlines",
    'say "it"',
    " \\n",
    '}"',
    '"}\n\n',
    "</script>",
    " ",
    "x" * 3000,
    "\ufeff",
    "\u200d",
    "done",
]


def _chunk(text: str, padding: str | None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": None}
    more = {} if padding is None else {"usage": None, "obfuscation": padding}
    return b"data: %b\n\n" % orjson.dumps({"id": "c1", "model": "m", "choices": [choice], **more})


class _Client:
    """Has tokens written by frames where the encoder has them."""

    def __init__(self, name: str) -> None:
        self.encoder = ENCODERS[name]()
        self.relay = FakeRelay()
        self.encoded: list[Events] = []
        self.reader = ChunkReader()
        self.reader.feed(_chunk("", None).replace(b'"content"', b'"role":"assistant","content"'), [])
        call_state = CallState(deadline=1e12, tick_s=1.0)
        self.passing = TokenRelay(self.reader, Attempt("m"), call_state, idle_timeout_s=30.0)

    def begin(self):
        return self.passing.begin(TokenWriter(self.relay, self._write, lambda: self.encoder.token_frame))

    def _write(self, tokens: Events) -> None:
        self.encoded.append(tokens)
        self.relay.write(self.encoder.encode(tokens))


def _encode_all(name: str, pieces: list[bytes]) -> bytes:
    encoder, reader, events = ENCODERS[name](), ChunkReader(), []
    reader.feed(_chunk("", None).replace(b'"content"', b'"role":"assistant","content"'), [])
    for piece in pieces:
        reader.feed(piece, events)
    return b"".join([encoder.encode([event]) for event in events])


@pytest.mark.parametrize("padding", [None, "", "aB3_-"], ids=["plain", "no padding yet", "padded"])
@pytest.mark.parametrize("name", ENCODERS)
def test_frames_make_the_bytes_that_encoding_makes(name, padding, clock):
    # Each text behind a plain one, so that the frames are known when it comes.
    pieces = [_chunk(each, padding) for text in _TEXTS for each in ("so", text)]
    client = _Client(name)
    pass_on = client.begin()
    for piece in pieces:
        if not pass_on(piece):
            events: Events = []
            client.reader.feed(piece, events)
            client.relay.write(client.encoder.encode(events))
            pass_on = client.begin()

    assert b"".join(client.relay.sent) == _encode_all(name, pieces)
    plain = len(_TEXTS)
    if name == "responses":  # whose events are numbered
        assert client.encoder.token_frame is None
    else:
        assert len(client.encoded) < plain, "frames are not used"


@pytest.mark.parametrize(
    "odd",
    [
        b'data: {"id":"c1","model":"m","choices":[{"index":0,"delta":{"content":"so"},"logprobs":null,"finish_reason":"stop"}]}\n\n',
        _chunk("so", None).replace(b"}\n\n", b',"usage":{"total_tokens":3}}\n\n'),
        _chunk("so", None)[:-1],
        _chunk("so", None) * 2,
        _chunk("so", None) + b"data: [DONE]\n\n",
        _chunk("so", None).replace(b"so", b"s\to"),
        _chunk("so", None).replace(b"so", b"s\no"),
        _chunk("so", None).replace(b"so", b"s\xffo"),
        _chunk("so", None).replace(b"so", b"s\\u00e9o"),
        _chunk("", None),
    ],
)
def test_what_is_not_just_a_text_is_not_copied(odd):
    client = _Client("tokens")
    pass_on = client.begin()
    assert pass_on(_chunk("first", None))
    assert pass_on(_chunk("second", None))
    assert len(client.encoded) == 1
    sent = len(client.relay.sent)

    if pass_on(odd):
        assert len(client.encoded) == 2
    else:
        assert len(client.relay.sent) == sent


@pytest.mark.parametrize("padding", [b'a"b', b"a\nb", b"a\n\nb", b'"}\n\nb'])
def test_padding_with_anything_else_in_it_is_not_passed_over(padding):
    client = _Client("tokens")
    pass_on = client.begin()
    assert pass_on(_chunk("first", "xyz"))
    before = len(client.encoded)

    assert not pass_on(_chunk("second", "PAD").replace(b"PAD", padding)) or len(client.encoded) == before + 1


def test_token_in_a_frame_is_padded():
    client = _Client("tokens")
    client.encoder = TokenSse("r1", get_padding(32))
    pass_on = client.begin()
    for text in ("first", "second", "third one", "x"):
        assert pass_on(_chunk(text, None))

    assert len(client.encoded) == 1
    assert {len(event) % 32 for event in client.relay.sent} == {0}
    assert [orjson.loads(event[6:])["token"] for event in client.relay.sent] == [
        "first",
        "second",
        "third one",
        "x",
    ]
