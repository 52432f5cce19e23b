"""What is passed on while nobody is awake to read it, beside the same bytes read in the usual way."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable

import orjson
import pytest

from app.openai_service.responses.stream import ResponseReader
from app.openai_service.results import Attempt
from app.openai_service.streaming import passing as passing_module
from app.openai_service.streaming.chunks import ChunkReader
from app.openai_service.streaming.events import Done, Events, Token, estimate_tokens
from app.openai_service.streaming.passing import TokenRelay, TokenWriter
from app.upstream_http.call_state import CallState
from tests.fakes.tables import further
from tests.fakes.wire.relays import FakeRelay

_TEXTS = [
    "Where",
    " do",
    " the keys",
    " stay",
    "?",
    "\u00e9t\u00e9",
    " \U0001f600",
    "\u2028",
    "two\nlines",
    'say "it"',
    " \\n",
    '}"',
    "x" * 300,
]
_FINISH = {"index": 0, "delta": {}, "finish_reason": "stop"}
_USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}


def _chunk(delta: dict[str, object], **more: object) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
    return _event({"id": "c1", "object": "chat.completion.chunk", "model": "m", "choices": [choice]} | more)


def _event(data: dict[str, object]) -> bytes:
    return b"data: %b\n\n" % orjson.dumps(data)


def _say(text: str, number: int, kind: str) -> bytes:
    if kind == "padded":
        return _chunk({"content": text}, usage=None, obfuscation="aB3_-+/="[: number % 8])
    if kind == "named":
        return b"event: message\n" + _chunk({"content": text})
    if kind == "CRLF":
        return _chunk({"content": text}).replace(b"\n", b"\r\n")
    if kind == "changing":
        return _chunk({"content": text}, usage={"completion_tokens": number} if number % 3 else None)
    return _chunk({"content": text})


def _chat(kind: str) -> list[bytes]:
    tool = {"index": 0, "id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    said = [_say(text, number, kind) for number, text in enumerate(_TEXTS * 3)]
    said.insert(7, b": a comment\n\n")
    said.insert(11, _chunk({"tool_calls": [tool]}))
    # Half a letter in one chunk, and its other half in the next.
    said[15:15] = [b'data: {"model":"m","choices":[{"delta":{"content":"a\\ud83d"},"finish_reason":null}]}\n\n']
    said[16:16] = [b'data: {"model":"m","choices":[{"delta":{"content":"\\ude00b"},"finish_reason":null}]}\n\n']
    ends = [_event({"id": "c1", "model": "m", "choices": [_FINISH]}), _event({"choices": [], "usage": _USAGE})]
    return [_chunk({"role": "assistant", "content": ""}), *said, *ends, b"data: [DONE]\n\n"]


def _response(kind: str) -> list[bytes]:
    place = {"item_id": "i", "output_index": 0, "content_index": 0}
    item = {"id": "i", "type": "message", "role": "assistant", "content": []}
    events: list[dict[str, object]] = [
        {"type": "response.created", "response": {"id": "r", "model": "m", "status": "in_progress"}},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
    ]
    events += [{"type": "response.output_text.delta", **place, "delta": text} for text in _TEXTS * 3]
    done = {
        "id": "r",
        "model": "m",
        "status": "completed",
        "output": [item],
        "usage": {"input_tokens": 1, "output_tokens": 2},
    }
    events.append({"type": "response.completed", "response": done})
    framed = []
    for number, event in enumerate(events):
        numbered = (
            {"type": event.pop("type"), "sequence_number": number, **event} if kind != "unnumbered" else event
        )
        numbered |= {"obfuscation": "x" * (number % 5)} if kind == "padded" and "delta" in numbered else {}
        framed.append(b"event: %b\n" % str(numbered["type"]).encode() + _event(numbered))
    if kind == "swapped":
        framed[9:12] = [framed[11], framed[9], framed[10], framed[10]]
    return framed


def _read(reader: ChunkReader | ResponseReader, pieces: list[bytes], *, passes: bool) -> tuple[Events, int]:
    """Return all events, and how many pieces were passed on."""
    events: Events = []
    passed = 0
    for piece in pieces:
        if passes and (tokens := reader.read_tokens(piece)):
            events += tokens
            passed += 1
        elif not reader.is_done:
            reader.feed(piece, events)
    return events, passed


CASES: dict[str, tuple[Callable[[], ChunkReader | ResponseReader], list[bytes]]] = {
    **{f"chat, {kind}": (ChunkReader, _chat(kind)) for kind in ("plain", "padded", "named", "CRLF", "changing")},
    **{
        f"responses, {kind}": (lambda: ResponseReader("m"), _response(kind))
        for kind in ("plain", "padded", "swapped", "unnumbered")
    },
}


@pytest.mark.parametrize("times", [5, *further(20)])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("cut", ["at events", "several events", "anywhere"])
def test_passing_on_changes_nothing_of_what_is_read(case: str, cut: str, times: int) -> None:
    make, events = CASES[case]
    dice = random.Random(7)
    for _ in range(times if cut != "at events" else 1):
        pieces = _cut(events, cut, dice)
        usual, _ = _read(make(), pieces, passes=False)
        passed_on, passed = _read(make(), pieces, passes=True)

        assert [_without_id(event) for event in passed_on] == [_without_id(event) for event in usual]
        assert type(usual[-1]) is Done
        if cut == "at events" and case.endswith(("plain", "padded")):
            assert passed > len(_TEXTS) * 3 / 2


def _cut(events: list[bytes], cut: str, dice: random.Random) -> list[bytes]:
    if cut == "at events":
        return events
    if cut == "several events":
        pieces: list[bytes] = []
        left = list(events)
        while left:
            count = dice.randint(1, 4)
            pieces.append(b"".join(left[:count]))
            del left[:count]
        return pieces
    whole = b"".join(events)
    places = sorted({0, len(whole), *(dice.randrange(len(whole)) for _ in range(60))})
    return [whole[start:end] for start, end in itertools.pairwise(places)]


def _without_id(event: object) -> object:
    return event._replace(id="") if isinstance(event, Done) else event


def _write_to(written: list[Events]) -> TokenWriter:
    """Return a way to write that has no frames."""
    return TokenWriter(FakeRelay(), written.append, lambda: None)


def test_nothing_is_passed_on_once_the_answer_has_ended() -> None:
    reader = ChunkReader()
    for piece in _chat("plain"):
        reader.feed(piece, [])

    assert reader.read_tokens(_say("more", 0, "plain")) == []


def test_what_is_passed_on_counts_like_what_is_read() -> None:
    told: list[tuple[float, float]] = []
    attempt = Attempt("m", watch=lambda it: told.append((it.received, it.last_at)))
    reader, written = ChunkReader(), []
    reader.feed(_chat("plain")[0], [])
    call_state = CallState(deadline=1e12, tick_s=1.0)
    passing = TokenRelay(reader, attempt, call_state, idle_timeout_s=30.0)

    pass_on = passing.begin(_write_to(written))
    for number in range(50):
        assert pass_on(_say(f"word{number} of it", number, "plain"))
    before = attempt.received
    passing.count()

    assert 0 < before <= attempt.received == estimate_tokens([event for events in written for event in events])
    assert told[-1] == (attempt.received, attempt.last_at)
    assert not pass_on(b"data: [DONE]\n\n")
    assert written[0] == [Token("word0 of it")]
    assert call_state.wait_until == pytest.approx(attempt.last_at + 30.0)


def test_idle_timeout_never_goes_beyond_the_deadline() -> None:
    reader = ChunkReader()
    reader.feed(_chat("plain")[0], [])
    call_state = CallState(deadline=5.0, tick_s=1.0)

    passing = TokenRelay(reader, Attempt("m"), call_state, idle_timeout_s=1e9)
    passing.begin(_write_to([]))(_say("x", 0, "plain"))

    assert call_state.wait_until == 5.0


def test_silence_is_noticed_a_tick_after_what_was_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(passing_module, "monotonic", lambda: now)
    reader = ChunkReader()
    reader.feed(_chat("plain")[0], [])
    call_state = CallState(deadline=1e12, tick_s=1.0, next_tick_at=99.0)
    passing = TokenRelay(reader, Attempt("m"), call_state, idle_timeout_s=30.0)
    assert call_state.until_tick_s() == 1.0

    now = 100.4
    passing.begin(_write_to([]))(_say("x", 0, "plain"))
    now = 101.0  # the wait that began at 100 is over

    assert call_state.until_tick_s() == pytest.approx(0.4)
    now = 101.4
    assert call_state.until_tick_s() == 1.0
