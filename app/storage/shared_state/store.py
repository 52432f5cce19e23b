"""Store: the atomic operations of a store of shared state, and their time limits."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple, Protocol

from app.runtime.sqlite import busy_pauses
from app.runtime.store_guard import StoreGuard

log = logging.getLogger("app.shared_state")

TIMEOUT_S = 0.25
"""How long one operation may take before the store counts as unavailable."""

LEASE_S = 10.0
"""How long leases last after their process last renewed them.

A stream renews them between two writes; one whose client reads nothing can be blocked for half a minute. If a
process has no other stream, its leases expire meanwhile, and the limit is exceeded by as many until the next
renewal. Half a minute here would block the leases of a killed worker for as long.
"""

CLOCK_SLACK_S = 1.0
"""By how much a clock may be set back before an expiry further ahead than its TTL counts as past."""

QUEUE_TIMEOUT_S = 5.0
"""How long a caller may wait for other callers of its process, or lose races against other processes.

Only a DNS lookup of Redis takes as long; but in a burst, a process can resume a caller seconds late.
"""

# In a burst a process resumes late; so many retries are made even if the timeout is over by then.
_MIN_RETRIES = 20


class Swap(NamedTuple):
    """A value, None for no value, and the one that takes its place for `ttl_s` seconds."""

    old: bytes | None
    new: bytes
    ttl_s: float


class Store(Protocol):
    """Storage for shared state. Each method is atomic over all processes, and raises DatabaseUnavailable."""

    kind: str
    """Its name in logs."""

    def read(self, key: str) -> bytes | None:
        """Return a key's value, None if it has none or has expired."""

    def compare_and_swap(self, key: str, old: bytes | None, new: bytes | None, ttl_s: float) -> bool:
        """Set a key to `new` for `ttl_s` seconds if it is `old`; return whether it was. None is no value."""

    def swap_many(self, swaps: Mapping[str, Swap]) -> bool:
        """Set each key to its new value if all have their old ones; return whether they had."""

    def read_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the values that exist, by key."""

    def put(self, key: str, value: bytes, ttl_s: float) -> None:
        """Set a key for `ttl_s` seconds."""

    def put_many(self, values: Mapping[str, tuple[bytes, float]]) -> None:
        """Set keys, each to a value for so many seconds, all at once."""

    def take_leases(
        self, process: str, held: Mapping[str, int], wanted: Sequence[Mapping[str, int]]
    ) -> list[str | None]:
        """Take leases for a process that holds so many of each name: for each of `wanted` one of each name.

        The total over all processes stays within the limit of a name. For each that is refused, the first name of
        which all are taken is returned, and nothing is written; for the others None.
        """

    def count_leases(self, name: str) -> int:
        """Return how many leases of a name all processes hold."""

    def set_leases(self, process: str, held: Mapping[str, int]) -> None:
        """Write how many leases of some names a process holds, for the next LEASE_S seconds."""

    def close(self) -> None:
        """Close the connections."""


def pace_retries(timeout_s: float = TIMEOUT_S, max_pause_s: float = 0.01) -> Iterator[None]:
    """Yield at once for the first try, then after a random, growing pause for each retry, until the timeout."""
    # The first try is mostly the only one. A generator that was begun would have to be ended with an exception.
    return chain((None,), _pause_before_retries(timeout_s, max_pause_s))


def _pause_before_retries(timeout_s: float, max_pause_s: float) -> Iterator[None]:
    until = time.monotonic() + timeout_s
    for retries, pause_s in enumerate(busy_pauses(max_pause_s), 1):
        left_s = until - time.monotonic()
        if left_s <= 0 and retries >= _MIN_RETRIES:
            return
        time.sleep(min(left_s, pause_s) if left_s > 0 else pause_s)
        yield


def make_guard(store: Store) -> StoreGuard:
    """Create one process's guard of a store."""
    return StoreGuard(store.kind, log=log, events="state.")
