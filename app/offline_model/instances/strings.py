"""Propose strings for a field, by its format, pattern or name; the caller validates them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from app.offline_model.instances.hints import Hints
from app.offline_model.instances.matches import propose_matches

MAX_LENGTH = 10_000
MAX_PIECES = 50

# Strings that often match a pattern, and look better than generated ones.
COMMON = (
    "Aa",
    "Aa Aa",
    "A1",
    "AA-11",
    "a-1",
    "a_1",
    "1.0.0",
    "v1.0.0",
    "1.5",
    "12:00",
    "+15550100",
    "#a1b2c3",
    "@a",
)

# Fields with these names get sentences instead of words.
_PROSE = """
answer body caption comment content description explanation message notes prompt query question reason reply
summary text
"""
PROSE = frozenset(_PROSE.split())

# For each format, a pattern to find it in the user's text, and a function for the nth generated value.
FORMATS: dict[str, tuple[str, Callable[[int], str]]] = {
    "date": (r"\d{4}-\d\d-\d\d", lambda n: f"2026-{n // 28 % 12 + 1:02}-{n % 28 + 1:02}"),
    "date-time": (
        r"\d{4}-\d\d-\d\dT[\d:.]+Z",
        lambda n: f"2026-{n // 28 % 12 + 1:02}-{n % 28 + 1:02}T12:00:00Z",
    ),
    "time": (r"\d\d:\d\d:\d\dZ", lambda n: f"{n // 60 % 24:02}:{n % 60:02}:00Z"),
    "duration": (r"PT\d+[HMS]", lambda n: f"PT{n + 1}H"),
    "email": (r"[\w.+-]+@[\w-]+(\.[\w-]+)+", lambda n: f"person{n + 1}@example.com"),
    "hostname": (r"[a-z0-9-]+(\.[a-z0-9-]+)+", lambda n: f"host{n + 1}.example.com"),
    "ipv4": (r"\d{1,3}(\.\d{1,3}){3}", lambda n: f"192.0.{n // 254 % 254}.{n % 254 + 1}"),
    "ipv6": (r"[0-9a-f]{1,4}(:[0-9a-f]{1,4}){7}", lambda n: f"2001:db8::{n % 65535 + 1:x}"),
    "uuid": (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", lambda n: f"00000000-0000-4000-8000-{n + 1:012x}"),
    "uri": (r"https?://\S+", lambda n: f"https://example.com/{n + 1}"),
}


def propose_strings(
    schema: dict[str, Any], name: str, turn: int, hints: Hints, spend: Callable[[int], None]
) -> Iterator[str]:
    """Yield strings for one field.

    Args:
        schema: the field's.
        name: the field's name, which decides between sentences and words.
        turn: the index in an array, whose strings should differ.
        hints: values from the user's text.
        spend: is called with the amount of work before it is done.
    """
    low, high = int(schema.get("minLength", 0)), int(schema.get("maxLength", MAX_LENGTH))
    if low > MAX_LENGTH:
        return
    if "pattern" in schema:
        yield from _propose_known(schema, hints)
        yield from propose_matches(schema["pattern"], spend)
        return
    known = FORMATS.get(schema.get("format", ""))
    if known:
        pattern, make = known
        yield from hints.find_pieces(pattern)[turn:]
        yield make(hints.take_number())
        return
    if name.casefold() in FORMATS:  # a plain string called "date" or "email"
        pattern, make = FORMATS[name.casefold()]
        yield next(iter(hints.find_pieces(pattern)), make(hints.take_number()))
    if name.casefold() in PROSE and hints.text:
        yield _fit_length(hints.text, low, min(high, max(low, 200)))
    if turn < len(hints.words):
        yield _fit_length(hints.take_word(), low, high)
    own_name = name or "text"
    yield _fit_length(f"{turn} {own_name}" if turn else own_name, low, high)


def _propose_known(schema: dict[str, Any], hints: Hints) -> Iterator[str]:
    """Yield strings that may match a pattern: from the text and the description, then common ones."""
    described = str(schema.get("description", "")).split()[:MAX_PIECES]
    pieces = hints.pieces[:MAX_PIECES]
    yield from dict.fromkeys(
        [*pieces, *hints.words[:MAX_PIECES], *(piece.strip("\"'.,;:()") for piece in described)]
    )
    yield from COMMON
    yield from (make(0) for _, make in FORMATS.values())


def _fit_length(text: str, low: int, high: int) -> str:
    if len(text) < low:
        text = (f"{text} " * (low // (len(text) + 1) + 1))[: max(low, 1)]
    return text[:high]
