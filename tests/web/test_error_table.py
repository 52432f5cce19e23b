"""Whether docs/errors.md has each error that a caller may see, as its class says it."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import app
from app.openai_service.errors import ModelNotOffered, SchemaNotUsable
from app.web import error_table

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
PROBLEMS = error_table.documented_problems()
each_problem = pytest.mark.parametrize("kind", PROBLEMS, ids=[kind.__name__ for kind in PROBLEMS])


def test_the_page_has_the_table_of_the_classes():
    assert error_table.replace_table(PAGE) == PAGE, "run `make errors`"


def test_the_table_knows_every_module_that_has_an_error():
    for found in pkgutil.walk_packages(app.__path__, "app."):
        if "migrations" not in found.name:  # which run as they are imported
            importlib.import_module(found.name)
    listed = set(re.findall(r"^import (app\.[\w.]+)", Path(error_table.__file__).read_text(), re.MULTILINE))

    found = {kind.__module__ for kind in error_table.documented_problems()}

    assert found - listed == {"app.problems"}
    assert not listed - found


@each_problem
def test_each_error_has_what_a_caller_is_told(kind):
    assert 400 <= kind.status < 600
    assert re.fullmatch(r"[a-z_]+", kind.code)
    assert kind.sentence.endswith(".")
    assert "\n" not in kind.sentence
    assert (kind.__doc__ or "").partition("\n")[0].endswith(".")


def test_an_error_of_one_code_has_one_meaning_for_programs():
    """The pairs that programs tell apart: a code with another status is another kind of it, as in CONTRACT."""
    several = {"body_too_large", "concurrency_limit"}
    statuses: dict[str, set[int]] = {}
    for kind in PROBLEMS:
        statuses.setdefault(kind.code, set()).add(kind.status)

    assert {code for code, found in statuses.items() if len(found) > 1} <= several


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (ModelNotOffered("a CANARY"), "model: this model is not offered here."),
        (ModelNotOffered("a CANARY", field="chatModel"), "chatModel: this model is not offered here."),
        (SchemaNotUsable("It has no type."), "It has no type."),
        (SchemaNotUsable("has no type.", field="schema.items"), "schema.items: has no type."),
        (SchemaNotUsable(), "schema: cannot be used."),
        (SchemaNotUsable(field="answer"), "answer: cannot be used."),
    ],
)
def test_a_text_of_its_own_is_shown_only_where_it_is_safe(problem, message):
    assert problem.message == message
