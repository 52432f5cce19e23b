"""SharedState and Lease: the protocols that the rest of the application uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

RECENT_S = 0.05
"""How old what read_recent() returns may be."""

Change = Callable[[bytes | None], bytes | None]
"""Takes a key's value and returns the new one; None stands for no value."""

ManyChange = Callable[[Mapping[str, bytes | None]], Mapping[str, bytes]]
"""Takes the values of some keys, None for no value, and returns new ones for all, some or none of them."""


class LeaseRefused(Exception):
    """All leases of `name` are taken."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Lease(Protocol):
    """One of the limited number of leases of each of some names, until it is released or its process dies."""

    def renew(self) -> None:
        """Extend the lease. To be called every few seconds; nearly every call returns at once."""

    def release(self) -> None:
        """Release the lease. A second call does nothing."""


class SharedState(Protocol):
    """Values by key, and leases by name.

    No call fails because of the store. A store that does not answer delays one call a second, by half a second at
    most. Concurrent calls about the same key share a few round trips.
    """

    def read(self, key: str) -> bytes | None:
        """Return a key's value, None if it has none or has expired."""

    def read_recent(self, key: str) -> bytes | None:
        """Return a key's value as it was within the last RECENT_S seconds, and after this process last changed it."""

    def update(self, key: str, change: Change, *, ttl_s: float) -> bytes | None:
        """Replace a value atomically by `change(value)`, and return the new one.

        If other processes win every race for seconds, their value is returned and nothing is changed.

        Args:
            key: the value's name.
            change: must have no side effects, as it may be called more than once, and in another thread. Returning
                None removes the value; returning the value itself writes nothing.
            ttl_s: seconds until the new value expires.
        """

    def update_many(self, ttls_s: Mapping[str, float], change: ManyChange) -> None:
        """Replace the values of some keys by those that `change(values)` returns, all at once.

        If other processes win every race for seconds, nothing is changed.

        Args:
            ttls_s: for each key, seconds until its new value expires.
            change: as of update().
        """

    def take_lease(self, limits: Mapping[str, int]) -> Lease:
        """Take one lease of each name, of at most so many over all processes.

        Raises:
            LeaseRefused: all leases of a name are taken; it is the first one of which they are. None is taken then.
        """

    def count_leases(self, name: str) -> int:
        """Return how many leases of a name are taken, over all processes."""

    def check(self) -> None:
        """Raise DatabaseUnavailable unless the store answers now: the one call that tells."""

    def close(self) -> None:
        """Close the store's connections."""
