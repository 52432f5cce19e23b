"""Create and find stored answers, and limit how much is stored for each user."""

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
from app.storage.shared_state.replays.errors import StreamNotFound, TooManyRunningAnswers
from app.storage.shared_state.replays.keys import head_key, name_key, owner_key, page_key
from app.storage.shared_state.replays.signals import SignalReader, WatchedAnswer

MAX_ANSWERS = 200
"""The maximum number of stored answers of one user. The oldest are deleted first."""

MAX_BYTES = 16 * 1024 * 1024
"""The maximum size of all stored answers of one user."""

MAX_COMPLETE_BYTES = 16 * 1024 * 1024
"""The maximum size of one stored response that is not streamed: some 600 vectors of 1,536 numbers."""

MAX_RUNNING = 20
"""The maximum number of answers of one user that are written at the same time."""

_TRIES = 20
_RUNNING_MAX_S = 900.0
_DELETED_TTL_S = 0.001


@dataclass(frozen=True, slots=True)
class CompleteAnswer:
    """A successful response that is not streamed.

    Attributes:
        body: None if it is too long to be stored.
    """

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes | None


class AnswerStore:
    """The stored answers. Each method raises DatabaseUnavailable."""

    def __init__(self, records: SharedRecords) -> None:
        self._records = records
        self._signals = SignalReader(records)

    def create(self, owner: str, *, ttl_s: float, answer_id: str = "", is_numbered: bool = False) -> AnswerLog:
        """Return the log of a new streamed answer.

        Raises:
            TooManyRunningAnswers: MAX_RUNNING answers of the owner are running.
        """
        log = AnswerLog(self._records, owner, answer_id or make_answer_id(), ttl_s=ttl_s, is_numbered=is_numbered)
        self._register(owner, log.id, ttl_s=max(ttl_s, _RUNNING_MAX_S), size=None)
        return log

    def save(self, owner: str, answer_id: str, answer: CompleteAnswer, *, ttl_s: float) -> None:
        """Store a complete answer."""
        log = AnswerLog(self._records, owner, answer_id, ttl_s=ttl_s, max_bytes=MAX_COMPLETE_BYTES)
        log.open(answer.status, answer.headers)
        if answer.body is None:
            log.drop()
        else:
            log.append(answer.body)
        log.finish("complete")
        self.close(log)

    def close(self, log: AnswerLog) -> None:
        """Register the size of an answer that has ended, and delete older answers of its owner beyond the limits."""
        self._register(log.owner, log.id, ttl_s=log.ttl_s, size=log.stored_bytes)

    def open(self, answer_id: str, *, after: int = 0) -> AnswerReader:
        """Return a reader of an answer, without checking its owner."""
        return AnswerReader(self._records, answer_id, after=after)

    def find(self, owner: str, answer_id: str, *, after: int = 0) -> tuple[AnswerReader, AnswerHead]:
        """Return a reader of an owner's answer, and its state.

        Raises:
            StreamNotFound: there is no such answer, or it has another owner.
        """
        reader = self.open(answer_id, after=after)
        head = reader.read_head()
        if head is None or head.owner != owner:
            raise StreamNotFound
        return reader, head

    def watch(self, log: AnswerLog) -> WatchedAnswer:
        """Return the signals of other workers for an answer that this process writes."""
        return self._signals.watch(log.id)

    def find_by_name(self, owner: str, name: str) -> str | None:
        """Return the id of the latest answer that the owner gave this name; None if there is none."""
        found = self._records.read(name_key(owner, name))
        return found.decode() if found is not None else None

    def _register(self, owner: str, answer_id: str, *, ttl_s: float, size: int | None) -> None:
        """Enter an answer in its owner's list. A size of None means that it is running."""
        key = owner_key(owner)
        for _ in range(_TRIES):
            old = self._records.read(key)
            now = clock.now()
            rows = [row for row in (orjson.loads(old) if old else []) if row[1] > now and row[0] != answer_id]
            if size is None and sum(row[2] is None for row in rows) >= MAX_RUNNING:
                raise TooManyRunningAnswers
            rows.append([answer_id, now + ttl_s, size])
            excess = _take_excess(rows)
            max_ttl_s = max(row[1] for row in rows) - now
            if self._records.replace(key, old, orjson.dumps(rows), ttl_s=max_ttl_s):
                for row in excess:
                    self._delete(row[0])
                return

    def _delete(self, answer_id: str) -> None:
        head = self.open(answer_id).read_head()
        if head is not None:
            pages = [page_key(answer_id, page) for page in range(head.pages)]
            self._records.write_many(dict.fromkeys([head_key(answer_id), *pages], (b"", _DELETED_TTL_S)))


def make_answer_id() -> str:
    """Return a random id for an answer, which cannot be guessed."""
    return secrets.token_hex(16)


def _take_excess(rows: list[list[Any]]) -> list[list[Any]]:
    """Remove the oldest ended answers from a list until it is within the limits. Return those removed."""
    excess = []
    for row in [row for row in rows if row[2] is not None]:
        if len(rows) <= MAX_ANSWERS and sum(each[2] or 0 for each in rows) <= MAX_BYTES:
            break
        rows.remove(row)
        excess.append(row)
    return excess
