"""Read the signals of other workers for the answers that this process writes."""

from __future__ import annotations

import threading
from typing import NamedTuple
from weakref import WeakSet

from app.runtime import clock
from app.storage.shared_state import SharedRecords
from app.storage.shared_state.replays.keys import reader_key, stop_key

_MAX_AGE_S = 0.2


class Signals(NamedTuple):
    """The signals for one answer.

    Attributes:
        is_stopped: whether its owner has stopped it.
        is_followed: whether another worker has read it during the last seconds.
    """

    is_stopped: bool
    is_followed: bool


class SignalReader:
    """Reads the signals for all answers together, several times a second: all of them cost as much as one."""

    def __init__(self, records: SharedRecords) -> None:
        self._records = records
        self._lock = threading.Lock()
        self._watched: WeakSet[WatchedAnswer] = WeakSet()
        self._found: dict[str, bytes] = {}
        self._read_at = float("-inf")

    def watch(self, answer_id: str) -> WatchedAnswer:
        """Return the signals for an answer. They are read with the others as long as the result is referenced."""
        watched = WatchedAnswer(self, answer_id)
        with self._lock:
            self._watched.add(watched)
        return watched

    def read(self, watched: WatchedAnswer, max_age_s: float) -> Signals:
        """Return the signals for an answer, at most `max_age_s` seconds old. Raises DatabaseUnavailable."""
        with self._lock:
            now = clock.ticks()
            if now - self._read_at >= max_age_s:
                keys = [key for each in self._watched for key in (each.stop_key, each.reader_key)]
                self._found = self._records.read_many(keys)
                self._read_at = now
            return Signals(watched.stop_key in self._found, watched.reader_key in self._found)


class WatchedAnswer:
    """The signals for one answer."""

    def __init__(self, signals: SignalReader, answer_id: str) -> None:
        self.stop_key = stop_key(answer_id)
        self.reader_key = reader_key(answer_id)
        self._signals = signals

    def read(self, *, max_age_s: float = _MAX_AGE_S) -> Signals:
        """Return the signals, at most `max_age_s` seconds old. Raises DatabaseUnavailable."""
        return self._signals.read(self, max_age_s)
