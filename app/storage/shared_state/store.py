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

A stream renews them between two writes, and a client that reads nothing can block it for half a minute. If the
process has no other stream, its leases expire meanwhile, and as many leases beyond the limit can be taken until the
next renewal. With half a minute here, the leases of a killed worker would stay taken for as long.
"""

CLOCK_SLACK_S = 1.0
"""Tolerance for a clock that is set back: an expiry further ahead than its TTL plus this counts as past."""

QUEUE_TIMEOUT_S = 5.0
"""How long a caller may wait for other callers of its process, or lose races against other processes.

Only a DNS lookup of Redis takes this long. But in a burst, a process can resume a caller seconds late.
"""

# In a burst a process resumes callers late, so this number of retries is made even after the timeout.
_MIN_RETRIES = 20


class Swap(NamedTuple):
    """The expected value of a key, None for no value, and the new one with its lifetime."""

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
        """Set a key to `new` for `ttl_s` seconds if its value is `old`; return whether it was. None means no value."""

    def swap_many(self, swaps: Mapping[str, Swap]) -> bool:
        """Set each key to its new value if all of them have their expected values; return whether they had."""

    def read_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the values that exist, by key."""

    def put(self, key: str, value: bytes, ttl_s: float) -> None:
        """Set a key for `ttl_s` seconds."""

    def put_many(self, values: Mapping[str, tuple[bytes, float]]) -> None:
        """Set several keys atomically, each to a value and its lifetime in seconds."""

    def take_leases(
        self, process: str, held: Mapping[str, int], wanted: Sequence[Mapping[str, int]]
    ) -> list[str | None]:
        """Take leases for several callers of a process, within the limits over all processes.

        Args:
            process: id of the process.
            held: the number of leases of each name that the process holds already.
            wanted: for each caller, the limit of each name that it wants one lease of.

        Returns:
            for each caller, None if it has got its leases. Else the first name of which all are taken; then nothing is
            written for this caller.
        """

    def count_leases(self, name: str) -> int:
        """Return the number of leases of a name that all processes hold."""

    def set_leases(self, process: str, held: Mapping[str, int]) -> None:
        """Set the number of leases of each name that a process holds, for the next LEASE_S seconds."""

    def close(self) -> None:
        """Close the connections."""


def pace_retries(timeout_s: float = TIMEOUT_S, max_pause_s: float = 0.01) -> Iterator[None]:
    """Yield at once for the first try, then after a random, growing pause for each retry, until the timeout."""
    # Mostly the first try is the only one. With chain(), no generator is started for it, which costs an exception to
    # end.
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
    """Return a new guard of a store, for one process."""
    return StoreGuard(store.kind, log=log, events="state.")
