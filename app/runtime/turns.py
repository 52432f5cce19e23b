"""Let other requests of a worker run during long work. Under gevent, they share its only thread."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from app.runtime.blocking import is_cooperative

T = TypeVar("T")

_TURN_S = 0.005
# Not 0: then gevent would return to the work up to fifty times before it checks any socket or timer.
_PAUSE_S = 1e-6
_WINDOW_BYTES = 1024 * 1024


def give_turn() -> None:
    """Let other requests run between two steps of long work. Do nothing in gevent's loop, which cannot wait."""
    if not (is_cooperative() and is_loop()):
        time.sleep(_PAUSE_S)


class Turns:
    """Lets other requests run whenever the steps of long work have taken some milliseconds."""

    def __init__(self) -> None:
        self._ends_at = time.perf_counter() + _TURN_S

    def end_step(self) -> None:
        """Call this after each step."""
        if time.perf_counter() > self._ends_at:
            give_turn()
            self._ends_at = time.perf_counter() + _TURN_S


def others_are_ready() -> bool:
    """Return whether gevent's loop is about to resume other greenlets, so that it may pay to wait a turn for them.

    Call it only if requests are greenlets: see is_cooperative().
    """
    import gevent  # loaded already

    hub = gevent.get_hub()
    loop = hub.loop
    # The loop itself cannot wait. It runs this when it closes an abandoned stream.
    return bool(loop.pendingcnt or loop._callbacks) and gevent.getcurrent() is not hub


def is_loop() -> bool:
    """Return whether gevent's loop itself runs this, as when it closes an abandoned stream. It cannot wait.

    Call it only if requests are greenlets: see is_cooperative().
    """
    import gevent  # loaded already

    return gevent.getcurrent() is gevent.get_hub()


def in_turns(items: Iterable[T]) -> Iterator[T]:
    """Yield the items, and let other requests run whenever the work on them has taken some milliseconds."""
    turns = Turns()
    for item in items:
        yield item
        turns.end_step()


def split_in_turns(data: bytes, delimiter: bytes, max_splits: int) -> Iterator[bytes]:
    """Split a large body as `bytes.split()` does, and let other requests run during the search for delimiters.

    Args:
        data: the body.
        delimiter: the bytes between its parts.
        max_splits: the maximum number of splits; the last part is the rest.
    """
    begin = at = 0
    while max_splits and at < len(data):
        found = data.find(delimiter, at, at + _WINDOW_BYTES + len(delimiter) - 1)
        if found < 0:
            at += _WINDOW_BYTES
            give_turn()
            continue
        yield data[begin:found]
        begin = at = found + len(delimiter)
        max_splits -= 1
    yield data[begin:]
