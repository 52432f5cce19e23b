from __future__ import annotations

import io
import itertools
import json
import time
from typing import Any

import orjson
import pytest

from tests.fakes.tables import crossed, each_row
from tests.fakes.wire.bodies import (
    EVERY_ROUTE as ROUTES,
)
from tests.fakes.wire.bodies import (
    EVERY_SMALLEST as SMALLEST,
)
from tests.fakes.wire.bodies import (
    IMAGE_URL,
    SCHEMA,
    TEXT_AT,
    TOOL,
    TURNS,
    USER,
    placed,
    refusal_of,
)

SECRET = "CANARY"
# Routes whose bodies are checked as those of another route are.
STREAMS = ["/api/chat/stream", "/api/vision/stream", "/api/structured/stream"]
CHAT = ["/api/chat", "/api/chat/stream"]
VISION = ["/api/vision", "/api/vision/stream"]
WITH_TURNS = {"messages": TURNS}
WITH_TOOLS = {"message": "Hi", "tools": [TOOL]}
WITH_CHOICE = {**WITH_TOOLS, "toolChoice": {"type": "function", "function": {"name": "get_weather"}}}
SETTINGS = {"chatSettings": {}, "messages": TURNS}
IMAGES = {"prompt": "Hi", "images": [IMAGE_URL]}
SEARCH = {"query": "Hi", "documents": ["Ho"]}
PROMPT = {"prompt": "Hi"}

KINDS: dict[str, Any] = {
    "null": None,
    "bool": True,
    "int": 7,
    "number": 1.5,
    "string": SECRET,
    "list": [SECRET],
    "object": {"type": SECRET},
}

MESSAGES = [
    ("messages", "list null"),
    ("messages.0", "object"),
    ("messages.0.role", "string"),
    ("messages.0.content", "string"),
    ("messages.1.content", "string null"),
    ("messages.1.toolCalls", "list null"),
    ("messages.1.toolCalls.0", "object"),
    ("messages.1.toolCalls.0.id", "string"),
    ("messages.1.toolCalls.0.type", "string"),
    ("messages.1.toolCalls.0.function", "object"),
    ("messages.1.toolCalls.0.function.name", "string"),
    ("messages.1.toolCalls.0.function.arguments", "string"),
    ("messages.2.toolCallId", "string"),
    ("messages.2.content", "string"),
    ("messages.3.content", "string"),
]
SAMPLING = [("model", "string null"), ("temperature", "int number null"), ("maxTokens", "int null")]
TOOLS = [
    ("tools", "list null"),
    ("tools.0", "object"),
    ("tools.0.type", "string"),
    ("tools.0.function", "object"),
    ("tools.0.function.name", "string"),
    ("tools.0.function.description", "string"),
    ("tools.0.function.parameters", "object"),
    ("tools.0.function.strict", "bool null"),
]
CHOICE = [("toolChoice", "null"), ("toolChoice.function", ""), ("toolChoice.function.name", "string")]
ASKING = [("message", "string null"), ("userMessage", "string null"), ("systemPrompt", "string null")]
LOOKING = [("prompt", "string"), ("detail", ""), ("model", "string null"), ("maxTokens", "int null")]
COMPARING = [("query", "string null"), ("documents", "list null"), ("documents.0", "string"), ("topK", "int null")]
FILLING = [
    ("prompt", "string null"),
    ("schema", "object null"),
    ("name", "string"),
    ("schemaName", "string null"),
    ("strict", "bool"),
    ("normalize", "bool"),
    ("systemPrompt", "string null"),
]

# Each field of each route: where it stands, in which body, and the kinds of JSON that are right there.
FIELDS = [
    *[(route, WITH_TURNS, *field) for route in CHAT for field in MESSAGES],
    *[(route, WITH_TOOLS, *field) for route in CHAT for field in TOOLS],
    *[(route, WITH_CHOICE, *field) for route in CHAT for field in CHOICE],
    *[(route, {"messages": [USER]}, *field) for route in CHAT for field in [*ASKING, *SAMPLING]],
    *[("/api/chat/openai", SETTINGS, *field) for field in [("messages", "list"), *MESSAGES[1:]]],
    *[("/api/chat/openai", SETTINGS, f"chatSettings.{name}", kinds) for name, kinds in SAMPLING],
    ("/api/chat/openai", SETTINGS, "chatSettings", "object"),
    *[(route, IMAGES, *field) for route in VISION for field in LOOKING],
    *[(route, IMAGES, *field) for route in VISION for field in [("images", "list null"), ("images.0", "")]],
    *[(route, PROMPT, "imageUrl", "null") for route in VISION],
    ("/api/embeddings", {"input": ["Hi"]}, "input", "string list"),
    ("/api/embeddings", {"input": ["Hi"]}, "input.0", "string"),
    ("/api/embeddings", {"input": "Hi"}, "model", "string null"),
    ("/api/embeddings", {"input": "Hi"}, "dimensions", "int null"),
    ("/api/embeddings/similarity", {"b": "Hi"}, "a", "string"),
    ("/api/embeddings/similarity", {"a": "Hi"}, "b", "string"),
    *[("/api/embeddings/similarity", SEARCH, *field) for field in [*COMPARING, SAMPLING[0]]],
    *[("/api/structured", WITH_TURNS, *field) for field in MESSAGES],
    *[("/api/structured", PROMPT, *field) for field in [*FILLING, *SAMPLING]],
]
REQUIRED = [
    (route, body, where)
    for route, body, where, kinds in FIELDS
    if where.rsplit(".", 1)[-1] in {"role", "content", "id", "name", "arguments", "toolCallId", "function"}
    and "null" not in kinds
    and (route, where) != ("/api/structured", "name")
]

LONG = 500_001
DEEP = json.loads("[" * 300 + "]" * 300)
SPOILT = [
    *[
        (route, SMALLEST[route], TEXT_AT[route], text)
        for route in ROUTES
        for text in ("", " \n\t\u00a0\u3000", "x" * LONG, "x" * 1_000_000, " " * 1_000_000)
    ],
    *[
        (route, {"messages": [USER]}, where, value)
        for route in CHAT
        for where, value in [
            ("userMessage", ""),
            ("systemPrompt", " "),
            ("systemPrompt", "x" * LONG),
            ("messages", []),
            ("messages", [USER] * 2_001),
            ("messages.0.content", " "),
            ("messages.0.content", "x" * LONG),
            ("messages.0.role", ""),
            ("messages.0.role", "x" * 100_000),
            ("tools", []),
        ]
    ],
    *[
        (route, WITH_TURNS, where, value)
        for route in [*CHAT, "/api/structured"]
        for where, value in [
            ("messages.1.toolCalls.0.id", ""),
            ("messages.1.toolCalls.0.type", "custom"),
            ("messages.2.toolCallId", "call_2"),
            ("messages.2.content", "x" * LONG),
        ]
    ],
    *[
        (route, WITH_TOOLS, where, value)
        for route in CHAT
        for where, value in [
            ("tools", [TOOL] * 129),
            ("tools.0.type", "web_search"),
            ("tools.0.function.description", "x" * 10_001),
            ("toolChoice", "always"),
            ("toolChoice", {"type": "function", "function": {"name": "other"}}),
            *[("tools.0.function.name", name) for name in ("", "a b", "x" * 65, "é", "name\n", "../x")],
        ]
    ],
    *[
        (route, body, f"{prefix}{where}", value)
        for route, body, prefix in [
            ("/api/chat", SMALLEST["/api/chat"], ""),
            ("/api/chat/openai", SETTINGS, "chatSettings."),
            ("/api/structured", PROMPT, ""),
        ]
        for where, value in [
            ("temperature", -0.01),
            ("temperature", 2.01),
            ("temperature", 1e308),
            ("temperature", "1"),
            *[("maxTokens", number) for number in (0, -1, 10_000_001, 2**63, 2**64, 2**64 + 1, 1.0, "1")],
            ("model", ""),
            ("model", "x" * 201),
        ]
    ],
    *[
        (route, {"messages": [USER, {"role": "assistant"}, USER]}, "messages.1.data", DEEP)
        for route in ("/api/chat", "/api/chat/stream")
    ],
    *[
        (route, body, where, value)
        for route in VISION
        for body, where, value in [
            (IMAGES, "images", []),
            (IMAGES, "images", [IMAGE_URL] * 11),
            (IMAGES, "detail", "ultra"),
            (IMAGES, "maxTokens", 0),
            (PROMPT, "imageUrl", ""),
        ]
    ],
    ("/api/embeddings", {}, "input", []),
    ("/api/embeddings", {}, "input", ["x"] * 2_049),
    ("/api/embeddings", {}, "input", ["x", ""]),
    ("/api/embeddings", {}, "input", ["x", "x" * LONG]),
    *[("/api/embeddings", {"input": "x"}, "dimensions", number) for number in (0, -1, 3_073, 2**64)],
    ("/api/embeddings/similarity", SEARCH, "query", " "),
    ("/api/embeddings/similarity", SEARCH, "documents", []),
    ("/api/embeddings/similarity", SEARCH, "documents", ["x"] * 2_048),
    ("/api/embeddings/similarity", SEARCH, "documents", ["x", " "]),
    *[("/api/embeddings/similarity", SEARCH, "topK", number) for number in (0, -1)],
    *[("/api/structured", PROMPT, "name", name) for name in ("", "a b", "x" * 65, "é", "name\n")],
]

# What cannot stand in any JSON text of ours, put where a text belongs.
NOT_TEXT = {
    "NaN": b"NaN",
    "Infinity": b"Infinity",
    "-Infinity": b"-Infinity",
    "1e400": b"1e400",
    "5000 digits": b"1" * 5_000,
    "400 digits": b"1" * 400,
    "high surrogate": rb'"CANARY\ud83d"',
    "low surrogate": rb'"CANARY\ude00"',
    "surrogates swapped": rb'"CANARY\ude00\ud83d"',
    "escaped NUL": rb'"CANARY\u0000"',
    "raw NUL": b'"CANARY\0"',
    "raw line end": b'"CANARY\n"',
    "no UTF-8": b'"CANARY\xff"',
    "Latin-1": '"CANARYé"'.encode("latin-1"),
    "overlong": b'"CANARY\xc0\xaf"',
    "surrogate in UTF-8": b'"CANARY\xed\xa0\xbd"',
    "past Unicode": b'"CANARY\xf4\x90\x80\x80"',
    "cut character": b'"CANARY\xf0\x9f\x98"',
    "unknown escape": rb'"CANARY\x41"',
    "no end": b'"CANARY',
    "deep lists": b"[" * 10_000 + b"]" * 10_000,
    "deep objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
}
NOT_OBJECTS = {
    "list": b'[{"message": "CANARY"}]',
    "number": b"5",
    "string": b'"CANARY"',
    "true": b"true",
    "null": b"null",
    "nothing": b"",
    "blank": b"  \n",
    "two": b'{"message": "CANARY"}{}',
    "text behind": b'{"message": "CANARY"} x',
    "single quotes": b"{'message': 'CANARY'}",
    "comma at the end": b'{"message": "CANARY",}',
    "comment": b'{"message": "CANARY"} // x',
    "a form's fields": b"message=CANARY",
    "UTF-16": '{"message": "CANARY"}'.encode("utf-16"),
    "UTF-32": '{"message": "CANARY"}'.encode("utf-32"),
    "two BOMs": b'\xef\xbb\xbf\xef\xbb\xbf{"message": "CANARY"}',
    "gzip": b"\x1f\x8b\x08\x00CANARY",
    "deep lists": b"[" * 10_000 + b"]" * 10_000,
    "deep objects": b'{"message":' * 10_000 + b"1" + b"}" * 10_000,
    "deep and open": b"[" * 100_000,
}

TOGETHER = [
    *[
        (route, body, name)
        for route in CHAT
        for body, name in [
            ({}, "userMessage"),
            ({"message": "Hi", "messages": [USER]}, "messages"),
            ({"message": "Hi", "userMessage": "Hi"}, "userMessage"),
            ({"message": "Hi", "toolChoice": "auto"}, "toolChoice"),
            ({"message": None}, "userMessage"),
            ({"messages": [TURNS[2], *TURNS[:2]]}, "messages.0.toolCallId"),
        ]
    ],
    ("/api/chat/openai", {"messages": [{"role": "user", "content": "Hi"}]}, "chatSettings"),
    ("/api/chat/openai", {"chatSettings": {}}, "messages"),
    *[(route, {"prompt": "Hi"}, "imageUrl") for route in VISION],
    *[(route, {"imageUrl": IMAGE_URL}, "prompt") for route in VISION],
    *[(route, {**IMAGES, "imageUrl": IMAGE_URL}, "imageUrl") for route in VISION],
    ("/api/embeddings", {}, "input"),
    ("/api/embeddings/similarity", {}, "a"),
    ("/api/embeddings/similarity", {"a": "x"}, "b"),
    ("/api/embeddings/similarity", {"query": "x"}, "documents"),
    ("/api/embeddings/similarity", {"documents": ["x"]}, "query"),
    ("/api/embeddings/similarity", {"topK": 1}, "query"),
    ("/api/embeddings/similarity", {"a": "x", "b": "x", "query": "x", "documents": ["x"]}, "query"),
    ("/api/embeddings/similarity", {"a": "x", "b": "x", "topK": 1}, "query"),
    ("/api/structured", {}, "prompt"),
    ("/api/structured", {"prompt": "x", "messages": [USER]}, "prompt"),
]

UNKNOWN = [
    *[
        (route, SMALLEST[route], "stream")
        for route in ROUTES
        if route not in ("/v1/chat/completions", "/v1/responses")
    ],
    *[(route, SMALLEST[route], "CONSTRUCTOR") for route in ROUTES],
    *[(route, SMALLEST[route], "__proto__") for route in ROUTES],
    ("/api/chat", SMALLEST["/api/chat"], "user_message"),
    ("/api/chat", SMALLEST["/api/chat"], "max_tokens"),
    ("/api/chat", WITH_TURNS, "messages.0.name"),
    ("/api/chat", WITH_TURNS, "messages.0.toolCalls"),
    ("/api/chat", WITH_TURNS, "messages.1.voice"),
    ("/api/chat", WITH_TURNS, "messages.1.toolCalls.0.number"),
    ("/api/chat", WITH_TURNS, "messages.1.toolCalls.0.function.strict"),
    ("/api/chat", WITH_TURNS, "messages.2.name"),
    ("/api/chat", WITH_TOOLS, "tools.0.name"),
    ("/api/chat", WITH_TOOLS, "tools.0.function.returns"),
    ("/api/chat/openai", SETTINGS, "chatSettings.presence"),
    ("/api/chat/openai", SETTINGS, "messages.0.name"),
    ("/api/structured", WITH_TURNS, "messages.0.name"),
]

# Stands for very many members: to copy them, and to write them as JSON, takes longer than to refuse them.
MANY = {"MANY": 1}
MANY_IN_JSON = ", ".join(f'"k{number:06d}": 1' for number in range(110_000))
FLOODS = {
    "the body": ("/api/chat", MANY),
    "a tool call's function": ("/api/chat", placed(WITH_TURNS, "messages.1.toolCalls.0.function", MANY)),
    "the chosen function": ("/api/chat", placed(WITH_CHOICE, "toolChoice.function", MANY)),
    "a message beside settings": ("/api/chat/openai", placed(SETTINGS, "messages.0", {**USER, **MANY})),
    "a question about an image": ("/api/vision", MANY),
    "an input": ("/api/embeddings", {"input": [MANY]}),
    "documents": ("/api/embeddings/similarity", {"query": "x", "documents": [MANY]}),
    "a schema": ("/api/structured", {"prompt": "x", "schema": MANY}),
}
# Of the same kinds: fields of an object, and an object in place of a text.
MORE_FLOODS = {
    "a message": ("/api/chat", {"messages": [{"role": "user", **MANY}]}),
    "a tool call": ("/api/chat", placed(WITH_TURNS, "messages.1.toolCalls.0", MANY)),
    "a tool": ("/api/chat", placed(WITH_TOOLS, "tools.0", MANY)),
    "a tool's function": ("/api/chat", placed(WITH_TOOLS, "tools.0.function", MANY)),
    "the choice of a tool": ("/api/chat", placed(WITH_TOOLS, "toolChoice", MANY)),
    "settings": ("/api/chat/openai", {"chatSettings": MANY, "messages": [USER]}),
    "inputs": ("/api/embeddings", {"input": MANY}),
    "a name": ("/api/structured", {"prompt": "x", "name": MANY}),
}


def is_its_own(route, **_):
    """Return whether a row is of a route with bodies of its own. The other rows are left to `make thorough`."""
    return route not in STREAMS


@each_row(("route", "body", "where", "kinds"), FIELDS, ids=[f"{f[0]} {f[2]}" for f in FIELDS], quickly=is_its_own)
def test_a_field_of_the_wrong_type_is_refused_and_named(client, upstream, route, body, where, kinds):
    for kind, value in KINDS.items():
        if kind in kinds.split():
            continue

        sentence = refusal_of(client.post(route, json=placed(body, where, value)))

        assert where.split(".")[0] in sentence, (kind, sentence)
        assert SECRET not in sentence, (kind, sentence)
    assert upstream.sent == []


@each_row(("route", "body", "where"), REQUIRED, ids=[f"{f[0]} {f[2]}" for f in REQUIRED], quickly=is_its_own)
def test_a_missing_inner_field_is_named_with_its_path(client, upstream, route, body, where):
    body = placed(body, where, None)
    parent: Any = body
    for part in where.split(".")[:-1]:
        parent = parent[int(part) if part.isdigit() else part]
    del parent[where.rsplit(".", 1)[-1]]

    sentence = refusal_of(client.post(route, json=body))

    assert where.rsplit(".", 1)[0] in sentence
    assert upstream.sent == []


@each_row(
    ("route", "body", "where", "value"),
    SPOILT,
    ids=[f"{s[0]} {s[2]} {str(s[3])[:12]!a}" for s in SPOILT],
    quickly=is_its_own,
)
def test_a_value_out_of_bounds_is_refused_and_named(client, upstream, route, body, where, value):
    answer = client.post(route, json=placed(body, where, value))

    sentence = refusal_of(answer)
    assert where.split(".")[0] in sentence
    assert len(sentence) < 400
    assert upstream.sent == []


@each_row(
    ("route", "name"),
    itertools.product(ROUTES, NOT_TEXT),
    quickly=lambda route, name: route == "/api/chat" or (name == next(iter(NOT_TEXT)) and is_its_own(route)),
)
def test_what_json_or_unicode_cannot_hold_is_refused_in_place_of_a_text(client, upstream, route, name):
    body = json.dumps(placed(SMALLEST[route], TEXT_AT[route], "HERE")).encode().replace(b'"HERE"', NOT_TEXT[name])

    sentence = refusal_of(client.post(route, data=body, content_type="application/json"))

    assert SECRET not in sentence
    assert upstream.sent == []


@each_row("name", ["NaN", "Infinity", "high surrogate", "escaped NUL"])
@each_row("route", ROUTES)
def test_the_field_is_named_where_the_body_would_be_json_but_for_one_value(client, route, name):
    body = json.dumps(placed(SMALLEST[route], TEXT_AT[route], "HERE")).encode().replace(b'"HERE"', NOT_TEXT[name])

    assert TEXT_AT[route] in refusal_of(client.post(route, data=body, content_type="application/json"))


@each_row("number", ["NaN", "Infinity", "-Infinity", "1e400", "1" * 400, "1" * 5_000])
@each_row(
    ("route", "field"),
    [("/api/chat", "temperature"), ("/api/chat", "maxTokens"), ("/api/embeddings", "dimensions")],
)
def test_a_number_that_is_none_is_refused(client, upstream, route, field, number):
    body = json.dumps({**SMALLEST[route], field: 5}).replace("5", number)

    refusal_of(client.post(route, data=body, content_type="application/json"))

    assert upstream.sent == []


@each_row(
    ("route", "name"),
    itertools.product(ROUTES, NOT_OBJECTS),
    quickly=lambda route, name: route == "/api/chat" or (name == next(iter(NOT_OBJECTS)) and is_its_own(route)),
)
def test_a_body_that_is_no_json_object_is_refused(client, upstream, route, name):
    answer = client.post(route, data=NOT_OBJECTS[name], content_type="application/json")

    assert SECRET not in refusal_of(answer)
    assert answer.status_code == 400
    assert upstream.sent == []


@each_row(("route", "body", "name"), TOGETHER)
def test_fields_that_do_not_go_together_are_refused(client, upstream, route, body, name):
    assert name in refusal_of(client.post(route, json=body))
    assert upstream.sent == []


@each_row(("route", "body", "where"), UNKNOWN, quickly=is_its_own)
def test_an_unknown_field_is_refused_and_named(client, upstream, route, body, where):
    sentence = refusal_of(client.post(route, json=placed(body, where, SECRET)))

    told, _, hint = sentence.rstrip(".").partition(": ")
    assert told == f"Unknown field {where}"
    assert SECRET not in hint
    assert upstream.sent == []


@each_row("role", ["System", "USER", "Developer", "function", "bot", " user", "user\n", "CANARY"])
@each_row("route", [*CHAT, "/api/chat/openai", "/api/structured"])
def test_a_role_that_is_none_is_refused_without_being_repeated(client, upstream, route, role):
    messages = [{"role": role, "content": "Hi"}]
    body = {"chatSettings": {}} if route == "/api/chat/openai" else {}

    sentence = refusal_of(client.post(route, json={**body, "messages": messages}))

    assert "messages.0" in sentence
    assert not {"CANARY", "Developer", "bot"} & set(sentence.replace("'", " ").split())
    assert upstream.sent == []


@each_row("value", [5, [5], [""], "", "x" * LONG, None, {}])
def test_an_input_is_named_as_the_caller_wrote_it(client, value):
    sentence = refusal_of(client.post("/api/embeddings", json={"input": value}))

    assert sentence.startswith("input.0: " if isinstance(value, list) else "input: ")


@each_row("choice", ["always", 5, {}, {"type": "x"}, {"type": "function", "function": {"name": ""}}])
def test_the_choice_of_a_tool_is_named_as_the_caller_wrote_it(client, choice):
    sentence = refusal_of(client.post("/api/chat", json={**WITH_TOOLS, "toolChoice": choice}))

    assert sentence.replace("Missing ", "").startswith("toolChoice")
    assert "literal[" not in sentence
    assert "NamedTool" not in sentence


@each_row("depth", [65, 500, 900, 10_000])
@each_row("brackets", ['{"a":|}', "[|]"])
@each_row(
    ("route", "template"),
    [
        ("/api/structured", '{"prompt": "x", "schema": {"enum": HERE}}'),
        ("/api/structured", '{"prompt": "x", "strict": false, "schema": {"enum": HERE}}'),
        (
            "/api/chat",
            '{"message": "x", "tools": [{"type": "function", "function": {"name": "f", "parameters": {"a": HERE}}}]}',
        ),
    ],
)
def test_a_schema_nested_too_deeply_is_refused(client, upstream, route, template, brackets, depth):
    opening, closing = brackets.split("|")
    body = template.replace("HERE", opening * depth + "1" + closing * depth)

    refusal_of(client.post(route, data=body, content_type="application/json"))

    assert upstream.sent == []


@each_row(
    ("route", "body"),
    [*FLOODS.values(), *MORE_FLOODS.values()],
    ids=[*FLOODS, *MORE_FLOODS],
    quickly=lambda route, body: (route, body) in FLOODS.values(),
)
def test_a_flood_of_unknown_names_is_refused_in_little_more_than_the_time_of_reading_it(client, route, body):
    data = json.dumps(body).replace('"MANY": 1', MANY_IN_JSON).encode()
    assert len(data) > 1_500_000
    started = time.process_time()
    orjson.loads(data)
    reading_s = time.process_time() - started

    started = time.process_time()
    answer = client.post(route, data=data, content_type="application/json")

    assert time.process_time() - started < 5 * reading_s + 0.1
    assert len(refusal_of(answer)) < 400


def test_finding_a_nul_takes_time_and_memory_in_proportion_to_the_body(client):
    # Names that add up to a path of 180,000 characters, below which there are 2,000 values.
    names, values = b'{"' + b"n" * 200 + b'":', b",".join([b"1"] * 2_000)
    body = rb'{"x": "\u0000", "a": ' + names * 900 + b"[" + values + b"]" + b"}" * 901

    started = time.process_time()
    refusal_of(client.post("/api/chat", data=body, content_type="application/json"))

    assert time.process_time() - started < 0.1


def test_a_schema_of_many_properties_is_refused_in_time(client, upstream):
    names = [f"p{number}" for number in range(20_000)]
    schema = {**SCHEMA, "properties": {name: {"type": "null"} for name in names}, "required": names}

    started = time.process_time()
    refusal_of(client.post("/api/structured", json={"prompt": "x", "schema": schema}))

    assert time.process_time() - started < 0.5
    assert upstream.sent == []


@each_row(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "text/plain;charset=UTF-8",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/json-seq",
        "text/json",
        "json",
    ],
)
@each_row("route", ROUTES)
def test_a_body_of_another_type_is_refused(client, upstream, route, content_type):
    if route in VISION and content_type and content_type.startswith("multipart"):
        pytest.skip("uploads are taken here")

    answer = client.post(route, data=json.dumps(SMALLEST[route]), content_type=content_type)

    assert answer.status_code == 415
    refusal_of(answer)
    assert upstream.sent == []


@each_row("content_type", ["application/json; charset=utf-8", "Application/JSON", "application/json;"])
def test_parameters_and_case_of_the_content_type_do_not_matter(client, content_type):
    assert client.post("/api/chat", data=b'{"message": "Hi"}', content_type=content_type).status_code == 200


@pytest.fixture
def narrow(make_app):
    """Asks an application that takes small bodies only."""
    return make_app(max_body_bytes=200).test_client()


@each_row("route", ROUTES)
@each_row("declared", [True, False])
def test_a_body_larger_than_the_limit_is_refused(narrow, upstream, route, declared):
    data = json.dumps(placed(SMALLEST[route], TEXT_AT[route], SECRET * 40)).encode()
    # Chunked, it has no length that could be looked at beforehand.
    sent = {"data": data} if declared else {"input_stream": io.BytesIO(data)}
    environ = {} if declared else {"wsgi.input_terminated": True}

    answer = narrow.post(route, content_type="application/json", environ_overrides=environ, **sent)

    assert answer.status_code == 413
    assert SECRET not in refusal_of(answer)
    assert upstream.sent == []


def test_a_body_of_exactly_the_limit_is_taken(make_app):
    data = b'{"message": "Hi"}'

    client = make_app(max_body_bytes=len(data)).test_client()

    assert client.post("/api/chat", data=data, content_type="application/json").status_code == 200


@each_row("route", ROUTES)
def test_a_model_that_is_not_offered_is_refused_without_being_repeated(client, upstream, route):
    where = "chatSettings.model" if route == "/api/chat/openai" else "model"

    answer = client.post(route, json=placed(SMALLEST[route], where, "gpt-CANARY"))

    assert answer.status_code == 403
    assert SECRET not in answer.text
    assert upstream.sent == []


PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20


@each_row(
    ("fields", "name"),
    [
        ({}, "image"),
        ({"image": []}, "image"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": " "}, "prompt"),
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": "CANARY\0"}, "prompt"),
        ({"detail": "CANARY"}, "detail"),
        ({"detail": ["low", "low"]}, "detail"),
        *[
            ({"maxTokens": text}, "maxTokens")
            for text in ("", "CANARY", "1.5", "-1", "0", "٣", "²", "9" * 30, "1e3")
        ],
        ({"imageUrl": IMAGE_URL}, "imageUrl"),
        ({"images": IMAGE_URL}, "images"),
        ({"extra": "CANARY"}, "extra"),
        ({"x" * 5_000: "CANARY"}, "xxx"),
        ({"file": PNG}, "file"),
        ({"prompt": b"CANARY"}, "prompt"),
        ({"image": "CANARY"}, "image"),
    ],
)
@each_row("route", VISION, quickly=is_its_own)
def test_a_form_that_is_off_is_refused_and_its_field_named(client, upstream, route, fields, name):
    form = {"prompt": "Hi", "image": PNG, **fields} if fields else {"prompt": "Hi"}
    form = {
        key: (io.BytesIO(value), "a.png") if isinstance(value, bytes) else value for key, value in form.items()
    }

    sentence = refusal_of(client.post(route, data=form, content_type="multipart/form-data"))

    assert name in sentence
    assert SECRET not in sentence
    assert len(sentence) < 400
    assert upstream.sent == []


@each_row("data", [b"", b"GIF", b"CANARY", b"RIFF", b"<svg xmlns=''/>", b"BM" + b"\0" * 60])
@each_row("route", VISION)
def test_an_upload_that_is_no_image_is_refused(client, upstream, route, data):
    form = {"prompt": "Hi", "image": (io.BytesIO(data), "a.png", "image/png")}

    answer = client.post(route, data=form, content_type="multipart/form-data")

    assert answer.json["code"] == "invalid_image"
    assert refusal_of(answer).startswith("image.0")
    assert upstream.sent == []


@pytest.mark.parametrize("route", VISION)
def test_more_files_than_the_most_are_refused(client, upstream, route):
    form = {"prompt": "Hi", "image": [(io.BytesIO(PNG), f"{number}.png") for number in range(11)]}

    assert "image" in refusal_of(client.post(route, data=form, content_type="multipart/form-data"))
    assert upstream.sent == []


@each_row(
    "data",
    [
        b"",
        b"CANARY",
        b"--b",
        b"--b--\r\n",
        b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nCANARY',
        b"--b\r\n\r\nCANARY\r\n--b--\r\n",
        b'--b\r\nContent-Disposition: form-data; name="prompt"\r\nX: ' + b"x" * 100_000,
        b'--b\r\nContent-Disposition: form-data; name="p"\r\n\r\nx\r\n' * 1_500 + b"--b--\r\n",
        b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n' + b"x" * 900_000 + b"\r\n--b--\r\n",
    ],
)
@each_row("route", VISION)
def test_a_form_that_is_none_is_refused(client, upstream, route, data):
    answer = client.post(route, data=data, content_type="multipart/form-data; boundary=b")

    assert SECRET not in refusal_of(answer)
    assert upstream.sent == []


def test_a_name_of_many_characters_is_cut_in_the_sentence(client):
    sentence = refusal_of(client.post("/api/chat", json={"message": "Hi", "x" * 100_000: 1}))

    assert sentence.startswith("Unknown field xxx")
    assert len(sentence) < 300


def test_a_name_with_control_characters_cannot_write_into_the_sentence(client):
    sentence = refusal_of(client.post("/api/chat", json={"message": "Hi", "a\r\nSet-Cookie: b\u202e": 1}))

    assert sentence == "Unknown field a??Set-Cookie: b?."


def test_the_bodies_that_are_spoilt_here_are_whole_before(make_app, upstream):
    client = make_app(breaker_failures=1_000).test_client()  # a plain answer is none to a stream
    bodies = [*SMALLEST.items(), *[("/api/chat", body) for body in (WITH_TURNS, WITH_TOOLS, WITH_CHOICE)]]
    bodies += [("/api/chat/openai", SETTINGS), ("/api/vision", IMAGES), ("/api/embeddings/similarity", SEARCH)]
    for route, body in bodies:
        upstream.sent.clear()

        client.post(route, json=body)

        assert upstream.sent, route


@pytest.mark.parametrize(("filler", "end"), crossed(["0", "[]", "{}"], ["", ",NaN", ',"\\u0000"']))
def test_millions_of_values_are_refused_in_time_and_memory(make_app, upstream, filler, end):
    client = make_app(max_json_bytes=20 * 1024 * 1024).test_client()
    body = '{"prompt":[' + ",".join([filler] * 2_000_000) + end + "]}"
    began = time.process_time()

    answer = client.post("/api/vision", data=body, content_type="application/json")

    assert refusal_of(answer) == "The body holds too many values."
    assert time.process_time() - began < 0.5
    assert upstream.sent == []


@each_row("text", [",[{" * 30_000, '\\",' * 30_000, "\\" * 60_000 + ",", '"' * 60_000 + ',[{"'])
def test_a_text_may_hold_what_would_separate_values(client, text):
    assert client.post("/api/chat", json={"message": text}).status_code == 200


@each_row("hidden", ['"\\\\",', '"\\\\\\"",', '"\\"[",'])
def test_values_cannot_hide_behind_escapes(client, hidden):
    body = '{"prompt":[' + hidden * 100_000 + "0]}"

    answer = client.post("/api/vision", data=body, content_type="application/json")

    assert refusal_of(answer) == "The body holds too many values."
