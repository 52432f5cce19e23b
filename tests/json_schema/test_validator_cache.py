"""Validators of equal schemas are compiled once, and no stranger can make a process keep many of them."""

from __future__ import annotations

import json

import pytest

from app.json_schema import validator as module
from app.json_schema.catalog import load_schemas
from app.json_schema.errors import SchemaNotUsable
from app.json_schema.validator import VALIDATORS, ValidatorCache


def make_schema(number: int) -> dict[str, object]:
    return {"type": "object", "properties": {f"p{number}": {"type": "string"}}}


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The schemas that are compiled, in order."""
    schemas: list[object] = []

    class Counted(module.BoundedValidator):
        def __init__(self, schema: dict[str, object]) -> None:
            schemas.append(schema)
            super().__init__(schema)

    monkeypatch.setattr(module, "BoundedValidator", Counted)
    return schemas


def test_an_equal_schema_is_compiled_once(compiled: list[object]) -> None:
    cache = ValidatorCache()

    for _ in range(3):
        assert cache.get(make_schema(1)).find_problem({"p1": 5}) == 'at $.p1: it is not of type "string"'

    assert len(compiled) == 1


def test_the_least_recently_used_are_dropped_by_size(compiled: list[object]) -> None:
    cache = ValidatorCache(max_bytes=4 * len(json.dumps(make_schema(1))))

    for number in (1, 2, 3, 1, 4, 5, 1, 2):
        cache.get(make_schema(number))

    assert compiled == [make_schema(number) for number in (1, 2, 3, 4, 5, 2)]


def test_a_schema_that_is_refused_is_not_cached(compiled: list[object]) -> None:
    cache = ValidatorCache()

    for _ in range(2):
        with pytest.raises(SchemaNotUsable):
            cache.get({"type": "text"})

    assert len(compiled) == 2


def test_the_sites_own_schemas_are_compiled_at_start_and_kept(tmp_path, compiled: list[object]) -> None:
    tmp_path.joinpath("own.json").write_text(json.dumps(make_schema(7)))
    [own] = load_schemas(tmp_path).values()
    assert compiled == [make_schema(7)]

    for number in range(10_000, 10_300):
        VALIDATORS.get({**make_schema(number), "description": "x" * 1_000})
    VALIDATORS.get(own.original.schema if own.original else own.schema)

    assert len(compiled) == 301


def test_each_check_has_a_cost_limit_of_its_own() -> None:
    validator = ValidatorCache().get({"items": {"type": "string"}})

    for _ in range(5):
        assert validator.find_problem(["a"] * 20_000) is None
