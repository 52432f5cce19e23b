"""Define Actor, who makes a change."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes a change, and from which address.

    Attributes:
        name: `command:root` for a user of this machine, `key:AbCd1234` for an API key, `admin:root` for a session
            of the pages, `gatehouse` for automatic changes.
        address: the network address of the request; None without a request.
    """

    name: str
    address: str | None = None


SYSTEM_ACTOR = Actor("gatehouse")
"""The actor of automatic changes."""
