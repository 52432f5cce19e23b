"""Declare the fields of Config, each with its default and its check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import Field, field
from typing import Any, TypeVar

T = TypeVar("T")
N = TypeVar("N", int, float)

Check = Callable[[Any], str | None]
"""Returns the problem with a value, as the rest of a sentence that begins with the setting's name; None if valid."""


class ConfigError(Exception):
    """The settings are invalid, so the server does not start.

    Attributes:
        problems: one sentence for each problem.
    """

    exit_status = 4
    """The exit status of a gunicorn worker that fails for this reason. A new worker would fail as well."""

    def __init__(self, problems: list[str]) -> None:
        lines = (f"  - {problem}" for problem in problems)
        super().__init__("\n".join(["Gatehouse cannot start with these settings:", *lines]))
        self.problems = problems


def within(minimum: float, maximum: float, *, default: N) -> N:
    """Declare a number from `minimum` to `maximum`."""

    def check(value: float) -> str | None:
        return None if minimum <= value <= maximum else f"must be from {minimum:g} to {maximum:g}."

    return _make_field(default, check)


def one_of(*choices: str, default: str) -> str:
    """Declare a string that must be one of the choices."""

    def check(value: str) -> str | None:
        return None if value in choices else f"must be one of {', '.join(choices)}."

    return _make_field(default, check)


def some_of(*choices: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """Declare a list whose items must be among the choices. The default is all of them."""

    def check(values: tuple[str, ...]) -> str | None:
        wrong = [value for value in values if value not in choices]
        return f"may contain {', '.join(choices)}, but not {wrong[0]!r}." if wrong else None

    return _make_field(choices if default is None else default, check)


def text(check: Check, *, default: str = "") -> str:
    """Declare a string whose format is checked. An empty string is always valid."""
    return _make_field(default, lambda value: check(value) if value else None)


def secret(check: Check | None = None, *, default: str = "") -> str:
    """Declare a string that the repr omits. An empty string is always valid."""
    value: str = field(
        default=default, repr=False, metadata={"check": lambda value: check(value) if check and value else None}
    )
    return value


def secrets() -> tuple[str, ...]:
    """Declare a list of strings that the repr omits. It is empty by default."""
    value: tuple[str, ...] = field(default=(), repr=False)
    return value


def find_problem(declared: Field[Any], value: object) -> str | None:
    """Return the problem with a value, as a sentence that begins with the setting's name; None if it is valid."""
    check: Check | None = declared.metadata.get("check")
    problem = check(value) if check is not None else None
    return f"{declared.name.upper()} {problem}" if problem else None


def _make_field(default: T, check: Check) -> T:
    value: T = field(default=default, metadata={"check": check})
    return value
