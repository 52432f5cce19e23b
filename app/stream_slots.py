"""StreamSlots: how many streams run at once, over all workers. One too many is refused, not queued."""

from __future__ import annotations

from app.shared_state import Lease, SharedState


class TooManyStreams(Exception):
    """As many streams run as may."""


class StreamSlots:
    def __init__(self, state: SharedState, *, limit: int) -> None:
        self._state = state
        self._limit = limit

    def take(self) -> Lease:
        """Keep() it while the stream runs, and release() it.

        Raises:
            TooManyStreams: there is none left.
        """
        lease = self._state.take_lease("streams", self._limit)
        if lease is None:
            raise TooManyStreams
        return lease
