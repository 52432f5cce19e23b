"""Read a stored answer in any worker, while it grows."""

from __future__ import annotations

from app.storage.shared_state import SharedRecords
from app.storage.shared_state.replays.answer_log import AnswerHead
from app.storage.shared_state.replays.keys import alive_key, head_key, page_key, reader_key, stop_key

READER_S = 3.0
"""How long a reader counts as present after its last read."""

_STOP_TTL_S = 120.0
_PAGES_AT_ONCE = 64


class AnswerReader:
    """Reads an answer from its beginning, or after one of its events if they are numbered.

    Each method raises DatabaseUnavailable.
    """

    def __init__(self, records: SharedRecords, answer_id: str, *, after: int = 0) -> None:
        self._records = records
        self._id = answer_id
        self._page = 0
        self._after = after
        self._has_checked_numbers = False

    def read_head(self) -> AnswerHead | None:
        """Return the state of the answer; None if it has not begun or is no longer stored."""
        data = self._records.read(head_key(self._id))
        return AnswerHead.load(data) if data else None  # empty: it was just deleted

    def read_new(self, head: AnswerHead) -> bytes | None:
        """Return what has been written since the last call; None if a part of it is no longer stored."""
        pieces = []
        while self._page < head.pages:
            wanted = range(self._page, min(head.pages, self._page + _PAGES_AT_ONCE))
            found = self._records.read_many([page_key(self._id, page) for page in wanted])
            for page in wanted:
                data = found.get(page_key(self._id, page))
                if not data:
                    return None
                pieces.append(data)
            self._page = wanted.stop
        return self._skip(b"".join(pieces))

    def is_written(self) -> bool:
        """Return whether the writer is alive."""
        return self._records.read(alive_key(self._id)) is not None

    def note_presence(self) -> None:
        """Signal to the writer that the answer is being read."""
        self._records.write(reader_key(self._id), b"1", ttl_s=READER_S)

    def request_stop(self) -> None:
        """Signal to the writer that it must stop."""
        self._records.write(stop_key(self._id), b"1", ttl_s=_STOP_TTL_S)

    def _skip(self, data: bytes) -> bytes:
        """Remove the events that the reader already has."""
        if not self._after or not data:
            return data
        if not self._has_checked_numbers:
            self._has_checked_numbers = True
            if not data.startswith(
                b"id: "
            ):  # the answer is not numbered, so the reader cannot know a number of it
                self._after = 0
                return data
        first = b"id: %d\n" % (self._after + 1)
        at = 0 if data.startswith(first) else data.find(b"\n\n" + first) + 2
        if at == 1 and not data.startswith(first):  # the next event is not in this data
            return b""
        self._after = 0
        return data[at:]
