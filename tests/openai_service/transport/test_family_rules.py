"""What the table of families says of a body: no first attempt is wasted on what is known to be refused."""

from __future__ import annotations

import pytest

from app.config.models import REASONING_EFFORTS, VERBOSITIES
from app.models.families import find_family, find_refusal
from app.models.families.catalog import load_families
from app.openai_service.transport.family_rules import RESPONSES_PATH, find_nearest
from app.openai_service.transport.parameter_support import ParameterSupport
from app.openai_service.transport.request_bodies import CHAT_PATH
from tests.fakes.tables import each_row

FAMILIES = load_families()
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
FORMAT = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
MESSAGES = [{"role": "user", "content": "Hi"}]
# What each operation sends besides its messages.
OPERATIONS = {
    "chat": {},
    "stream": {"stream": True, "stream_options": {"include_usage": True}},
    "structured": {"response_format": FORMAT},
    "tools": {"tools": [TOOL], "tool_choice": "auto"},
}
PARAMETERS = [
    *({"reasoning_effort": effort} for effort in REASONING_EFFORTS),
    *({"verbosity": verbosity} for verbosity in VERBOSITIES),
    {"temperature": 0.5},
    {"temperature": 0},
    {"top_p": 0.5},
    {"stop": ["END"]},
    {"seed": 7},
    {"max_tokens": 50},
    {"service_tier": "flex"},
    {"temperature": 0.5, "reasoning_effort": "none"},
    {"temperature": 0.5, "reasoning_effort": "high", "verbosity": "low", "stop": "END", "top_p": 1, "seed": 1},
]
LIVE = [name for name, family in FAMILIES.items() if family.chat and family.shutdown is None]


def adapt(path, model, body):
    return ParameterSupport().adapt(path, model, body)


@each_row("operation", OPERATIONS)
@each_row("model", LIVE)
def test_no_family_is_sent_what_it_is_known_to_refuse(model, operation):
    for parameters in [{}, *PARAMETERS]:
        body = {"messages": MESSAGES, "max_completion_tokens": 100, **OPERATIONS[operation], **parameters}
        if "max_tokens" in parameters:
            del body["max_completion_tokens"]
        if operation == "tools" and FAMILIES[model].chat_tools == "never":
            continue  # nothing makes it take them: it needs the other endpoint
        sent, _ = adapt(CHAT_PATH, model, body)

        refusal = find_refusal(CHAT_PATH, {"model": model, **sent})

        assert refusal is None, (parameters, sent, refusal)
        kept = {name for name in ("messages", "tools", "tool_choice", "response_format", "stream") if name in body}
        assert {name: sent.get(name) for name in kept} == {name: body[name] for name in kept}


@pytest.mark.parametrize("model", LIVE)
def test_what_a_family_accepts_is_sent_as_it_is(model):
    for parameters in PARAMETERS:
        body = {"messages": MESSAGES, **parameters}
        if find_refusal(CHAT_PATH, {"model": model, **body}) is None:
            assert adapt(CHAT_PATH, model, body) == (body, {}), parameters


@pytest.mark.parametrize("model", LIVE)
def test_every_change_is_told(model):
    for parameters in PARAMETERS:
        body = {"messages": MESSAGES, "tools": [TOOL], **parameters}
        sent, said = adapt(CHAT_PATH, model, body)

        assert bool(said) == (sent != body), parameters
        assert len(said) == len({name for name in {*sent, *body} if sent.get(name) != body.get(name)}) - (
            "max_tokens" in said  # one parameter under two names
        )


@pytest.mark.parametrize(
    ("model", "body", "said"),
    [
        ("gpt-6.1-terra", {"temperature": 0.5, "top_p": 0.5}, {"temperature": "dropped", "topP": "dropped"}),
        ("gpt-6.1-terra", {"temperature": 0.5, "reasoning_effort": "none"}, {}),
        ("gpt-6.1-terra", {"tools": [TOOL]}, {"reasoningEffort": "none"}),
        ("gpt-6.1-terra", {"tools": [TOOL], "reasoning_effort": "high"}, {"reasoningEffort": "none"}),
        ("gpt-6.1-terra", {"tools": [TOOL], "temperature": 0.5}, {"reasoningEffort": "none"}),
        ("gpt-5.4", {"tools": [TOOL]}, {}),
        ("gpt-5.4", {"temperature": 0.5}, {}),
        ("gpt-5.4", {"temperature": 0.5, "reasoning_effort": "low"}, {"temperature": "dropped"}),
        ("gpt-6-luna-2027-01-01", {"stop": "END"}, {"stop": "dropped"}),
        ("gpt-6.1-sol", {"reasoning_effort": "none"}, {"reasoningEffort": "low"}),
        ("gpt-6-astra", {"reasoning_effort": "max"}, {"reasoningEffort": "xhigh"}),
        ("gpt-5", {"reasoning_effort": "none"}, {"reasoningEffort": "minimal"}),
        ("gpt-4o", {"reasoning_effort": "low"}, {"reasoningEffort": "dropped"}),
        ("gpt-4o", {"verbosity": "low"}, {"verbosity": "medium"}),
        ("gpt-4o", {"temperature": 0.5, "stop": "END", "top_p": 0.5, "seed": 1, "max_tokens": 5}, {}),
        ("gpt-6.1-terra", {"max_tokens": 5}, {"max_tokens": "max_completion_tokens"}),
        ("o3", {"tools": [TOOL], "parallel_tool_calls": False}, {"parallelToolCalls": "dropped"}),
        ("owner-model", {"temperature": 0.5, "reasoning_effort": "max", "stop": "END", "tools": [TOOL]}, {}),
    ],
)
def test_what_is_changed(model, body, said):
    assert adapt(CHAT_PATH, model, body)[1] == said


@pytest.mark.parametrize(
    ("model", "body", "said"),
    [
        ("gpt-6.1-terra", {"tools": [TOOL], "reasoning_effort": "max"}, {}),
        ("gpt-6-astra", {"tools": [TOOL]}, {}),
        ("gpt-6.1-terra", {"temperature": 0.5}, {"temperature": "dropped"}),
        ("gpt-4o", {"stop": "END", "seed": 1}, {"stop": "dropped", "seed": "dropped"}),
        ("gpt-5", {"reasoning_effort": "xhigh"}, {"reasoningEffort": "high"}),
    ],
)
def test_the_other_endpoint_takes_other_things(model, body, said):
    assert adapt(RESPONSES_PATH, model, body)[1] == said


def test_a_deployment_may_have_any_name():
    body = {"temperature": 0.5, "stop": "END"}

    assert ParameterSupport(has_families=False).adapt(CHAT_PATH, "gpt-6.1-terra", body) == (body, {})


def test_a_body_is_never_changed_in_place():
    body = {"messages": MESSAGES, "temperature": 0.5, "tools": [TOOL]}

    adapt(CHAT_PATH, "gpt-6.1-sol", body)

    assert body == {"messages": MESSAGES, "temperature": 0.5, "tools": [TOOL]}


@pytest.mark.parametrize(
    ("value", "accepted", "nearest"),
    [
        ("minimal", ("none", "low", "high"), "low"),
        ("max", ("low", "high"), "high"),
        ("medium", ("low", "high"), "high"),
        ("none", ("minimal", "low"), "minimal"),
        ("anything", ("low", "high"), "low"),
        ("low", ("unheard of",), None),
        ("low", (), None),
    ],
)
def test_the_nearest_value_is_not_less_where_there_is_a_choice(value, accepted, nearest):
    assert find_nearest("reasoning_effort", value, accepted) == nearest


def test_the_families_of_these_tests_exist():
    assert all(
        find_family(model) for model in ("gpt-6.1-terra", "gpt-6.1-sol", "gpt-6-astra", "gpt-5.4", "gpt-4o")
    )
    assert len(LIVE) > 10
