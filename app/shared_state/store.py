"""Store: the few atomic steps that shared state is applied of, and how long one of them may be tried."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from typing import Protocol

from app.runtime.sqlite import busy_pauses
from app.runtime.store_guard import StoreGuard

log = logging.getLogger("app.shared_state")

TIMEOUT_S = 0.25
"""How long a store may keep a caller waiting before it counts as away."""

LEASE_S = 10.0
"""How long leases outlive the last sign of life from their process.

A stream gives that between two writes: one whose visitor reads nothing gives none for up to half a minute. If a
process has no others, its leases lapse meanwhile, and the limit is exceeded by as many until they come back with
the next sign. Half a minute here would keep the slots of a killed worker as long.
"""

CLOCK_SLACK_S = 1.0
"""How far clocks may be set back before an expiry that lies too far ahead counts as past."""

QUEUE_TIMEOUT_S = 5.0
"""How long a caller may wait for others of its own process, or lose against other processes.

Only looking up Redis's name takes as long; but in a burst a process can come to a caller's turn seconds late.
"""

# A process that is busy with a burst comes round late, and must not take that for the store's fault.
_MIN_RETRIES = 20


class Store(Protocol):
    """Where shared state is kept. Each method is atomic over all processes, and raises DatabaseUnavailable."""

    kind: str
    """Its name in logs."""

    def read(self, key: str) -> bytes | None:
        """The value of a key; None if there is none, or its time has passed."""

    def compare_and_swap(self, key: str, old: bytes | None, new: bytes | None, ttl_s: float) -> bool:
        """Set a key to `new` for `ttl_s` seconds, but only if it is `old`; None stands for no value."""

    def read_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The values of those of the keys that have one."""

    def put(self, key: str, value: bytes, ttl_s: float) -> None:
        """Set a key for `ttl_s` seconds, whatever it is now."""

    def take_leases(self, name: str, process: str, held: int, wanted: int, limit: int) -> int:
        """Note that a process holds up to `wanted` leases more than `held`, and say how many more.

        It is as many as make no more than `limit` in all; 0 notes nothing.
        """

    def set_leases(self, process: str, name: str, held: int) -> None:
        """Note how many leases of a name a process holds, for the next LEASE_S seconds."""

    def close(self) -> None: ...


def pace_retries(patience_s: float = TIMEOUT_S, max_pause_s: float = 0.01) -> Iterator[None]:
    """Come round at once, and again after pauses of random and growing length, until `patience_s` is over."""
    yield
    until = time.monotonic() + patience_s
    for tried, pause_s in enumerate(busy_pauses(max_pause_s), 1):
        left_s = until - time.monotonic()
        if left_s <= 0 and tried >= _MIN_RETRIES:
            return
        time.sleep(min(left_s, pause_s) if left_s > 0 else pause_s)
        yield


def make_guard(store: Store) -> StoreGuard:
    """Make the guard of one process for a store."""
    return StoreGuard(store.kind, log=log, events="state.")
