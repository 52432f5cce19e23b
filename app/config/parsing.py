"""Parse the text of an environment variable by the type of its setting."""

from __future__ import annotations

from collections.abc import Callable


def find_parser(declared_type: str) -> Callable[[str], object]:
    """Return the parser of a type. Its ValueError is the rest of a sentence that begins with the setting's name."""
    return _BY_TYPE[declared_type]


def parse_list(text: str) -> tuple[str, ...]:
    """Parse a comma-separated list. `none` means an empty list, for settings whose default is not empty."""
    if text.strip().lower() == "none":
        return ()
    return tuple(item for part in text.split(",") if (item := part.strip()))


def parse_lines(text: str) -> tuple[str, ...]:
    """Parse a list that is comma-separated or, as in a file, has one item a line."""
    return parse_list(",".join(text.splitlines()))


def _parse_text(text: str) -> str:
    return text


def _parse_integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("must be a whole number.") from None


def _parse_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("must be a number.") from None


def _parse_boolean(text: str) -> bool:
    try:
        return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[text.lower()]
    except KeyError:
        raise ValueError("must be true or false.") from None


_BY_TYPE: dict[str, Callable[[str], object]] = {
    "str": _parse_text,
    "int": _parse_integer,
    "float": _parse_number,
    "bool": _parse_boolean,
    "tuple[str, ...]": parse_list,
    "tuple[str, ...] | None": parse_list,
}
