"""Remember the last requests that were refused, for the board of /admin: when, where and why, nothing of what was in them.

They are in shared state, as each worker sees only its own. A worker writes once a second at most, whatever is refused.
"""

from __future__ import annotations

from collections import deque

import orjson

from app.problems import Problem
from app.runtime import clock
from app.shared_state import SharedState

KEPT = 20
"""How many are remembered."""

_KEY = "refusals"
_TTL_S = 24 * 3600
_WRITE_EVERY_S = 1.0

Refusal = tuple[float, int, str, str]
"""When it was, the status, the code, and the route."""


class Refusals:
    """The last refusals of all workers."""

    def __init__(self, state: SharedState) -> None:
        self._state = state
        self._waiting: deque[Refusal] = deque(maxlen=KEPT)
        self._write_at = 0.0

    def note(self, problem: Problem, route: str) -> None:
        """Remember a refusal."""
        self._waiting.append((clock.now(), problem.status, problem.code, route))
        if clock.ticks() >= self._write_at:
            self._write_at = clock.ticks() + _WRITE_EVERY_S
            self._write()

    def list_newest(self) -> list[Refusal]:
        """Return the last refusals, the newest first. Those of other workers may be a second late."""
        if self._waiting:
            self._write()
        written = _read(self._state.read(_KEY))[::-1]
        return sorted(written, key=lambda refusal: refusal[0], reverse=True)

    def _write(self) -> None:
        waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]

        def add(value: bytes | None) -> bytes:
            return orjson.dumps([*_read(value), *waiting][-KEPT:])

        self._state.update(_KEY, add, ttl_s=_TTL_S)


def _read(value: bytes | None) -> list[Refusal]:
    """Return what was written; nothing if it cannot be read: an answer must not fail for what is only shown."""
    try:
        return [(at, status, code, route) for at, status, code, route in orjson.loads(value or b"[]")]
    except (TypeError, ValueError):
        return []
