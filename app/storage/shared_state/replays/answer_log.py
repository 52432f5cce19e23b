"""What has been sent of an answer, in records that every worker can read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import orjson

from app.runtime import clock
from app.runtime.store_guard import DatabaseUnavailable
from app.storage.shared_state import SharedRecords
from app.storage.shared_state.replays.keys import alive_key, head_key, name_key, page_key

ALIVE_S = 15.0
"""How long after its last sign of life the writer of an answer counts as dead.

A writer whose client reads nothing gives none either. So this is more than what most networks recover from.
"""

MAX_BYTES = 4 * 1024 * 1024
"""The longest stream that is kept. A longer one cannot be given again."""

_FLUSH_BYTES = 16 * 1024
_RENEW_EVERY_S = 1.0
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
        self._events = 0
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._bytes = 0
        self._max_bytes = max_bytes
        self.is_due = False
        """Whether it is time to write what was held."""
        self._flush_at = 0.0
        self._renew_at = 0.0
        self._flush_every_s = _FLUSH_S

    @property
    def is_running(self) -> bool:
        """Whether the answer goes on."""
        return self._head.is_running

    @property
    def bytes_kept(self) -> int:
        """The length of what is kept."""
        return self._bytes if self._head.state != "dropped" else 0

    def open(
        self, status: int, headers: Sequence[tuple[str, str]], *, lost: str = "", name: str | None = None
    ) -> None:
        """Write the head, so that others find the answer, by a further name too, and what has been appended so far."""
        self._head = replace(self._head, status=status, headers=headers, lost=lost)
        self._is_open = True
        named = {} if name is None else {name_key(self.owner, name): (self.id.encode(), self.keep_s)}
        self._write(named, alive=True, head=True)

    def renew(self) -> None:
        """Show once a second that the writer is alive, and write what has waited long enough."""
        if clock.ticks() >= (self._flush_at if self._pending else self._renew_at):
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
        if data.find(b"\n\n") == len(data) - 2:  # one event, nearly always
            self._events += 1
            return b"id: %d\n%b" % (self._events, data)
        number, numbered = self._events, []
        for event in data.split(b"\n\n"):
            if event:
                number += 1
                numbered.append(b"id: %d\n%b\n\n" % (number, event))
        self._events = number
        return b"".join(numbered)

    def append(self, data: bytes) -> None:
        """Keep what is sent next, and write what has waited long enough."""
        if self.hold(data):
            self.flush()

    def hold(self, data: bytes) -> bool:
        """Keep what is sent next without writing anything, and return whether it is time to flush (`is_due`)."""
        if not data or self._head.state == "dropped":
            return False
        size = len(data)
        self._bytes += size
        self._pending.append(data)
        self._pending_bytes += size
        if clock.ticks() >= self._flush_at or self._pending_bytes >= _FLUSH_BYTES or self._bytes > self._max_bytes:
            self.is_due = True
        return self.is_due

    def flush(self) -> None:
        """Write what has waited, or keep nothing more if it is too much."""
        self.is_due = False
        if self._bytes > self._max_bytes:
            self.drop()
            return
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

    def _write(
        self,
        more: Mapping[str, tuple[bytes, float]] = {},
        *,
        alive: bool = False,
        head: bool = False,
    ) -> None:
        """Write what has waited, which shows that the writer is alive, and the head if it has changed, all at once."""
        values = {**more}
        written, has_page = self._head, bool(self._pending) and self._is_open and self._head.state != "dropped"
        if alive or has_page:
            values[alive_key(self.id)] = b"1", ALIVE_S
        if has_page:
            values[page_key(self.id, written.pages)] = b"".join(self._pending), self.keep_s
            written = replace(written, pages=written.pages + 1, events=self._events)
        if (head or has_page) and self._is_open:
            values[head_key(self.id)] = written.dump(), self.keep_s
        if not values:
            return
        self._records.write_many(values)
        self._head = written
        now = clock.ticks()
        if alive or has_page:
            self._renew_at = now + _RENEW_EVERY_S
        if has_page:
            self._pending.clear()
            self._pending_bytes = 0
            self.is_due = False
            self._flush_at = now + self._flush_every_s

    def drop(self) -> None:
        """Keep nothing of the answer but that it was too long to be kept."""
        self._pending.clear()
        self._head = replace(self._head, state="dropped")
        self._write(head=True)
