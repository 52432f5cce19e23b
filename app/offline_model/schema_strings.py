"""Strings for plain, formatted and patterned fields, the likeliest first; the caller checks each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import chain, count
from typing import Any

from app.offline_model.hints import Hints
from app.offline_model.schema_patterns import strings_matching

MAX_LENGTH = 10_000

# Fields of these names hold sentences rather than words.
_PROSE = """
answer body caption comment content description explanation message notes prompt query question reason reply
summary text
"""
PROSE = frozenset(_PROSE.split())

# For each format, how one is told in the user's text, and the nth made-up one.
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


def strings_for(schema: dict[str, Any], name: str, hints: Hints) -> Iterator[str]:
    """Strings for one field, mostly without end; `name` is the field's own, which tells prose from words."""
    low, high = int(schema.get("minLength", 0)), int(schema.get("maxLength", MAX_LENGTH))
    if low > MAX_LENGTH:
        return
    if "pattern" in schema:
        yield from strings_matching(schema["pattern"], low)
        return
    known = FORMATS.get(schema.get("format", ""))
    if known:
        told, made = known
        yield from (piece for piece in hints.pieces if re.fullmatch(told, piece))
        yield from (made(hints.take_number()) for _ in count())
        return
    if name.casefold() in FORMATS:  # a plain string called "date" or "email"
        told, made = FORMATS[name.casefold()]
        yield next((piece for piece in hints.pieces if re.fullmatch(told, piece)), made(hints.take_number()))
    if name.casefold() in PROSE and hints.text:
        yield _sized(hints.text, low, min(high, max(low, 200)))
    own_name = name or "text"
    words = (hints.take_word() for _ in hints.words)
    for text in chain(words, [own_name], (f"{number} {own_name}" for number in count(1))):
        yield _sized(text, low, high)


def _sized(text: str, low: int, high: int) -> str:
    if len(text) < low:
        text = (f"{text} " * (low // (len(text) + 1) + 1))[: max(low, 1)]
    return text[:high]
