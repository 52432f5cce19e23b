"""Declare the fields of Config, each with its default and its check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import Field, field
from typing import Any, TypeVar

T = TypeVar("T")
N = TypeVar("N", int, float)

Check = Callable[[Any], str | None]
"""Returns what is wrong with a value, worded to follow the setting's name; None if it is valid."""


class ConfigError(Exception):
    """The settings do not allow a start.

    Attributes:
        problems: one sentence for each problem.
    """

    exit_status = 4
    """The exit status of a gunicorn worker that fails for this reason. Starting another one would not help."""

    def __init__(self, problems: list[str]) -> None:
        lines = (f"  - {problem}" for problem in problems)
        super().__init__("\n".join(["The settings do not allow a start:", *lines]))
        self.problems = problems


def within(minimum: float, maximum: float, *, default: N) -> N:
    """Declare a number from `minimum` to `maximum`."""

    def check(value: float) -> str | None:
        return None if minimum <= value <= maximum else f"must be from {minimum:g} to {maximum:g}."

    return _make_field(default, check)


def one_of(*choices: str, default: str) -> str:
    """Declare a text that must be one of these choices."""

    def check(value: str) -> str | None:
        return None if value in choices else f"must be one of {', '.join(choices)}."

    return _make_field(default, check)


def some_of(*choices: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """Declare a list of some of these choices, all of them by default."""

    def check(values: tuple[str, ...]) -> str | None:
        wrong = [value for value in values if value not in choices]
        return f"must be some of {', '.join(choices)}, but not {wrong[0]!r}." if wrong else None

    return _make_field(choices if default is None else default, check)


def text(check: Check, *, default: str = "") -> str:
    """Declare a text of some format. An empty text is always valid."""
    return _make_field(default, lambda value: check(value) if value else None)


def secret(check: Check | None = None, *, default: str = "") -> str:
    """Declare a text that is left out of the repr. An empty text is always valid."""
    value: str = field(
        default=default, repr=False, metadata={"check": lambda value: check(value) if check and value else None}
    )
    return value


def secrets() -> tuple[str, ...]:
    """Declare a list of texts that is left out of the repr, empty by default."""
    value: tuple[str, ...] = field(default=(), repr=False)
    return value


def find_problem(declared: Field[Any], value: object) -> str | None:
    """Return what is wrong with a value, as a sentence that begins with the setting's name; None if it is valid."""
    check: Check | None = declared.metadata.get("check")
    problem = check(value) if check is not None else None
    return f"{declared.name.upper()} {problem}" if problem else None


def _make_field(default: T, check: Check) -> T:
    value: T = field(default=default, metadata={"check": check})
    return value
