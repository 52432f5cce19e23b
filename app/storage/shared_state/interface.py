"""SharedState and Lease: the protocols that the rest of the application uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

RECENT_S = 0.05
"""The maximum age of a value that read_recent() returns."""

Change = Callable[[bytes | None], bytes | None]
"""Takes a key's value and returns the new one; None stands for no value."""

ManyChange = Callable[[Mapping[str, bytes | None]], Mapping[str, bytes]]
"""Takes the values of several keys, None for no value. Returns the new values of those that change."""


class LeaseRefused(Exception):
    """All leases of `name` are taken."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Lease(Protocol):
    """A lease of one or more names, each with a limited number of leases, until it is released or its process dies."""

    def renew(self) -> None:
        """Extend the lease. Call it every few seconds or more often: nearly every call returns at once."""

    def release(self) -> None:
        """Release the lease. A second call does nothing."""


class SharedState(Protocol):
    """Values by key, and leases by name.

    No call fails because of the store. A store that does not answer delays one call a second, by at most half a second.
    Concurrent calls for the same key share a few round trips.
    """

    def read(self, key: str) -> bytes | None:
        """Return a key's value, None if it has none or has expired."""

    def read_recent(self, key: str) -> bytes | None:
        """Return a key's value, at most RECENT_S seconds old, and never older than this process's last change of it."""

    def update(self, key: str, change: Change, *, ttl_s: float) -> bytes | None:
        """Replace a value atomically with `change(value)`, and return the new one.

        If other processes win every race for seconds, nothing is changed, and their value is returned.

        Args:
            key: the value's name.
            change: must have no side effects, as it may be called more than once, and in another thread. Returning
                None removes the value; returning the value itself writes nothing.
            ttl_s: seconds until the new value expires.
        """

    def update_many(self, ttls_s: Mapping[str, float], change: ManyChange) -> None:
        """Replace the values of several keys atomically with those that `change(values)` returns.

        If other processes win every race for seconds, nothing is changed.

        Args:
            ttls_s: for each key, seconds until its new value expires.
            change: see update().
        """

    def take_lease(self, limits: Mapping[str, int]) -> Lease:
        """Take one lease of each name.

        Args:
            limits: for each name, the maximum number of leases over all processes.

        Raises:
            LeaseRefused: all leases of a name are taken; the error has the first such name. No lease is taken then.
        """

    def count_leases(self, name: str) -> int:
        """Return the number of leases of a name that all processes hold."""

    def check(self) -> None:
        """Raise DatabaseUnavailable unless the store answers now. No other method reports an outage."""

    def close(self) -> None:
        """Close the store's connections."""
