"""Passing: passes on what arrives of an answer while whoever reads it sleeps, as long as it is nothing but tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import NamedTuple, Protocol

from app.openai_service.results import Attempt
from app.openai_service.streaming.events import Events, Token, estimate_texts
from app.upstream_http.call_state import CallState
from app.upstream_http.relaying import Relay

# Counting a few at a time takes a third of what counting each token does. If the process is killed meanwhile, what the
# model may have written since the last count is in the charge.
_COUNT_EVERY_S = 0.1


class TokenReader(Protocol):
    """The part of an AnswerReader that is used here."""

    @property
    def text_frame(self) -> tuple[bytes, bytes]:
        """What comes before and after the text of a chunk that has nothing else; the latter is b"" until that is known.

        Of a chunk that is padded, the latter ends where its padding begins.
        """

    def read_tokens(self, data: bytes) -> Events:
        """Return the tokens of these bytes; none, and nothing is read, if there is anything else in them."""


class TokenFrame(NamedTuple):
    """How a format writes a token of which nothing has to be escaped in JSON.

    Attributes:
        before: what comes before its text.
        after: what comes after it.
        close: adds what ends the event.
    """

    before: bytes
    after: bytes
    close: Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Writing:
    """How tokens are written to the client.

    Attributes:
        relay: that they are written by.
        write: writes any tokens.
        frame_token: returns the frame of the next token; None if to write it takes more than that.
    """

    relay: Relay
    write: Callable[[Events], None]
    frame_token: Callable[[], TokenFrame | None]


class Passing:
    """What of one answer is passed on. Each moment counts as reading on does: for the idle timeout, and for the charge."""

    def __init__(
        self, reader: TokenReader, attempt: Attempt, call_state: CallState, *, idle_timeout_s: float
    ) -> None:
        self._reader = reader
        self._attempt = attempt
        self._call_state = call_state
        self._idle_timeout_s = idle_timeout_s
        self._uncounted: list[str] = []
        self._last_at = 0.0
        self._count_at = 0.0

    def begin(self, writing: Writing) -> Callable[[bytes], bool]:
        """Return what writes the tokens of bytes, or returns False, and does nothing, if there is anything else in them.

        It may be used until somebody else reads the answer, or writes to the client.

        Most chunks differ in their text alone, and so do the events that are made of them: where both frames are known,
        the text is copied from the one into the other. One function does all of that, as each further one costs more
        than what it does, in a worker that sleeps between two chunks.
        """
        read_tokens, state, uncounted = self._reader.read_tokens, self._call_state, self._uncounted
        relay, write, send = writing.relay, writing.write, writing.relay.write
        tick_s, idle_timeout_s = state.tick_s, self._idle_timeout_s
        before = after = opening = closing = b""
        start = after_size = 0
        has_learnt = False
        close: Callable[[bytes], bytes] = bytes

        def find_frames() -> None:
            nonlocal before, after, start, after_size, opening, closing, close
            before, after = self._reader.text_frame
            start, after_size = len(before), len(after)
            if (frame := writing.frame_token()) is None:
                after = b""
            else:
                opening, closing, close = frame

        def pass_on(data: bytes) -> bool:
            nonlocal has_learnt
            raw, text = b"", ""
            if after and data.startswith(before):
                end = data.find(b'"', start)
                if data.startswith(after, end) and (
                    len(data) == end + after_size or _is_padding(data[end + after_size :])
                ):
                    raw = data[start:end]
                    try:
                        text = raw.decode()
                    except UnicodeDecodeError:
                        text = ""
                    if "\\" in text or not text.isprintable():  # JSON has to escape it, or may
                        text = ""
            tokens: Events = []
            if text:
                uncounted.append(text)
            elif tokens := read_tokens(data):
                uncounted.extend([token.text for token in tokens if type(token) is Token])
            else:
                return False
            self._last_at = now = monotonic()
            if now >= self._count_at:
                self.count()
            until = now + idle_timeout_s
            state.wait_until = until if until < state.deadline else state.deadline
            state.next_tick_at = now + tick_s
            if text:
                relay.written_at = now
                send(close(opening + raw + closing))
            else:
                write(tokens)
                if not has_learnt:  # the first token of an answer shows both what the others are like
                    has_learnt = True
                    find_frames()
            return True

        find_frames()
        return pass_on

    def count(self) -> None:
        """Count what was passed on since the last time."""
        if self._uncounted:
            self._attempt.note_received(estimate_texts(self._uncounted), self._last_at)
            self._uncounted.clear()
            self._count_at = self._last_at + _COUNT_EVERY_S


def _is_padding(rest: bytes) -> bool:
    """Return whether a chunk ends with this after the name of the field that pads it."""
    return rest.endswith(b'"}\n\n') and rest.find(b'"') == len(rest) - 4 and rest.find(b"\n") == len(rest) - 2
