"""Keep the tokens of a stream that the server's relay writes, where nothing may wait for the store."""

from __future__ import annotations

from collections.abc import Callable

from app.openai_service import Events
from app.openai_service.streaming.passing import TokenFrame
from app.storage.shared_state.replays import AnswerLog
from app.web.encoders.base import Encoder


class HoldingEncoder:
    """Encodes tokens, and keeps them in the log without writing it."""

    def __init__(self, encoder: Encoder, log: AnswerLog, wake: Callable[[], None]) -> None:
        """Wrap an encoder. `wake` is called when it is time to flush the log."""
        self._encoder = encoder
        self._log = log
        self._wake = wake

    @property
    def token_frame(self) -> TokenFrame | None:
        """How the next token is written: as without keeping it, and kept when the event is complete."""
        frame = self._encoder.token_frame
        if frame is None:
            return None
        close, keep = frame.close, self._keep
        return frame._replace(close=lambda event: keep(close(event)))

    def encode(self, events: Events) -> bytes:
        """Return the bytes of tokens, and keep them."""
        return self._keep(self._encoder.encode(events))

    def _keep(self, data: bytes) -> bytes:
        log = self._log
        if log.is_numbered:
            data = log.number(data)
        if log.hold(data):
            self._wake()
        return data
