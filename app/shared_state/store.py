"""Store: the few atomic steps that shared state is made of, and how long one of them may be tried."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

PATIENCE_S = 0.25
"""How long a store may keep a caller waiting before it counts as away."""

LEASE_S = 10.0
"""How long leases outlive the last sign of life from their process."""

CLOCK_SLACK_S = 1.0
"""How far clocks may be set back before an expiry that lies too far ahead counts as past."""

# More than PATIENCE_S: who waits behind one whom the store keeps waiting learns that it is away.
_TURN_S = 0.4

_FIRST_PAUSE_S = 0.0005


class StateUnavailable(Exception):
    """The store could not answer in time. Its text names the kind of fault and holds no address or secret."""


class Contended(StateUnavailable):
    """Others were always first; the store itself is well."""


class Store(Protocol):
    """Where shared state is kept. Each method is atomic over all processes, and raises StateUnavailable."""

    kind: str
    """Its name in logs."""

    def read(self, key: str) -> bytes | None:
        """The value of a key; None if there is none, or its time has passed."""

    def swap(self, key: str, old: bytes | None, new: bytes | None, ttl_s: float) -> bool:
        """Set a key to `new` for `ttl_s` seconds, but only if it is `old`; None stands for no value."""

    def take(self, name: str, process: str, held: int, limit: int) -> bool:
        """Note that a process holds `held + 1` leases, but only if that makes no more than `limit` in all."""

    def note(self, process: str, held: Mapping[str, int]) -> None:
        """Note how many leases a process holds, by name, for the next LEASE_S seconds."""

    def close(self) -> None: ...


def tries(longest_pause_s: float = 0.01) -> Iterator[None]:
    """Come round at once, and again after pauses of random and growing length, for PATIENCE_S at most."""
    until = time.monotonic() + PATIENCE_S
    longest_s = _FIRST_PAUSE_S
    yield
    while (left_s := until - time.monotonic()) > 0:
        time.sleep(min(left_s, random.uniform(0, longest_s)))  # noqa: S311
        longest_s = min(2 * longest_s, longest_pause_s)
        yield


@contextmanager
def turn(lock: threading.Lock) -> Iterator[None]:
    """Hold a lock of this process. Raises Contended if it does not come free in time."""
    if not lock.acquire(timeout=_TURN_S):
        raise Contended("contended")
    try:
        yield
    finally:
        lock.release()
