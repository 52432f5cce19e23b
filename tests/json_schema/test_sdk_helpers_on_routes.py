"""What the helpers of the official SDKs make is accepted wherever a client sends it, plain and streamed.

What is sent keeps OpenAI's rules, and the offline model, which answers here, finds a value for each.
"""

from __future__ import annotations

import json
from functools import cache

import httpx2
import openai
import pytest
from openai.lib._pydantic import to_strict_json_schema
from pydantic import create_model

from app.offline_model.instances.instance import make_instance
from tests.fakes.tables import further
from tests.fakes.upstreams.openai_answers import completion, sse, stream_of
from tests.fakes.upstreams.strict_rules import accept
from tests.json_schema.sdk_corpus.corpus import NOT_STRICT, TYPES, ZOD, ZOD_NOT_STRICT, make_model

USER = [{"role": "user", "content": "Hi"}]


@cache
def schemas(*, accepted):
    """Each schema of the corpus by its name."""
    of_python = {f"python {name}": to_strict_json_schema(make_model(name)) for name in TYPES}
    of_node = {name: form["json_schema"]["schema"] for name, form in ZOD.items()}
    refused = {*(f"python {name}" for name in NOT_STRICT), *ZOD_NOT_STRICT}
    every = {**of_python, **of_node}
    return {name: schema for name, schema in every.items() if (name not in refused) is accepted}


def body_with_form(route, schema):
    """A request for an answer of a schema, as an SDK sends it."""
    form = {"name": "answer", "strict": True, "schema": schema}
    if route.startswith("/api/structured"):
        return {"prompt": "Hi", "schema": schema}
    if route == "/v1/responses":
        return {"input": "Hi", "text": {"format": {"type": "json_schema", **form}}}
    return {"messages": USER, "response_format": {"type": "json_schema", "json_schema": form}}


def body_with_tools(route, parameters):
    """A request with one strict function for each schema."""
    functions = [
        {"name": f"f{number}", "description": "d", "parameters": schema, "strict": True}
        for number, schema in enumerate(parameters)
    ]
    if route == "/v1/responses":
        return {"input": "Hi", "tools": [{"type": "function", **function} for function in functions]}
    return {"messages": USER, "tools": [{"type": "function", "function": function} for function in functions]}


def answer(sent):
    """What the offline model writes, if OpenAI would take the schema."""
    form = sent.body.get("response_format")
    if form is not None:
        accept(form["json_schema"]["schema"])
    text = json.dumps(make_instance(form["json_schema"]["schema"], "")) if form else "Hello"
    if sent.body.get("stream"):
        return httpx2.Response(200, headers={"Content-Type": "text/event-stream"}, content=sse(*stream_of(text)))
    return httpx2.Response(200, json=completion(text))


FORM_ROUTES = [
    ("/api/structured", False),
    ("/api/structured/stream", True),
    ("/v1/chat/completions", False),
    ("/v1/chat/completions", True),
    ("/v1/responses", False),
    ("/v1/responses", True),
]
TOOL_ROUTES = [("/api/chat", False), ("/api/chat/stream", True), *FORM_ROUTES[2:]]


def ask(client, route, streams, body):
    if streams and route.startswith("/v1"):
        body = {**body, "stream": True}
    with client.post(route, json=body) as given:
        return given.status_code, given.get_data(as_text=True)


FEW = ["python str", "python recursive", "python discriminated union", "zod4 default", "zod3 nullable object"]


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param({name: schemas(accepted=True)[name] for name in FEW}, id="a few"),
        pytest.param(schemas(accepted=True), id="every one", marks=pytest.mark.thorough),
    ],
)
@pytest.mark.parametrize(
    ("route", "streams"), [*FORM_ROUTES[:3], FORM_ROUTES[4], *further(FORM_ROUTES[3], FORM_ROUTES[5])]
)
def test_a_form_of_an_answer_is_accepted(make_app, upstream, route, streams, asked):
    client, upstream.otherwise = make_app().test_client(), answer

    for name, schema in asked.items():
        status, said = ask(client, route, streams, body_with_form(route, schema))

        assert (name, status, "error" in said.replace('"error":null', "")) == (name, 200, False), said
    assert all(sent.body["response_format"]["json_schema"]["strict"] for sent in upstream.sent)


@pytest.mark.parametrize(("route", "streams"), [*TOOL_ROUTES[::2], *further(*TOOL_ROUTES[1::2])])
def test_strict_functions_are_accepted(make_app, upstream, route, streams):
    client, upstream.otherwise = make_app().test_client(), answer
    every = list(schemas(accepted=True).values())

    for parameters in (every[:100], every[100:]):
        status, said = ask(client, route, streams, body_with_tools(route, parameters))

        assert status == 200, said
        tools = [tool["function"] for tool in upstream.sent[-1].body["tools"]]
        assert len(tools) == len(parameters)
        assert all(tool["strict"] for tool in tools)
        for tool in tools:
            accept(tool["parameters"])


@pytest.mark.parametrize(
    ("route", "streams"),
    [*FORM_ROUTES[:3], FORM_ROUTES[4], *further(FORM_ROUTES[3], FORM_ROUTES[5], *TOOL_ROUTES[:2])],
)
def test_what_openai_refuses_is_refused_before_anything_is_spent(client, upstream, route, streams):
    makers = [body_with_form] * (not route.startswith("/api/chat"))
    makers += [lambda route, schema: body_with_tools(route, [schema])] * ("structured" not in route)
    for name, schema in schemas(accepted=False).items():
        for make in makers:
            status, said = ask(client, route, streams, make(route, schema))

            assert (name, status, "unsupported_schema" in said) == (name, 400, True), said
    assert upstream.sent == []


def test_the_place_of_a_refused_schema_is_named(client):
    fine, schema = schemas(accepted=True)["python str"], schemas(accepted=False)["python dict"]

    def error_of(route, body):
        return client.post(route, json=body).json["error"]

    assert error_of("/api/chat", body_with_tools("/api/chat", [fine, schema])).startswith(
        "tools.1.function.parameters.properties.value: needs"
    )
    of_chat = error_of("/v1/chat/completions", body_with_tools("/v1/chat/completions", [fine, schema]))
    assert (of_chat["type"], of_chat["param"]) == ("invalid_request_error", "tools[1].function.parameters")
    of_responses = error_of("/v1/responses", body_with_tools("/v1/responses", [fine, schema]))
    assert (of_responses["type"], of_responses["param"]) == ("invalid_request_error", "tools[1].parameters")


def test_a_tool_of_pydantic_is_sent_without_what_says_nothing(client, upstream):
    tool = openai.pydantic_function_tool(create_model("Find", city=(str, "Oslo"), tags=(set[str], ...)))

    client.post("/v1/chat/completions", json={"messages": USER, "tools": [tool]})

    properties = upstream.sent[0].body["tools"][0]["function"]["parameters"]["properties"]
    assert "default" not in properties["city"]
    assert properties["tags"]["description"] == "(uniqueItems: true)"


def test_a_function_of_the_responses_api_that_can_be_strict_is_so(client, upstream):
    parameters = schemas(accepted=True)["zod4 default"]
    body = {"input": "Hi", "tools": [{"type": "function", "name": "f", "parameters": parameters}]}

    told = client.post("/v1/responses", json=body).json["tools"][0]

    assert upstream.sent[0].body["tools"][0]["function"]["strict"] is True
    assert (told["strict"], told["parameters"]) == (True, parameters)


def test_what_need_not_be_strict_is_sent_as_it_is(client, upstream):
    parameters = schemas(accepted=False)["python dict"]
    tools = [{"type": "function", "function": {"name": "f", "parameters": parameters, "strict": None}}]

    assert client.post("/v1/chat/completions", json={"messages": USER, "tools": tools}).status_code == 200
    sent = upstream.sent[0].body["tools"][0]["function"]
    assert (sent["parameters"], sent.get("strict")) == (parameters, None)
