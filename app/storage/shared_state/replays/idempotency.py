"""Find the answer that belongs to an Idempotency-Key, or claim the key for a new one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import orjson

from app.storage.shared_state import SharedRecords
from app.storage.shared_state.replays.answer_log import ALIVE_S
from app.storage.shared_state.replays.answer_reader import AnswerReader
from app.storage.shared_state.replays.answer_store import make_answer_id
from app.storage.shared_state.replays.errors import IdempotencyConflict, IdempotencyInDoubt
from app.storage.shared_state.replays.keys import alive_key

_TRIES = 50
# How long a failure is stored, for requests that wait for this answer. The key is free at once.
_FAILED_TTL_S = 60.0


@dataclass(frozen=True, slots=True)
class _Use:
    """The use of a key. It is stored as JSON, so workers of other versions read these names.

    Attributes:
        request: hash of the request.
        answer_id: the id of the answer.
        state: claimed (nothing was sent upstream), sent (it may be billed), done or failed.
    """

    request: str
    answer_id: str
    state: str


@dataclass(frozen=True, slots=True)
class Replay:
    """The answer to an earlier identical request. Unless `is_done`, it is still being generated."""

    answer_id: str
    is_done: bool


class Claim:
    """The exclusive right to answer the request of a key. All methods raise DatabaseUnavailable."""

    def __init__(self, records: SharedRecords, key: str, use: _Use, *, ttl_s: float) -> None:
        self.answer_id = use.answer_id
        self._records = records
        self._key = key
        self._use = use
        self._ttl_s = ttl_s

    def renew(self, for_s: float = ALIVE_S) -> None:
        """Record that the worker is alive. Without a further call, it counts as dead after `for_s` seconds."""
        self._records.write(alive_key(self.answer_id), b"1", ttl_s=for_s)

    def note_sent(self) -> None:
        """Record that the upstream may bill the request from now on.

        Raises:
            IdempotencyInDoubt: the claim is lost.
        """
        if self._use.state == "claimed" and not self._move("sent", self._ttl_s):
            raise IdempotencyInDoubt  # another worker considered this one dead, and claimed the key

    def complete(self) -> None:
        """Record that the answer is complete and stored."""
        self._move("done", self._ttl_s)

    def fail(self) -> None:
        """Free the key, as the request failed."""
        self._move("failed", _FAILED_TTL_S)

    def _move(self, state: str, ttl_s: float) -> bool:
        old, self._use = self._use, _Use(self._use.request, self._use.answer_id, state)
        return self._records.replace(self._key, orjson.dumps(old), orjson.dumps(self._use), ttl_s=ttl_s)


class IdempotencyKeys:
    """The idempotency keys. Each owner has separate ones: the same text from two owners makes two keys."""

    def __init__(self, records: SharedRecords, *, ttl_s: float) -> None:
        self._records = records
        self._ttl_s = ttl_s

    def claim(self, owner: str, key: str, request: str) -> Claim | Replay:
        """Claim a key for a request, or return the answer of an earlier request with this key.

        Args:
            owner: the account that sends the request.
            key: the value of the header.
            request: a hash of the request.

        Raises:
            IdempotencyConflict: the key was used for another request.
            IdempotencyInDoubt: the worker of the earlier request died after the upstream may have begun to work.
            DatabaseUnavailable: it is unknown whether the key was used.
        """
        name = f"idempotency:{hashlib.sha256(orjson.dumps([owner, key])).hexdigest()}"
        for _ in range(_TRIES):
            old = self._records.read(name)
            if old is not None:
                found = self._find(_Use(**orjson.loads(old)), request)
                if found is not None:
                    return found
            use = _Use(request, make_answer_id(), "claimed")
            claim = Claim(self._records, name, use, ttl_s=self._ttl_s)
            claim.renew()  # before others can see the claim
            if self._records.replace(name, old, orjson.dumps(use), ttl_s=self._ttl_s):
                return claim
        raise IdempotencyInDoubt

    def _find(self, use: _Use, request: str) -> Replay | None:
        """Return the answer for which a key was used; None if the key is free again."""
        if use.state == "failed":
            return None
        if use.request != request:
            raise IdempotencyConflict
        if use.state == "done":
            return Replay(use.answer_id, is_done=True)
        if AnswerReader(self._records, use.answer_id).is_written():
            return Replay(use.answer_id, is_done=False)
        if use.state == "claimed":
            return None
        raise IdempotencyInDoubt
