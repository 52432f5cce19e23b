"""Creating answer logs, and bounding how much is kept for each user."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from app.runtime import clock
from app.storage.shared_state import SharedRecords
from app.storage.shared_state.replays.answer_log import AnswerHead, AnswerLog
from app.storage.shared_state.replays.answer_reader import AnswerReader
from app.storage.shared_state.replays.errors import StreamNotFound, TooManyKeptAnswers
from app.storage.shared_state.replays.keys import head_key, name_key, owner_key, page_key
from app.storage.shared_state.replays.signs import Signs, Watched

MAX_ANSWERS = 200
"""How many answers are kept for one user. The oldest are dropped first."""

MAX_BYTES = 16 * 1024 * 1024
"""How many bytes of answers are kept for one user."""

MAX_COMPLETE_BYTES = 16 * 1024 * 1024
"""The longest answer in one piece that is kept: some 600 vectors of 1,536 numbers, or all that is kept for a user."""

MAX_RUNNING = 20
"""How many answers of one user may be written at the same time."""

_TRIES = 20
_RUNNING_MAX_S = 900.0
_DROPPED_S = 0.001


@dataclass(frozen=True, slots=True)
class CompleteAnswer:
    """A response that is not streamed, and no error.

    Attributes:
        body: None if it is too long to be kept.
    """

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes | None


class AnswerStore:
    """The answers that are kept. Each method raises DatabaseUnavailable."""

    def __init__(self, records: SharedRecords) -> None:
        self._records = records
        self._signs = Signs(records)

    def create(self, owner: str, *, keep_s: float, answer_id: str = "", is_numbered: bool = False) -> AnswerLog:
        """Begin an answer of an owner that is sent as it grows.

        Raises:
            TooManyKeptAnswers: MAX_RUNNING of theirs are running.
        """
        log = AnswerLog(
            self._records, owner, answer_id or make_answer_id(), keep_s=keep_s, is_numbered=is_numbered
        )
        self._note(owner, log.id, keep_s=max(keep_s, _RUNNING_MAX_S), size=None)
        return log

    def keep(self, owner: str, answer_id: str, answer: CompleteAnswer, *, keep_s: float) -> None:
        """Keep a complete answer."""
        log = AnswerLog(self._records, owner, answer_id, keep_s=keep_s, max_bytes=MAX_COMPLETE_BYTES)
        log.open(answer.status, answer.headers)
        if answer.body is None:
            log.drop()
        else:
            log.append(answer.body)
        log.finish("complete")
        self.close(log)

    def close(self, log: AnswerLog) -> None:
        """Count an answer that has ended, and drop older ones of its owner if they are too many."""
        self._note(log.owner, log.id, keep_s=log.keep_s, size=log.bytes_kept)

    def open(self, answer_id: str, *, after: int = 0) -> AnswerReader:
        """Return a reader of an answer, whoever owns it."""
        return AnswerReader(self._records, answer_id, after=after)

    def find(self, owner: str, answer_id: str, *, after: int = 0) -> tuple[AnswerReader, AnswerHead]:
        """Return a reader of an owner's answer, and its state.

        Raises:
            StreamNotFound: there is none, or it is another's.
        """
        reader = self.open(answer_id, after=after)
        head = reader.read_head()
        if head is None or head.owner != owner:
            raise StreamNotFound
        return reader, head

    def watch(self, log: AnswerLog) -> Watched:
        """Return what others leave for an answer that this process writes."""
        return self._signs.watch(log.id)

    def look_up(self, owner: str, name: str) -> str | None:
        """Return the id of the answer that was named last so."""
        found = self._records.read(name_key(owner, name))
        return found.decode() if found is not None else None

    def _note(self, owner: str, answer_id: str, *, keep_s: float, size: int | None) -> None:
        """Enter an answer in its owner's list; without a size it is running."""
        key = owner_key(owner)
        for _ in range(_TRIES):
            old = self._records.read(key)
            now = clock.now()
            kept = [row for row in (orjson.loads(old) if old else []) if row[1] > now and row[0] != answer_id]
            if size is None and sum(row[2] is None for row in kept) >= MAX_RUNNING:
                raise TooManyKeptAnswers
            kept.append([answer_id, now + keep_s, size])
            dropped = _take_excess(kept)
            longest_s = max(row[1] for row in kept) - now
            if self._records.replace(key, old, orjson.dumps(kept), ttl_s=longest_s):
                for row in dropped:
                    self._drop(row[0])
                return

    def _drop(self, answer_id: str) -> None:
        head = self.open(answer_id).read_head()
        if head is not None:
            pages = [page_key(answer_id, page) for page in range(head.pages)]
            self._records.write_many(dict.fromkeys([head_key(answer_id), *pages], (b"", _DROPPED_S)))


def make_answer_id() -> str:
    """Return a name for an answer that nobody can guess."""
    return secrets.token_hex(16)


def _take_excess(kept: list[list[Any]]) -> list[list[Any]]:
    """Remove the oldest answers that have ended from a list while it is over a bound, and return them."""
    dropped = []
    for row in [row for row in kept if row[2] is not None]:
        if len(kept) <= MAX_ANSWERS and sum(each[2] or 0 for each in kept) <= MAX_BYTES:
            break
        kept.remove(row)
        dropped.append(row)
    return dropped
