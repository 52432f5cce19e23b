"""Let other requests of a worker run during long work. With gevent they share its only thread."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

_TURN_S = 0.005
# Not 0: with that, gevent returns to the work up to fifty times before it looks at any socket or timer.
_PAUSE_S = 1e-6


def give_turn() -> None:
    """Let other requests run between two steps of long work."""
    time.sleep(_PAUSE_S)


def in_turns(items: Iterable[T]) -> Iterator[T]:
    """Yield the items, and let others run whenever the work on them has taken some milliseconds."""
    turn_ends_at = time.perf_counter() + _TURN_S
    for item in items:
        yield item
        if time.perf_counter() > turn_ends_at:
            give_turn()
            turn_ends_at = time.perf_counter() + _TURN_S
