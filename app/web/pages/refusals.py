"""Remember the last requests that were refused, for the board of /admin: when, where and why, nothing of what was in them.

They are in shared state, as each worker sees only its own. A worker writes at once what it has not written for a second,
and what comes within that second at its end: once a second at most, whatever is refused.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import orjson

from app.problems import Problem
from app.runtime import clock
from app.storage.shared_state import SharedState

KEPT = 20
"""How many are remembered."""

_KEY = "refusals"
_TTL_S = 24 * 3600
_WRITE_EVERY_S = 1.0

Refusal = tuple[float, int, str, str]
"""When it was, the status, the code, and the route."""


class Refusals:
    """The last refusals of all workers."""

    def __init__(
        self, state: SharedState, *, call_later: Callable[[float, Callable[[], None]], None] | None = None
    ) -> None:
        """Make it. `call_later` calls a function after so many seconds."""
        self._state = state
        self._call_later = call_later or _call_later
        self._waiting: deque[Refusal] = deque(maxlen=KEPT)
        self._is_late = False
        self._write_at = float("-inf")

    def note(self, problem: Problem, route: str) -> None:
        """Remember a refusal."""
        self._waiting.append((clock.now(), problem.status, problem.code, route))
        wait_s = self._write_at - clock.ticks()
        if wait_s <= 0:
            self._write_at = clock.ticks() + _WRITE_EVERY_S
            self._write()
        elif not self._is_late:
            # Else the last ones of a worker would be seen with its next ones only, which may come tomorrow.
            self._is_late = True
            self._call_later(wait_s, self._write_rest)

    def list_newest(self) -> list[Refusal]:
        """Return the last refusals, the newest first. Those of other workers may be a second late."""
        self._write()
        written = _read(self._state.read(_KEY))[::-1]
        return sorted(written, key=lambda refusal: refusal[0], reverse=True)

    def _write(self) -> None:
        waiting: list[Refusal] = []
        with suppress(IndexError):  # also if another thread takes some of them
            while True:
                waiting.append(self._waiting.popleft())
        if not waiting:
            return

        def add(value: bytes | None) -> bytes:
            return orjson.dumps([*_read(value), *waiting][-KEPT:])

        self._state.update(_KEY, add, ttl_s=_TTL_S)

    def _write_rest(self) -> None:
        self._is_late = False
        self._write_at = clock.ticks() + _WRITE_EVERY_S
        with suppress(Exception):  # the stores of a worker that ends are closed before this
            self._write()


def _call_later(wait_s: float, work: Callable[[], None]) -> None:
    timer = threading.Timer(wait_s, work)
    timer.daemon = True
    timer.start()


def _read(value: bytes | None) -> list[Refusal]:
    """Return what was written; nothing if it cannot be read: an answer must not fail for what is only shown."""
    try:
        return [(at, status, code, route) for at, status, code, route in orjson.loads(value or b"[]")]
    except (TypeError, ValueError):
        return []
