"""Represent the client of a recorded stream, which may disconnect and resume the stream later."""

from __future__ import annotations

import time
from contextlib import suppress

from app.openai_service.errors import CallerGone
from app.runtime.lifecycle import Draining, Lifecycle
from app.runtime.store_guard import DatabaseUnavailable
from app.storage.shared_state.replays import AnswerLog
from app.storage.shared_state.replays.signals import WatchedAnswer
from app.web.client_connection import Connection

RECORDED_TICK_S = 0.25
"""The longest time between two ticks of a recorded stream.

A stop by the owner must take effect within a second. A stream whose client has left continues for two seconds and must end
within three: one tick detects that the client is gone, and another one that the time is over.
"""

RECORDED_CHECK_S = 0.2
"""How often a recorded stream is checked: at each tick. It is shorter than a tick, as one after a relayed token comes early."""


class StreamStopped(CallerGone):
    """The owner of a resumable stream has stopped it; sent only in the stream."""

    status = 409
    code = "stopped"
    sentence = "The answer was stopped."


class RecordedClient:
    """Takes the place of the client's connection: a recorded stream continues for a while after the client has left."""

    def __init__(
        self,
        connection: Connection,
        log: AnswerLog,
        signals: WatchedAnswer,
        *,
        linger_s: float,
        can_return: bool,
        lifecycle: Lifecycle,
    ) -> None:
        self._connection = connection
        self._log = log
        self._signals = signals
        self._linger_s = linger_s
        self._can_return = can_return
        """Whether the client can find the stream again: by its name, or by the id in the headers of the response."""
        self._lifecycle = lifecycle
        self._last_read_at: float | None = None
        """When the stream was last read by any client; None while the original client is connected."""

    def check(self) -> None:
        """Raise an error if the stream should end.

        Raises:
            CallerGone: no client has read the stream for a while.
            StreamStopped: the owner has stopped the stream.
            Draining: the server must shut down.
        """
        if self._lifecycle.must_end:
            raise Draining
        now = time.monotonic()
        with suppress(DatabaseUnavailable):
            self._log.renew()
        with suppress(DatabaseUnavailable):
            is_stopped, is_followed = self._signals.read()
            if is_stopped:
                raise StreamStopped
            self._log.follow(is_followed=is_followed or self._last_read_at is not None)
        if self._last_read_at is None:
            try:
                self._connection.check()
            except CallerGone:
                self._note_leaving()
        if self._last_read_at is None or (self._can_return and now - self._last_read_at < self._linger_s):
            return
        with suppress(DatabaseUnavailable):
            if self._signals.read(max_age_s=0.0).is_followed:
                self._last_read_at = now
                return
        raise CallerGone

    def open(self) -> None:
        """Note that the client is about to receive the id of the stream, so that it can return."""
        self._can_return = True

    def leave(self) -> bool:
        """Note that the connection is closed, and return whether the stream continues."""
        if self._last_read_at is None:
            self._note_leaving()
        return self._can_return and self._linger_s > 0 and not self._lifecycle.must_end

    def _note_leaving(self) -> None:
        """Note that the client is gone. The log then writes at once and more often, as a client may resume the stream."""
        self._last_read_at = time.monotonic()
        self._log.follow(is_followed=True)
