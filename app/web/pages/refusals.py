"""Store the latest refused requests for the board at /admin: when, where and why they were refused, without their content.

They are in shared state, as each worker sees only its own requests. A worker writes at most once a second: the first
refusal at once, and those that follow within a second at its end.
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

MAX_REFUSALS = 20
"""How many refusals are stored."""

_KEY = "refusals"
_TTL_S = 24 * 3600
_WRITE_EVERY_S = 1.0

Refusal = tuple[float, int, str, str]
"""The time, the status, the code and the route."""


class Refusals:
    """The latest refusals of all workers."""

    def __init__(
        self, state: SharedState, *, call_later: Callable[[float, Callable[[], None]], None] | None = None
    ) -> None:
        """Wrap the shared state. `call_later` calls a function after a number of seconds."""
        self._state = state
        self._call_later = call_later or _call_later
        self._pending: deque[Refusal] = deque(maxlen=MAX_REFUSALS)
        self._is_scheduled = False
        self._write_at = float("-inf")

    def note(self, problem: Problem, route: str) -> None:
        """Add a refusal, and write it now or within a second."""
        self._pending.append((clock.now(), problem.status, problem.code, route))
        wait_s = self._write_at - clock.ticks()
        if wait_s <= 0:
            self._write_at = clock.ticks() + _WRITE_EVERY_S
            self._write()
        elif not self._is_scheduled:
            # Else the latest refusals would become visible only with the next one, which may come much later.
            self._is_scheduled = True
            self._call_later(wait_s, self._write_rest)

    def list_newest(self) -> list[Refusal]:
        """Return the latest refusals, the newest first. Those of other workers may appear a second late."""
        self._write()
        written = _read(self._state.read(_KEY))[::-1]
        return sorted(written, key=lambda refusal: refusal[0], reverse=True)

    def _write(self) -> None:
        pending: list[Refusal] = []
        with suppress(IndexError):  # even if another thread takes some of them
            while True:
                pending.append(self._pending.popleft())
        if not pending:
            return

        def add(value: bytes | None) -> bytes:
            return orjson.dumps([*_read(value), *pending][-MAX_REFUSALS:])

        self._state.update(_KEY, add, ttl_s=_TTL_S)

    def _write_rest(self) -> None:
        self._is_scheduled = False
        self._write_at = clock.ticks() + _WRITE_EVERY_S
        with suppress(Exception):  # a worker that ends closes its stores before this
            self._write()


def _call_later(wait_s: float, work: Callable[[], None]) -> None:
    timer = threading.Timer(wait_s, work)
    timer.daemon = True
    timer.start()


def _read(value: bytes | None) -> list[Refusal]:
    """Return the stored refusals; none if they are invalid, as a request must not fail because of them."""
    try:
        return [(at, status, code, route) for at, status, code, route in orjson.loads(value or b"[]")]
    except (TypeError, ValueError):
        return []
