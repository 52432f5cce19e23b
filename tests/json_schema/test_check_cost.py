"""What checking an answer costs is counted as the engine spends it: an answer is checked soon, or not at all."""

from __future__ import annotations

import time
from typing import Any

import pytest

from app.json_schema.errors import CheckTooCostly, SchemaNotUsable
from app.json_schema.validator import BoundedValidator

OBJECTS = [{"k": number} for number in range(1_000)]
TOO_COSTLY: dict[str, tuple[dict[str, Any], Any]] = {
    "enum of objects": ({"items": {"enum": OBJECTS}}, [OBJECTS[-1]] * 4_000),
    "constant list": ({"items": {"const": [0] * 15_000}}, [[0] * 15_000] * 20),
    "unique items": ({"items": {"uniqueItems": True}}, [OBJECTS[:10]] * 10_000),
    "unevaluated": (
        {
            "items": {
                "unevaluatedProperties": False,
                "anyOf": [{"properties": {f"k{n}": True}} for n in range(900)],
            }
        },
        [{f"k{n}": 1 for n in range(900)}] * 10,
    ),
    "many values": ({"items": {"type": "integer"}}, [1] * 200_000),
    "many names": ({"propertyNames": {"pattern": "^k"}}, {f"k{n}": 1 for n in range(60_000)}),
}


@pytest.mark.parametrize("name", TOO_COSTLY)
def test_a_check_that_would_take_long_is_not_begun(name: str) -> None:
    schema, value = TOO_COSTLY[name]
    validator = BoundedValidator(schema)
    started = time.thread_time()

    with pytest.raises(CheckTooCostly):
        validator.find_problem(value)

    assert time.thread_time() - started < 0.5  # some 60 ms on a machine that does nothing else


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"items": {"enum": OBJECTS}}, [OBJECTS[-1]] * 150),
        ({"items": {"enum": [f"v{n}" for n in range(1_000)]}}, ["v999"] * 4_000),
        ({"uniqueItems": True}, OBJECTS),
        ({"items": {"type": "integer"}}, [1] * 40_000),
        ({"items": {"pattern": "^[a-z]+$"}}, ["word"] * 2_000),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_answers_hold_in_practice_is_checked(schema: dict[str, Any], value: Any) -> None:
    assert BoundedValidator(schema).find_problem(value) is None


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"enum": list(range(20_001))}, "more than 20000 values"),
        ({"description": "x" * 500_001}, "more than 500000 bytes"),
        ({"allOf": [{}] * 2_001}, "more than 2000 parts"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_schema_that_is_too_large_is_refused(schema: dict[str, Any], words: str) -> None:
    with pytest.raises(SchemaNotUsable, match=words):
        BoundedValidator(schema)
