"""Store what has been sent of an answer, in records that every worker can read."""

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

A writer is also blocked while its client reads nothing. So this is longer than most interruptions of a network.
"""

MAX_BYTES = 4 * 1024 * 1024
"""The maximum size of a stored stream. A longer one cannot be resumed or repeated."""

_FLUSH_BYTES = 16 * 1024
_RENEW_EVERY_S = 1.0
# How long events may be buffered: while another worker reads the answer, and (the usual case) while none does.
_FOLLOWED_FLUSH_S = 0.1
_FLUSH_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerHead:
    """The state of an answer.

    Attributes:
        owner: the account that may read it.
        state: running, complete, failed, or dropped (too long to be stored).
        status: the status of the response.
        headers: the headers of the response.
        pages: the number of pages written.
        events: the number of events in them, if they are numbered.
        lost: the event that ends a stream whose writer has died; empty if the format has none.
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
        """Whether the answer may still grow."""
        return self.state == "running"

    @property
    def is_cut_off(self) -> bool:
        """Whether the answer failed, and its format has no event that says so."""
        return self.state == "failed" and not self.lost

    @classmethod
    def load(cls, data: bytes) -> AnswerHead:
        """Return the head from the JSON of dump()."""
        return cls(**orjson.loads(data))

    def dump(self) -> bytes:
        """Return the head as JSON."""
        return orjson.dumps(self)


class AnswerLog:
    """Stores an answer while it is sent. Only one worker writes it."""

    def __init__(
        self,
        records: SharedRecords,
        owner: str,
        answer_id: str,
        *,
        ttl_s: float,
        is_numbered: bool = False,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        """Create it; nothing is written yet.

        Args:
            records: where the answer is stored.
            owner: the account that may read it.
            answer_id: its id.
            ttl_s: how long it is stored after its last change.
            is_numbered: whether each event gets an `id:` line, so that a reader can resume after it.
            max_bytes: a longer answer is dropped.
        """
        self.id = answer_id
        self.owner = owner
        self.ttl_s = ttl_s
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
        """Whether it is time to write what is buffered."""
        self._flush_at = 0.0
        self._renew_at = 0.0
        self._flush_every_s = _FLUSH_S

    @property
    def is_running(self) -> bool:
        """Whether the answer may still grow."""
        return self._head.is_running

    @property
    def stored_bytes(self) -> int:
        """The size of what is stored."""
        return self._bytes if self._head.state != "dropped" else 0

    def open(
        self, status: int, headers: Sequence[tuple[str, str]], *, lost: str = "", name: str | None = None
    ) -> None:
        """Write the head and what has been appended so far: from now on, readers find the answer.

        Args:
            status: the status of the response.
            headers: the headers of the response.
            lost: see AnswerHead.
            name: a further name by which the owner finds the answer, such as that of its conversation.
        """
        self._head = replace(self._head, status=status, headers=headers, lost=lost)
        self._is_open = True
        named = {} if name is None else {name_key(self.owner, name): (self.id.encode(), self.ttl_s)}
        self._write(named, alive=True, head=True)

    def renew(self) -> None:
        """Record once a second that the writer is alive, and write what has been buffered long enough."""
        if clock.ticks() >= (self._flush_at if self._pending else self._renew_at):
            self._write(alive=True)

    def follow(self, *, is_followed: bool) -> None:
        """Set whether another worker reads the answer: then write what is buffered soon, and more often from now on."""
        if is_followed and self._flush_every_s == _FLUSH_S:
            self._flush_at = 0.0
        self._flush_every_s = _FOLLOWED_FLUSH_S if is_followed else _FLUSH_S

    def number(self, data: bytes) -> bytes:
        """Return the next data to send, with a number before each event if the answer is numbered."""
        if not self.is_numbered or not data:
            return data
        if data.find(b"\n\n") == len(data) - 2:  # one event: the usual case
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
        """Buffer the data that is sent next, and write the buffer if it is time."""
        if self.hold(data):
            self.flush()

    def hold(self, data: bytes) -> bool:
        """Buffer the data that is sent next, without writing. Return whether it is time to flush (`is_due`)."""
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
        """Write the buffer, or drop the answer if it is too long."""
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
        """Write the rest, and the final state: complete or failed."""
        if not self._head.is_running:
            return
        self._head = replace(self._head, state=state)
        self._write(head=True)

    def abandon(self) -> None:
        """Store nothing more: the store is unavailable, so there would be a gap in the answer."""
        self._is_open = False
        self.drop()

    def _write(
        self,
        more: Mapping[str, tuple[bytes, float]] = {},
        *,
        alive: bool = False,
        head: bool = False,
    ) -> None:
        """Write the buffer as a page, the sign of life, and the head if it has changed, all atomically."""
        values = {**more}
        written, has_page = self._head, bool(self._pending) and self._is_open and self._head.state != "dropped"
        if alive or has_page:
            values[alive_key(self.id)] = b"1", ALIVE_S
        if has_page:
            values[page_key(self.id, written.pages)] = b"".join(self._pending), self.ttl_s
            written = replace(written, pages=written.pages + 1, events=self._events)
        if (head or has_page) and self._is_open:
            values[head_key(self.id)] = written.dump(), self.ttl_s
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
        """Store no more of the answer, and mark it as dropped: too long to be stored."""
        self._pending.clear()
        self._head = replace(self._head, state="dropped")
        self._write(head=True)
