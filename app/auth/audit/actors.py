"""Name who makes a change."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes a change, and from where.

    Attributes:
        name: `command:root` for a user of this machine, `key:AbCd1234`, `admin:root` for a session of the pages,
            `gatehouse` for what happens by itself.
        address: the network address of the request; None if it was none.
    """

    name: str
    address: str | None = None


ITSELF = Actor("gatehouse")
"""This program, without anybody having asked for it."""
