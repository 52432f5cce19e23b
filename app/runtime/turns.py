"""Let other requests of a worker run during long work. With gevent they share its only thread."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

_TURN_S = 0.005
# Not 0: with that, gevent returns to the work up to fifty times before it looks at any socket or timer.
_PAUSE_S = 1e-6
_WINDOW_BYTES = 1024 * 1024


def give_turn() -> None:
    """Let other requests run between two steps of long work."""
    time.sleep(_PAUSE_S)


def others_are_ready() -> bool:
    """Return whether gevent's loop is about to resume other greenlets, so that it may pay to wait a turn for them.

    Only to be called where requests are greenlets: see is_cooperative().
    """
    import gevent  # is loaded already

    hub = gevent.get_hub()
    loop = hub.loop
    # The loop itself, in which a forgotten stream may be closed, cannot wait.
    return bool(loop.pendingcnt or loop._callbacks) and gevent.getcurrent() is not hub


def is_loop() -> bool:
    """Return whether gevent's loop itself runs this, in which a forgotten stream may be closed: it cannot wait.

    Only to be called where requests are greenlets: see is_cooperative().
    """
    import gevent  # is loaded already

    return gevent.getcurrent() is gevent.get_hub()


def in_turns(items: Iterable[T]) -> Iterator[T]:
    """Yield the items, and let others run whenever the work on them has taken some milliseconds."""
    turn_ends_at = time.perf_counter() + _TURN_S
    for item in items:
        yield item
        if time.perf_counter() > turn_ends_at:
            give_turn()
            turn_ends_at = time.perf_counter() + _TURN_S


def split_in_turns(data: bytes, delimiter: bytes, most: int) -> Iterator[bytes]:
    """Yield the parts of a large body as `bytes.split()` does, and let others run while the next one is looked for.

    Args:
        data: the body.
        delimiter: what is between its parts.
        most: how many parts may be followed by another.
    """
    begin = at = 0
    while most and at < len(data):
        found = data.find(delimiter, at, at + _WINDOW_BYTES + len(delimiter) - 1)
        if found < 0:
            at += _WINDOW_BYTES
            give_turn()
            continue
        yield data[begin:found]
        begin = at = found + len(delimiter)
        most -= 1
    yield data[begin:]
