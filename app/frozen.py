"""Define immutable dataclasses for objects that are created several times a request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(*, kw_only: bool = False) -> Callable[[type[T]], type[T]]:
    """Make a class a dataclass with slots, which mypy treats as immutable.

    `dataclass(frozen=True)` enforces this at run time, too. It then sets each attribute by a call, which takes
    four times as long, and a chat sets more than a hundred attributes.
    """
    return dataclass(slots=True, unsafe_hash=True, kw_only=kw_only)
