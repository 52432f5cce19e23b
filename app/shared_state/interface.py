"""What the rest of the application knows of shared state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

Change = Callable[[bytes | None], bytes | None]
"""From the value that a key has, None if it has none, to the one that it shall have."""


class Lease(Protocol):
    """One of a limited number, until it is released or its process dies."""

    def renew(self) -> None:
        """Say that it is still held. To be called every few seconds; nearly always it costs nothing."""

    def release(self) -> None:
        """Give it back. A second call does nothing."""


class SharedState(Protocol):
    """Values by key, and leases by name.

    No call fails because of the store. One that does not result delays a call by half a second at most, and then
    only one call a second. What many callers want at the same moment costs a few round trips.
    """

    def read(self, key: str) -> bytes | None:
        """The value of a key; None if there is none, or its time has passed."""

    def update(self, key: str, change: Change, *, ttl_s: float) -> bytes | None:
        """Replace a value atomically by what `change` makes of it, and return the new one.

        Should other processes change it first again and again for seconds, it is left as they have applied it.

        Args:
            change: may be called more than once, and in another thread, so it only computes. None removes the value; returning what it
                was given writes nothing.
            ttl_s: seconds until the new value is gone.
        """

    def take_lease(self, name: str, limit: int) -> Lease | None:
        """One of at most `limit` leases of this name, over all processes; None when all are taken."""

    def close(self) -> None:
        """Let go of the store; what is in it stays."""
