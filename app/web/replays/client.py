"""The client of a stream that is kept, which may leave and come back."""

from __future__ import annotations

import time
from contextlib import suppress

from app.openai_service.errors import CallerGone
from app.runtime.lifecycle import Draining, Lifecycle
from app.runtime.store_guard import DatabaseUnavailable
from app.storage.shared_state.replays import AnswerLog
from app.storage.shared_state.replays.signs import Watched
from app.web.client_connection import Connection

RECORDED_TICK_S = 0.25
"""The longest time between two ticks of a stream that is kept.

Its owner may stop it, which takes less than a second. One that its client leaves goes on for two seconds, and ends
within three: it takes a tick to see that the client is gone, and another one to see that the time is over.
"""

RECORDED_CHECK_S = 0.2
"""How often such a stream is checked: at each tick, of which one after a token that was passed on comes early."""


class StreamStopped(CallerGone):
    """The owner of a resumable stream has stopped it; only the stream shows it."""

    status = 409
    code = "stopped"
    sentence = "The answer was stopped."


class RecordedClient:
    """Stands for the client of a stream that is kept: the stream goes on for a while without it."""

    def __init__(
        self,
        connection: Connection,
        log: AnswerLog,
        signs: Watched,
        *,
        linger_s: float,
        has_name: bool,
        lifecycle: Lifecycle,
    ) -> None:
        self._connection = connection
        self._log = log
        self._signs = signs
        self._linger_s = linger_s
        self._can_return = has_name
        """Whether the client can find the stream again: by a name of its own, or by the id that the response tells."""
        self._lifecycle = lifecycle
        self._seen_at: float | None = None
        """When somebody read last, once the client has left."""

    def check(self) -> None:
        """Raise an error if the stream should end.

        Raises:
            CallerGone: nobody has read for a while.
            StreamStopped: its owner has stopped it.
            Draining: the server stops.
        """
        if self._lifecycle.must_end:
            raise Draining
        now = time.monotonic()
        with suppress(DatabaseUnavailable):
            self._log.renew()
        with suppress(DatabaseUnavailable):
            is_stopped, is_followed = self._signs.read()
            if is_stopped:
                raise StreamStopped
            self._log.follow(is_followed=is_followed or self._seen_at is not None)
        if self._seen_at is None:
            try:
                self._connection.check()
            except CallerGone:
                self._note_leaving()
        if self._seen_at is None or (self._can_return and now - self._seen_at < self._linger_s):
            return
        with suppress(DatabaseUnavailable):
            if self._signs.read(max_age_s=0.0).is_followed:
                self._seen_at = now
                return
        raise CallerGone

    def open(self) -> None:
        """Note that the client is about to learn the stream's id."""
        self._can_return = True

    def leave(self) -> bool:
        """Note that the connection is closed, and return whether the stream goes on."""
        if self._seen_at is None:
            self._note_leaving()
        return self._can_return and self._linger_s > 0 and not self._lifecycle.must_end

    def _note_leaving(self) -> None:
        """Note that the client is gone: whoever comes back for the answer wants it soon."""
        self._seen_at = time.monotonic()
        self._log.follow(is_followed=True)
