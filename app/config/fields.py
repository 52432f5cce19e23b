"""Fields of Config, each declared with the check of its value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import Field, field
from typing import Any, TypeVar

T = TypeVar("T")
N = TypeVar("N", int, float)

Check = Callable[[Any], str | None]
"""What is wrong with a value, to be read behind the name of its setting; None where nothing is."""


class ConfigError(Exception):
    """The settings do not allow a start. `faults` has one sentence for each fault."""

    exit_status = 4
    """What a gunicorn worker ends with to say that starting another one would be of no use."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(["The settings do not allow a start:", *(f"  - {fault}" for fault in faults)]))
        self.faults = faults


def within(least: float, most: float, *, default: N) -> N:
    """Declare a number from `least` to `most`."""

    def check(value: float) -> str | None:
        return None if least <= value <= most else f"must be from {least:g} to {most:g}."

    return _make_field(default, check)


def one_of(*choices: str, default: str) -> str:
    """Declare a text that must be one of these."""

    def check(value: str) -> str | None:
        return None if value in choices else f"must be one of {', '.join(choices)}."

    return _make_field(default, check)


def text(check: Check, *, default: str = "") -> str:
    """Declare a text of some format; an empty one is always accepted."""
    return _make_field(default, lambda value: check(value) if value else None)


def secret(check: Check | None = None, *, default: str = "") -> str:
    """Declare a text that no repr shows."""
    value: str = field(
        default=default, repr=False, metadata={"check": lambda value: check(value) if check and value else None}
    )
    return value


def find_problem(declared: Field[Any], value: object) -> str | None:
    """Return one sentence that begins with the setting's name; None where the value is right."""
    check: Check | None = declared.metadata.get("check")
    fault = check(value) if check is not None else None
    return f"{declared.name.upper()} {fault}" if fault else None


def _make_field(default: T, check: Check) -> T:
    value: T = field(default=default, metadata={"check": check})
    return value
