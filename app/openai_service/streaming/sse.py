"""From the bytes of an event stream to the data of its events, however the bytes were cut."""

from __future__ import annotations

from app.openai_service.errors import UpstreamFailed

_MAX_EVENT_BYTES = 8 * 1024 * 1024


class EventSplitter:
    """Collects bytes and gives out the `data` of each event that is whole.

    Splits on bytes, since text splitters take U+2028 and U+0085 for line ends, which JSON may contain.
    Comments and fields other than `data` are passed over, as every event of this API names its kind in its data.
    """

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._rest_bytes = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take more bytes.

        Returns:
            the data of the events that are now whole, without those that have none.
        Raises:
            UpstreamFailed: an event has not ended within 8 MiB.
        """
        is_one_line = not self._rest and data.find(b"\n") == len(data) - 2
        if is_one_line and data.startswith(b"data: {") and data.endswith(b"}\n\n") and b"\r" not in data:
            return [data[6:-2]]  # one whole event and nothing else, as a model at work writes
        if self._rest and b"\n" not in data and b"\r" not in data:
            self._keep(data)  # joined when it can end an event, lest a large one be copied for each of its pieces
            return []
        buffer = b"".join([*self._take_rest(), data])
        if b"\r" in buffer:
            # JSON escapes its control characters, so every CR here is part of a line end. One at the very
            # end may be the first half of a CRLF.
            held = b"\r" if buffer.endswith(b"\r") else b""
            buffer = buffer[: len(buffer) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        else:
            held = b""
        *events, rest = buffer.split(b"\n\n")
        if rest or held:
            self._keep(rest + held)
        return [found for event in events if (found := _parse_data(event))]

    def end(self) -> list[bytes]:
        """The data of a last event whose blank line never came; servers that forget it are common."""
        data = _parse_data(b"".join(self._take_rest()).replace(b"\r", b"\n"))
        return [data] if data else []

    def _keep(self, data: bytes) -> None:
        self._rest.append(data)
        self._rest_bytes += len(data)
        if self._rest_bytes > _MAX_EVENT_BYTES:
            raise UpstreamFailed

    def _take_rest(self) -> list[bytes]:
        rest, self._rest, self._rest_bytes = self._rest, [], 0
        return rest


def _parse_data(event: bytes) -> bytes:
    if event.startswith(b"data: ") and b"\n" not in event:
        return event[6:]
    lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines)
