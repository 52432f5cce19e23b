"""Whatever the schema and the text, the offline model tries for a bounded time."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import pytest

from app.offline_model.instances.hints import Hints
from app.offline_model.instances.instance import UnsatisfiableError, make_instance
from tests.fakes.tables import each_row

WORDS = " ".join(f"word{number}" for number in range(1_500))
MAX_CPU_S = 0.25  # some 50 ms on a machine that does nothing else


def array(of: dict[str, Any], at_least: int, **keywords: Any) -> dict[str, Any]:
    return {"type": "array", "minItems": at_least, "items": of, **keywords}


COSTLY: dict[str, dict[str, Any]] = {
    "large enum": {"enum": [f"v{number}" for number in range(19_000)]},
    "array of a large enum": array({"enum": [f"v{number}" for number in range(1_000)]}, 1_000),
    "array of an enum of objects": array({"enum": [{"a": number} for number in range(5_000)]}, 1_000),
    "enum of long strings": {"enum": ["x" * 4_000 + str(number) for number in range(100)]},
    "long constant": {"const": "x" * 400_000},
    "many numbers": array({"type": "number", "minimum": 0.1, "maximum": 0.2, "multipleOf": 0.15}, 9_000),
    "many strings of a format": array({"type": "string", "format": "email"}, 9_000),
    "many long strings": array({"type": "string", "minLength": 10_000}, 9_000),
    "many unique objects": array(
        {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}, 3_000, uniqueItems=True
    ),
    "costly patterns": {
        "anyOf": [{"type": "string", "pattern": f"(a|b)*a(a|b){{200}}c{number}"} for number in range(100)]
    },
    "many schemas to merge": {
        "properties": {f"q{number}": {} for number in range(900)},
        "anyOf": [{"properties": {f"p{n}": False}, "required": [f"p{n}"]} for n in range(450)],
    },
    "infinitely many items": array({}, 10**18),
    "many constants in a list": {"const": [0] * 19_000},
}


LONG_WORD = "ab" * 5_000


def assert_soon(schema: dict[str, Any], text: str) -> None:
    make_instance({}, "")  # imports the engine
    started = time.thread_time()

    with suppress(UnsatisfiableError):
        make_instance(schema, text)

    assert time.thread_time() - started < MAX_CPU_S


@each_row("schema", COSTLY.values(), ids=COSTLY)
def test_a_value_is_made_or_given_up_soon(schema: dict[str, Any]) -> None:
    assert_soon(schema, WORDS)


@each_row("name", ["many long strings", "infinitely many items"])
def test_a_value_of_one_long_word_is_made_or_given_up_soon(name: str) -> None:
    assert_soon(COSTLY[name], LONG_WORD)


@pytest.mark.thorough
@each_row("schema", COSTLY.values(), ids=COSTLY)
def test_any_value_of_one_long_word_is_made_or_given_up_soon(schema: dict[str, Any]) -> None:
    assert_soon(schema, LONG_WORD)


def test_a_schema_that_is_too_large_is_refused() -> None:
    with pytest.raises(UnsatisfiableError, match="more than 500000 bytes"):
        make_instance({"const": "x" * 500_001}, "")


def test_the_items_of_an_array_are_different_values_of_an_enum() -> None:
    schema = array({"enum": ["a", "b", "c"]}, 4)

    assert make_instance(schema, "c") == ["c", "a", "b", "c"]


def test_what_a_text_mentions_is_no_part_of_a_word() -> None:
    hints = Hints("Send RED things, not bluebirds, to me@example.com or https://example.com/green")

    assert hints.sort(["blue", "red", ["red"], "x" * 1_000]) == ["red", "blue", ["red"], "x" * 1_000]
    assert "example" not in hints.words
