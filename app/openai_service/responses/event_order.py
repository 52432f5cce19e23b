"""EventOrder: puts the events of a stream into the order of their numbers, and leaves out those that come twice."""

from __future__ import annotations

from collections.abc import Sequence

_NUMBER = b'"sequence_number":'
_CREATED = b'{"type":"response.created"'
# What may wait for a missing event. Then it is taken for left out on the way, and numbers are not trusted any more.
_MAX_WAITING = 16
_MAX_WAITING_BYTES = 1024 * 1024


class EventOrder:
    """Counts along with the `sequence_number` of the events. Servers that do not number them are taken as they come."""

    def __init__(self) -> None:
        self._next = 0
        self._last = b""
        self._waiting: dict[int, bytes] = {}
        self._waiting_bytes = 0
        self._is_trusted = True

    def arrange(self, event: bytes) -> Sequence[bytes]:
        """Return what can be read now that an event has come: that one as a rule, none, or several."""
        number = _read_number(event)
        if number == self._next or (not self._last and event.startswith(_CREATED)):
            self._next = self._next + 1 if number is None else number + 1
            self._last = event
            return [event, *self._take_following()] if self._waiting else (event,)
        if number is None or not self._is_trusted:
            return (event,)
        if number < self._next:
            if number == self._next - 1 and event != self._last:  # the server gives all events one number
                self._is_trusted = False
                return (event,)
            return ()
        if number not in self._waiting:
            self._waiting[number] = event
            self._waiting_bytes += len(event)
        if len(self._waiting) > _MAX_WAITING or self._waiting_bytes > _MAX_WAITING_BYTES:
            self._is_trusted = False
            return self.end()
        return ()

    def take(self, events: Sequence[bytes]) -> bool:
        """Count these events, if each is the next one and none is waited for. Return whether they are."""
        number = self._next
        if self._waiting or not events:
            return False
        for event in events:
            if _read_number(event) != number:
                return False
            number += 1
        self._next, self._last = number, events[-1]
        return True

    def end(self) -> list[bytes]:
        """Return the events that still wait for one that is missing."""
        events = [self._waiting[number] for number in sorted(self._waiting)]
        self._waiting.clear()
        return events

    def _take_following(self) -> list[bytes]:
        events = []
        while self._next in self._waiting:
            self._last = self._waiting.pop(self._next)
            events.append(self._last)
            self._next += 1
        return events


def _read_number(event: bytes) -> int | None:
    start = event.find(_NUMBER)
    if start < 0:
        return None
    start += len(_NUMBER)
    end = event.find(b",", start)
    try:
        return int(event[start:end])  # without a comma the last byte is left out, which is the closing brace
    except ValueError:
        return None
