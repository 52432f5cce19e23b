"""What has been sent of an answer, in records that every worker can read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import orjson

from app.runtime import clock
from app.runtime.store_guard import DatabaseUnavailable
from app.shared_state import SharedRecords

ALIVE_S = 15.0
"""How long after its last sign of life the writer of an answer counts as dead.

A writer whose client reads nothing gives none either. So this is more than what most networks recover from.
"""

MAX_BYTES = 4 * 1024 * 1024
"""The longest stream that is kept. A longer one cannot be given again."""

_FLUSH_BYTES = 16 * 1024
# How long events may wait for others while somebody follows, and while nobody is known to: nearly always.
_FOLLOWED_FLUSH_S = 0.1
_FLUSH_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerHead:
    """The state of an answer.

    Attributes:
        owner: who may read it.
        state: running, complete, failed, or dropped (too long to be kept).
        status: of the response.
        headers: of the response.
        pages: the number of pages that are written.
        events: the number of events in them, if they are numbered.
        lost: what ends a stream whose writer has died; empty if its format has nothing for that.
    """

    owner: str
    state: str
    status: int
    headers: Sequence[tuple[str, str]]
    pages: int = 0
    events: int = 0
    lost: str = ""

    @property
    def is_running(self) -> bool:
        """Whether more may come."""
        return self.state == "running"

    @property
    def is_cut_off(self) -> bool:
        """Whether it is a stream that failed, and does not show it."""
        return self.state == "failed" and not self.lost

    @classmethod
    def load(cls, data: bytes) -> AnswerHead:
        """Return the head that dump() wrote."""
        return cls(**orjson.loads(data))

    def dump(self) -> bytes:
        """Return the head as JSON."""
        return orjson.dumps(self)


def head_key(answer_id: str) -> str:
    """Return the key of the head of an answer."""
    return f"answer:{answer_id}"


def page_key(answer_id: str, page: int) -> str:
    """Return the key of a page of an answer."""
    return f"answer:{answer_id}:{page}"


def alive_key(answer_id: str) -> str:
    """Return the key that exists while the writer of an answer is alive."""
    return f"answer:{answer_id}:alive"


def reader_key(answer_id: str) -> str:
    """Return the key that exists while another worker reads an answer."""
    return f"answer:{answer_id}:reader"


def stop_key(answer_id: str) -> str:
    """Return the key that exists once the owner has stopped an answer."""
    return f"answer:{answer_id}:stop"


class AnswerLog:
    """Writes an answer while it is sent. Only one worker writes it."""

    def __init__(
        self,
        records: SharedRecords,
        owner: str,
        answer_id: str,
        *,
        keep_s: float,
        is_numbered: bool = False,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        """Write nothing yet.

        Args:
            records: where it is kept.
            owner: who may read it.
            answer_id: its name.
            keep_s: how long it is kept after its last change.
            is_numbered: whether each event gets an `id:` line, so that a reader can say where it was.
            max_bytes: above which it is dropped.
        """
        self.id = answer_id
        self.owner = owner
        self.keep_s = keep_s
        self._records = records
        self._head = AnswerHead(owner=owner, state="running", status=200, headers=())
        self._is_open = False
        self.is_numbered = is_numbered
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._bytes = 0
        self._max_bytes = max_bytes
        self._flush_at = 0.0
        self._flush_every_s = _FLUSH_S

    @property
    def is_running(self) -> bool:
        """Whether the answer goes on."""
        return self._head.is_running

    @property
    def bytes_kept(self) -> int:
        """The length of what is kept."""
        return self._bytes if self._head.state != "dropped" else 0

    def open(self, status: int, headers: Sequence[tuple[str, str]], *, lost: str = "") -> None:
        """Write the head, so that others find the answer, and what has been appended so far."""
        self._head = replace(self._head, status=status, headers=headers, lost=lost)
        self._is_open = True
        self._write(alive=True, head=True)

    def renew(self) -> None:
        """Show that the writer is alive, and write what has waited."""
        self._write(alive=True)

    def follow(self, *, is_followed: bool) -> None:
        """Write what has waited at once, and more often from now on, if somebody follows; else less often."""
        if is_followed and self._flush_every_s == _FLUSH_S:
            self._flush_at = 0.0
        self._flush_every_s = _FOLLOWED_FLUSH_S if is_followed else _FLUSH_S

    def number(self, data: bytes) -> bytes:
        """Return what is to be sent next, with a number before each event if the answer is to have them."""
        if not self.is_numbered or not data:
            return data
        number, numbered = self._head.events, []
        for event in data.split(b"\n\n"):
            if event:
                number += 1
                numbered.append(b"id: %d\n%b\n\n" % (number, event))
        self._head = replace(self._head, events=number)
        return b"".join(numbered)

    def append(self, data: bytes) -> None:
        """Keep what is sent next."""
        if not data or self._head.state == "dropped":
            return
        self._bytes += len(data)
        self._pending.append(data)
        self._pending_bytes += len(data)
        if self._bytes > self._max_bytes:
            self.drop()
        elif self._pending_bytes >= _FLUSH_BYTES or clock.ticks() >= self._flush_at:
            try:
                self._write()
            except DatabaseUnavailable:
                self.abandon()
                raise

    def finish(self, state: str) -> None:
        """Write the rest, and that the answer is complete or failed."""
        if not self._head.is_running:
            return
        self._head = replace(self._head, state=state)
        self._write(head=True)

    def abandon(self) -> None:
        """Keep nothing more: the store is away, and what comes next would have a gap before it."""
        self._is_open = False
        self.drop()

    def read_signs(self) -> tuple[bool, bool]:
        """Return whether its owner has stopped the answer, and whether another worker has read it during the last seconds."""
        stopped, read = stop_key(self.id), reader_key(self.id)
        found = self._records.read_many([stopped, read])
        return stopped in found, read in found

    def _write(self, *, alive: bool = False, head: bool = False) -> None:
        """Write what has waited, and the head if it has changed, all at once."""
        values: dict[str, tuple[bytes, float]] = {}
        if alive:
            values[alive_key(self.id)] = b"1", ALIVE_S
        written, has_page = self._head, bool(self._pending) and self._is_open and self._head.state != "dropped"
        if has_page:
            values[page_key(self.id, written.pages)] = b"".join(self._pending), self.keep_s
            written = replace(written, pages=written.pages + 1)
        if (head or has_page) and self._is_open:
            values[head_key(self.id)] = written.dump(), self.keep_s
        if not values:
            return
        self._records.write_many(values)
        self._head = written
        if has_page:
            self._pending.clear()
            self._pending_bytes = 0
            self._flush_at = clock.ticks() + self._flush_every_s

    def drop(self) -> None:
        """Keep nothing of the answer but that it was too long to be kept."""
        self._pending.clear()
        self._head = replace(self._head, state="dropped")
        self._write(head=True)
