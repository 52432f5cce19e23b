from __future__ import annotations

import json

import pytest

from app.config import ConfigError
from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import completion

CONTACT = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "phone": {"type": "string"}},
    "required": ["name"],
}


@pytest.fixture
def folder(data_root, tmp_path):
    return tmp_path


@pytest.fixture
def keep(make_app, folder):
    """Builds the application with these schemas, by the names of their files."""

    def make(**files):
        for name, schema in files.items():
            text = schema if isinstance(schema, str) else json.dumps(schema)
            (folder / name.replace("__", ".")).write_text(text)
        return make_app(schemas_dir=str(folder)).test_client()

    return make


def test_a_schema_that_is_kept_is_used_by_its_name(keep, upstream):
    client = keep(contact__json=CONTACT, notes__txt="no schema")
    upstream.answers(completion('{"name": "Ada", "phone": null}'))

    answer = client.post("/api/structured", json={"prompt": "x", "schemaName": "contact"})

    assert (answer.status_code, answer.json["data"]) == (200, {"name": "Ada"})
    assert "normalized" not in answer.json
    sent = upstream.sent[0].body["response_format"]["json_schema"]
    assert (sent["name"], sent["strict"], sent["schema"]["required"]) == ("contact", True, ["name", "phone"])


def test_the_model_may_be_told_another_name(keep, upstream):
    client = keep(contact__json=CONTACT)

    client.post("/api/structured", json={"prompt": "x", "schemaName": "contact", "name": "person"})

    assert upstream.sent[0].body["response_format"]["json_schema"]["name"] == "person"


@pytest.fixture
def keeping(keep):
    return keep(contact__json=CONTACT)


@each_row(
    ("fields", "named"),
    [
        ({"schemaName": "unknown-one"}, "unknown-one"),
        ({"schemaName": "../contact"}, "schemaName"),
        ({"schemaName": ""}, "schemaName"),
        ({"schemaName": "contact", "schema": CONTACT}, "schemaName"),
        ({"schemaName": "contact", "strict": False}, "strict"),
        ({"normalize": True}, "normalize"),
        ({"normalize": True, "schema": CONTACT, "strict": False}, "normalize"),
    ],
)
@each_row("route", ["/api/structured", "/api/structured/stream"])
def test_fields_that_do_not_go_together_are_refused_by_name(keeping, upstream, route, fields, named):
    answer = keeping.post(route, json={"prompt": "x", **fields})

    assert (answer.status_code, answer.json["code"]) == (400, "invalid_request")
    assert named in answer.json["error"]
    assert upstream.sent == []


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"bad__json": "{"}, ["bad.json", "JSON"]),
        ({"list__json": "[]"}, ["list.json", "object"]),
        ({"deep__json": '{"a":' * 100 + "1" + "}" * 100}, ["deep.json", "nested"]),
        ({"two words__json": CONTACT}, ["two words.json", "name"]),
        ({"open__json": {**CONTACT, "additionalProperties": {"type": "string"}}}, ["open.json", "schema: needs"]),
        ({"a__json": {"type": "array"}, "b__json": {}}, ["a.json", "b.json"]),
        (
            {"odd__json": {**CONTACT, "properties": {"name": {"type": "number", "minimum": "0"}}}},
            ["odd.json", "schema.properties.name.minimum", "number"],
        ),
    ],
    ids=str,
)
def test_a_schema_that_cannot_be_used_stops_the_start_and_is_named(keep, files, told):
    with pytest.raises(ConfigError) as caught:
        keep(**files)

    assert all(part in str(caught.value) for part in [*told, "SCHEMAS_DIR"]), str(caught.value)


def test_a_file_that_cannot_be_read_stops_the_start_and_is_named(keep, folder):
    (folder / "contact.json").mkdir()

    with pytest.raises(ConfigError, match=r"contact\.json: cannot be read"):
        keep()
