"""TokenRelay: forwards arriving tokens to the client without waking the greenlet that reads the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import NamedTuple, Protocol

from app.models.token_counts.estimates import weigh_text
from app.models.token_counts.plain_pieces import PIECES, SHAPES
from app.openai_service.results import Attempt
from app.openai_service.streaming.events import Events, Token, estimate_texts
from app.upstream_http.call_state import CallState
from app.upstream_http.relaying import Relay

# Each count is written to the call's note. If the process is killed between two counts, the charge includes what the
# model may have written since the last one.
_COUNT_EVERY_S = 0.1


class TokenReader(Protocol):
    """The part of an AnswerReader that TokenRelay uses."""

    @property
    def text_frame(self) -> tuple[bytes, bytes]:
        """The bytes before and after the text of a text-only chunk; the second is b"" until they are known.

        In a padded chunk, the second part ends where the padding starts.
        """

    def read_tokens(self, data: bytes) -> Events:
        """Return the tokens of these bytes. If they contain anything else, return [] and consume nothing."""


class TokenFrame(NamedTuple):
    """How an encoder writes a token whose text needs no escaping in JSON.

    Attributes:
        before: the bytes before the text.
        after: the bytes after the text.
        close: appends the end of the event, such as padding.
    """

    before: bytes
    after: bytes
    close: Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class TokenWriter:
    """How tokens are written to the client.

    Attributes:
        relay: sends the bytes.
        write: encodes and sends any tokens.
        frame_token: returns the frame of the next token; None if a frame is not enough to write it.
    """

    relay: Relay
    write: Callable[[Events], None]
    frame_token: Callable[[], TokenFrame | None]


class TokenRelay:
    """Forwards the tokens of one answer.

    Each forwarded token counts for the idle timeout and for the charge, as if it had been read in the usual way.
    """

    def __init__(
        self, reader: TokenReader, attempt: Attempt, call_state: CallState, *, idle_timeout_s: float
    ) -> None:
        self._reader = reader
        self._attempt = attempt
        self._call_state = call_state
        self._idle_timeout_s = idle_timeout_s
        # The estimate of the forwarded pieces that were looked up, and the texts of all others.
        self._uncounted = 0.0
        self._unweighed: list[str] = []
        self._last_at = 0.0
        self._count_at = 0.0

    def begin(self, token_writer: TokenWriter) -> Callable[[bytes], bool]:
        """Return a function that forwards the tokens in some bytes and returns True.

        If the bytes contain anything else, it does nothing and returns False. It may be called until other code reads
        the answer or writes to the client.

        Most chunks differ only in their text, and so do the events made of them. If the frames of both are known, the
        text is copied from one frame into the other. All of this is one function: in a worker that sleeps between two
        chunks, a further call costs more than the work in it.
        """
        read_tokens, state, weights = self._reader.read_tokens, self._call_state, PIECES
        relay, write, send = token_writer.relay, token_writer.write, token_writer.relay.write
        tick_s, idle_timeout_s = state.tick_s, self._idle_timeout_s
        before = after = opening = closing = b""
        start = after_size = 0
        has_learnt = False
        close: Callable[[bytes], bytes] = bytes

        def find_frames() -> None:
            nonlocal before, after, start, after_size, opening, closing, close
            before, after = self._reader.text_frame
            start, after_size = len(before), len(after)
            if (frame := token_writer.frame_token()) is None:
                after = b""
            else:
                opening, closing, close = frame

        def pass_on(data: bytes) -> bool:
            nonlocal has_learnt
            raw, weight = b"", 0.0
            if after and data.startswith(before):
                end = data.find(b'"', start)
                if data.startswith(after, end) and (
                    len(data) == end + after_size or _is_padding(data[end + after_size :])
                ):
                    raw = data[start:end]
                    weight = weights[raw.translate(SHAPES)] or _weigh_printable(raw)
            tokens: Events = []
            if weight:
                self._uncounted += weight
            elif tokens := read_tokens(data):
                self._unweighed.extend([token.text for token in tokens if type(token) is Token])
            else:
                return False
            self._last_at = now = monotonic()
            if now >= self._count_at:
                self.count()
            until = now + idle_timeout_s
            state.wait_until = until if until < state.deadline else state.deadline
            state.next_tick_at = now + tick_s
            if weight:
                relay.written_at = now
                send(close(opening + raw + closing))
            else:
                write(tokens)
                if not has_learnt:  # the first token of an answer shows both frames
                    has_learnt = True
                    find_frames()
            return True

        find_frames()
        return pass_on

    def count(self) -> None:
        """Count the tokens forwarded since the last count."""
        if self._uncounted or self._unweighed:
            tokens = self._uncounted + estimate_texts(self._unweighed)
            self._attempt.note_received(tokens, self._last_at)
            self._uncounted = 0.0
            self._unweighed.clear()
            self._count_at = self._last_at + _COUNT_EVERY_S


def _weigh_printable(raw: bytes) -> float:
    """Return the estimated tokens of a piece that needs no escaping in JSON, or 0 if it may need some."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return 0.0
    return max(weigh_text(text), 1.0) if text.isprintable() and text and "\\" not in text else 0.0


def _is_padding(rest: bytes) -> bool:
    """Return whether these bytes, after the name of the padding field, are its value and the end of the chunk."""
    return rest.endswith(b'"}\n\n') and rest.find(b'"') == len(rest) - 4 and rest.find(b"\n") == len(rest) - 2
