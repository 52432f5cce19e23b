"""Whether docs/errors.md has each error that a caller may see, as its class says it."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import pytest
from flask import Flask

import app
from app.auth.errors import Unauthenticated
from app.json_schema.errors import SchemaNotUsable
from app.openai_service.errors import ModelNotOffered
from app.problems import InvalidRequest
from app.runtime.lifecycle import Draining
from app.web import error_table
from app.web.errors import init_errors
from app.web.request_id import init_request_context
from app.web.schemas.chat import ChatRequest
from app.web.schemas.validation import parse_json
from tests.fakes.tables import each_row

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
PROBLEMS = error_table.list_problems()
each_problem = each_row("kind", PROBLEMS, ids=[kind.__name__ for kind in PROBLEMS])


def test_the_page_has_the_table_of_the_classes():
    assert error_table.replace_table(PAGE) == PAGE, "run `make errors`"


def test_the_table_knows_every_module_that_has_an_error():
    for found in pkgutil.walk_packages(app.__path__, "app."):
        if "migrations" not in found.name:  # which run as they are imported
            importlib.import_module(found.name)
    listed = set(re.findall(r"^import (app\.[\w.]+)", Path(error_table.__file__).read_text(), re.MULTILINE))

    found = {kind.__module__ for kind in error_table.list_problems()}

    assert found - listed == {"app.problems"}
    assert not listed - found


@each_problem
def test_each_error_has_what_a_caller_is_told(kind):
    assert 400 <= kind.status < 600
    assert re.fullmatch(r"[a-z_]+", kind.code)
    assert kind.sentence.endswith(".")
    assert "\n" not in kind.sentence
    assert (kind.__doc__ or "").partition("\n")[0].endswith(".")


@pytest.fixture(scope="module")
def bare():
    """An application with nothing but the handler of errors, and one route for each of them."""
    flask = Flask(__name__)
    init_request_context(flask)
    init_errors(flask)
    kinds = {kind.__name__: kind for kind in PROBLEMS}

    @flask.get("/<name>")
    def fail(name):
        raise kinds[name].__new__(kinds[name])

    return flask.test_client()


@each_problem
def test_each_error_is_answered_as_its_row_says(bare, kind):
    answer = bare.get(f"/{kind.__name__}", headers={"X-Request-ID": "r1"})

    sentence = f"{kind.field}: {kind.sentence}" if kind.field else kind.sentence
    assert answer.status_code == kind.status
    assert answer.json == {"error": sentence, "code": kind.code, "requestId": "r1"}
    assert answer.headers.get("Retry-After", type=float) == kind.retry_after_s
    assert ("WWW-Authenticate" in answer.headers) is (kind is Unauthenticated)
    assert (answer.headers.get("Connection") == "close") is (kind is Draining)


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


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (InvalidRequest.missing("query"), "Missing query."),
        (InvalidRequest.unknown("query"), "Unknown field query."),
        (InvalidRequest("must be a text.", field="query"), "query: must be a text."),
    ],
)
def test_an_invalid_request_knows_the_field_at_fault(problem, message):
    assert (problem.message, problem.field) == (message, "query")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"message": 1}', "message"),
        (b'{"nothing": 1}', "nothing"),
        (b'{"messages": [{"content": "Hi"}]}', "messages.0.role"),
        (b'{"messages": [{"role": "nobody"}]}', "messages.0.role"),
        (b'{"messages": [{"role": "user", "content": 1}]}', "messages.0.content"),
        (b'{"message": "\\u0000"}', "message"),
        (b"[]", None),
    ],
)
def test_a_body_that_is_off_names_its_field(body, field):
    with pytest.raises(InvalidRequest) as raised:
        parse_json(body, ChatRequest)

    assert raised.value.field == field
