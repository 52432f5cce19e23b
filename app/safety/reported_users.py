"""End the running calls of users whom the upstream has reported, on all workers."""

from __future__ import annotations

from time import monotonic

import orjson

from app.problems import Problem
from app.runtime import clock
from app.storage.shared_state import SharedState

_KEY = "reported_users"
# Longer than the interval between two checks of a call: a stream can be blocked for 30 s if its client reads
# nothing.
_KEEP_S = 120.0
_READ_EVERY_S = 0.25
_MAX_STORED = 1_000


class UserReported(Problem):
    """The upstream reported the user while this answer was being generated, so it was ended."""

    status = 403
    code = "forbidden"
    sentence = "The answer was ended because its user was reported."
    outcome = "interrupted"


class ReportedUsers:
    """The users reported in the last two minutes. A process reads them at most four times a second."""

    def __init__(self, state: SharedState) -> None:
        self._state = state
        self._reported_at: dict[str, float] = {}
        self._read_at = 0.0

    def add(self, user: str) -> None:
        """End the running calls of a user. Calls that begin later are not affected."""
        now = clock.now()

        def change(value: bytes | None) -> bytes:
            users = {name: at for name, at in _decode(value).items() if now - at < _KEEP_S and name != user}
            latest = list({**users, user: now}.items())[-_MAX_STORED:]
            return orjson.dumps(dict(latest))

        self._state.update(_KEY, change, ttl_s=_KEEP_S)

    def check(self, user: str, age_s: float) -> None:
        """Raise UserReported if a user was reported since their call began, `age_s` seconds ago."""
        now = monotonic()
        if now >= self._read_at:
            self._read_at = now + _READ_EVERY_S
            self._reported_at = _decode(self._state.read(_KEY))
        if user in self._reported_at and clock.now() - age_s <= self._reported_at[user]:
            raise UserReported


def _decode(value: bytes | None) -> dict[str, float]:
    return orjson.loads(value) if value else {}
