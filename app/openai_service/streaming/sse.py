"""EventSplitter: splits the bytes of an event stream into the data of its events."""

from __future__ import annotations

import codecs
import re

from app.openai_service.errors import UpstreamFailed

MAX_EVENT_BYTES = 8 * 1024 * 1024
"""The maximum size of one event, except for answers with images."""
_CR = ord("\r")
_JSON = re.compile(rb"(\xef\xbb\xbf)?\s*\{")


class EventSplitter:
    """Buffers bytes until an event is complete, and returns the event's `data`.

    Splits bytes, not text: text splitters treat U+2028 and U+0085 as line ends, and JSON may contain them.
    Ignores comments and fields other than `data`, since this API puts the type of an event in its data. If a JSON
    object starts where an event should, the rest of the body is one JSON text, from a server that does not stream.

    Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self.rest: list[bytes] = []
        """The bytes of an event that is not complete yet."""
        self._rest_bytes = 0
        self.is_json = False
        """Whether the body is one JSON text instead of events; `end()` returns it."""

    def feed(self, data: bytes) -> list[bytes]:
        """Add bytes, and return the data of the events that they complete, without events that have no data.

        Raises:
            UpstreamFailed: an event is longer than allowed.
        """
        if events := self.feed_whole(data):
            return events
        if self.rest and (self.is_json or (b"\n" not in data and b"\r" not in data)):
            self._buffer(data)  # not joined yet: a large event would be copied for each of its pieces
            return []
        buffer = b"".join([*self._take_rest(), data])
        if _JSON.match(buffer):
            self.is_json = True
            self._buffer(buffer)
            return []
        if b"\r" in buffer:
            # JSON escapes control characters, so every CR is part of a line end. A CR at the very end may be
            # the first half of a CRLF.
            held = b"\r" if buffer.endswith(b"\r") else b""
            buffer = buffer[: len(buffer) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        else:
            held = b""
        *events, rest = buffer.split(b"\n\n")
        if rest or held:
            self._buffer(rest + held)
        return [parsed for event in events if (parsed := _parse_data(event))]

    def feed_whole(self, data: bytes) -> list[bytes]:
        """Return the data of events that start and end within these bytes, or [] without consuming any bytes."""
        if self.rest or not data.endswith(b"}\n\n") or _CR in data:
            return []
        if data.startswith(b"data: {") and data.find(b"\n") == len(data) - 2:
            return [data[6:-2]]  # exactly one event, as in most reads
        if data.startswith(b"event: ") and data.count(b"\n") == 3 and (start := data.find(b"\ndata: {") + 7) > 7:
            return [data[start:-2]]  # exactly one named event, as /responses sends it
        if _JSON.match(data):
            return []
        events = [_parse_data(event) for event in data[:-2].split(b"\n\n")]
        return events if all(events) else []

    def end(self) -> list[bytes]:
        """Return the data of a last event that has no blank line after it; many servers omit that line."""
        rest = b"".join(self._take_rest())
        if self.is_json or _JSON.match(rest):
            self.is_json = True
            return [rest.removeprefix(codecs.BOM_UTF8)]
        data = _parse_data(rest.replace(b"\r", b"\n"))
        return [data] if data else []

    def _buffer(self, data: bytes) -> None:
        self.rest.append(data)
        self._rest_bytes += len(data)
        if self._rest_bytes > self._max_event_bytes:
            raise UpstreamFailed

    def _take_rest(self) -> list[bytes]:
        rest, self.rest, self._rest_bytes = self.rest, [], 0
        return rest


def _parse_data(event: bytes) -> bytes:
    if event.startswith(b"data: ") and b"\n" not in event:
        return event[6:]
    if event.startswith(b"event: ") and event.count(b"\n") == 1 and (start := event.find(b"\ndata: ")) > 0:
        return event[start + 7 :]
    lines = event.removeprefix(codecs.BOM_UTF8).split(b"\n")  # a BOM may only precede the first event
    lines = [line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:")]
    return b"\n".join(lines)
