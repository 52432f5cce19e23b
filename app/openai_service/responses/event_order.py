"""EventOrder: sorts the events of a stream by their sequence numbers, and drops duplicates."""

from __future__ import annotations

from collections.abc import Sequence

_NUMBER = b'"sequence_number":'
_CREATED = b'{"type":"response.created"'
# How many events may be buffered while one is missing. Beyond that it counts as lost, and numbers are ignored.
_MAX_BUFFERED = 16
_MAX_BUFFERED_BYTES = 1024 * 1024


class EventOrder:
    """Compares the `sequence_number` of each event with the expected one. Unnumbered events are not sorted."""

    def __init__(self) -> None:
        self._next = 0
        self._last = b""
        self._buffered: dict[int, bytes] = {}
        self._buffered_bytes = 0
        self._is_trusted = True

    def arrange(self, event: bytes) -> Sequence[bytes]:
        """Return the events that can be read once this one has arrived: usually this one, sometimes none or several."""
        number = _read_number(event)
        if number == self._next or (not self._last and event.startswith(_CREATED)):
            self._next = self._next + 1 if number is None else number + 1
            self._last = event
            return [event, *self._pop_following()] if self._buffered else (event,)
        if number is None or not self._is_trusted:
            return (event,)
        if number < self._next:
            if number == self._next - 1 and event != self._last:  # the server gives all events the same number
                self._is_trusted = False
                return (event,)
            return ()
        if number not in self._buffered:
            self._buffered[number] = event
            self._buffered_bytes += len(event)
        if len(self._buffered) > _MAX_BUFFERED or self._buffered_bytes > _MAX_BUFFERED_BYTES:
            self._is_trusted = False
            return self.end()
        return ()

    def accept(self, events: Sequence[bytes]) -> bool:
        """Accept these events if they are the next ones and no event is buffered. Return whether they are accepted."""
        number = self._next
        if self._buffered or not events:
            return False
        for event in events:
            if _read_number(event) != number:
                return False
            number += 1
        self._next, self._last = number, events[-1]
        return True

    def end(self) -> list[bytes]:
        """Return the events that are still buffered because one is missing."""
        events = [self._buffered[number] for number in sorted(self._buffered)]
        self._buffered.clear()
        self._buffered_bytes = 0
        return events

    def _pop_following(self) -> list[bytes]:
        events = []
        while self._next in self._buffered:
            self._last = self._buffered.pop(self._next)
            self._buffered_bytes -= len(self._last)
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
        return int(event[start:end])  # without a comma, end is -1 and cuts off the closing brace
    except ValueError:
        return None
