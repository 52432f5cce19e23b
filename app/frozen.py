"""Dataclasses that nobody may change, for what is created several times a request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(*, kw_only: bool = False) -> Callable[[type[T]], type[T]]:
    """Make a class a dataclass with slots that mypy lets nobody change.

    `dataclass(frozen=True)` is checked while the program runs as well, for which it sets each attribute in a call: that
    takes four times as long, and a chat sets more than a hundred.
    """
    return dataclass(slots=True, unsafe_hash=True, kw_only=kw_only)
