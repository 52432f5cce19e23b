"""Record the tokens of a stream that the server's relay writes, in the event loop, which must not wait for the store."""

from __future__ import annotations

from collections.abc import Callable

from app.openai_service import Events
from app.openai_service.streaming.passing import TokenFrame
from app.storage.shared_state.replays import AnswerLog
from app.web.encoders.base import Encoder


class HoldingEncoder:
    """Encodes tokens, and buffers them in the answer log without writing to the store."""

    def __init__(self, encoder: Encoder, log: AnswerLog, wake: Callable[[], None]) -> None:
        """Wrap an encoder. `wake` is called when the log must be flushed."""
        self._encoder = encoder
        self._log = log
        self._wake = wake

    @property
    def token_frame(self) -> TokenFrame | None:
        """The encoder's frame of the next token, which also buffers the event once it is complete."""
        frame = self._encoder.token_frame
        if frame is None:
            return None
        close, buffer = frame.close, self._buffer
        return frame._replace(close=lambda event: buffer(close(event)))

    def encode(self, events: Events) -> bytes:
        """Return the bytes of the events, and buffer them."""
        return self._buffer(self._encoder.encode(events))

    def _buffer(self, data: bytes) -> bytes:
        log = self._log
        if log.is_numbered:
            data = log.number(data)
        if log.hold(data):
            self._wake()
        return data
