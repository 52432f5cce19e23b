"""Parse the variables of the environment, each by the type of its setting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field
from typing import Any

from app.config.origins import parse_hosts, parse_origins
from app.config.parsing import find_parser

_PARSERS: dict[str, Callable[[str], object]] = {
    "allowed_origins": parse_origins,
    "trusted_hosts": parse_hosts,
    "log_level": str.upper,
}


def parse_values(
    environ: Mapping[str, str], settings: Iterable[Field[Any]]
) -> tuple[dict[str, object], list[str]]:
    """Return the values of the variables that are set and not empty, and what is wrong with the others."""
    values: dict[str, object] = {}
    problems = []
    for declared in settings:
        value = environ.get(declared.name.upper(), "").strip()
        if not value:
            continue
        try:
            values[declared.name] = _PARSERS.get(declared.name, find_parser(str(declared.type)))(value)
        except ValueError as error:
            problems.append(f"{declared.name.upper()} {error}")
    return values, problems
