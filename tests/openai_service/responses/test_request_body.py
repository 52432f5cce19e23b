"""What is asked of /responses is what the same chat completion would ask for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.openai_service.responses.request_body import build_response_body
from tests.fakes.generated import generated
from tests.fakes.upstreams.responses_form import to_chat_body
from tests.fakes.wire.bodies import CALL, TOOL

USER = {"role": "user", "content": "Hi"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}
FILE = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}}
MARKED = {"type": "text", "text": "Rules", "prompt_cache_breakpoint": {"mode": "explicit"}}


def build(body, *, model="gpt-6.1-terra", reasons=False):
    return build_response_body({"messages": [USER], **body}, model, reasons=reasons)[0]


def items(*messages, model="gpt-6.1-terra"):
    return build({"messages": list(messages)}, model=model)["input"]


def test_the_smallest_request_keeps_nothing_at_the_upstream():
    assert build({}) == {"input": [USER]}
    assert build({"store": True})["store"] is True


def test_each_message_is_the_item_that_means_it():
    assert items(
        {"role": "system", "content": "A"},
        {"role": "developer", "content": [MARKED]},
        {"role": "user", "content": [{"type": "text", "text": "?"}, IMAGE, FILE]},
        {"role": "assistant", "content": "B", "tool_calls": [CALL, CALL | {"id": "call_2"}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
        {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "sun"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "C"}]},
        {"role": "assistant", "content": None, "refusal": "No."},
        {"role": "assistant", "content": ""},
    ) == [
        {"role": "system", "content": "A"},
        {
            "role": "developer",
            "content": [{"type": "input_text", "text": "Rules", "prompt_cache_breakpoint": {"mode": "explicit"}}],
        },
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "?"},
                {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"},
                {
                    "type": "input_file",
                    "filename": "a.pdf",
                    "file_data": "data:application/pdf;base64,AAAA",
                },
            ],
        },
        {"role": "assistant", "content": "B"},
        {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": "{}"},
        {"type": "function_call", "call_id": "call_2", "name": "get_weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "rain"},
        {
            "type": "function_call_output",
            "call_id": "call_2",
            "output": [{"type": "input_text", "text": "sun"}],
        },
        {"role": "assistant", "content": [{"type": "output_text", "text": "C"}]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"role": "assistant", "content": ""},
    ]


def test_reasoning_stands_where_it_stood_and_only_before_the_model_that_thought_it():
    turn = {
        "role": "assistant",
        "content": "Let me see.",
        "tool_calls": [CALL, CALL | {"id": "call_2"}],
        "reasoning_items": [
            {"model": "m", "at": 0, "item": {"type": "reasoning", "id": "rs_1"}},
            {"model": "m", "at": 2, "item": {"type": "reasoning", "id": "rs_2"}},
            {"model": "m", "at": 2, "item": {"type": "reasoning", "id": "rs_3"}},
        ],
    }

    told = [item.get("id") or item.get("call_id") or item["content"] for item in items(turn, model="m")]

    assert told == ["rs_1", "Let me see.", "call_1", "rs_2", "rs_3", "call_2"]
    assert [item.get("type") for item in items(turn, model="n")] == [None, "function_call", "function_call"]


def test_an_id_that_is_too_long_here_stays_one_pair():
    call = CALL | {"id": "call_" + "x" * 80}
    _, asked, told = items(
        USER,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": "rain"},
    )
    assert asked["call_id"] == told["call_id"]
    assert len(asked["call_id"]) <= 64


@pytest.mark.parametrize(
    ("chat", "responses"),
    [
        (
            {"tools": [{"type": "function", "function": {"name": "f"}}]},
            {
                "tools": [
                    {
                        "type": "function",
                        "name": "f",
                        "parameters": {"type": "object", "properties": {}},
                        "strict": False,
                    }
                ]
            },
        ),
        ({"tool_choice": "required"}, {"tool_choice": "required"}),
        (
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
            {"tool_choice": {"type": "function", "name": "f"}},
        ),
        (
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {
                        "mode": "auto",
                        "tools": [{"type": "function", "function": {"name": "f"}}],
                    },
                }
            },
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "auto",
                    "tools": [{"type": "function", "name": "f"}],
                }
            },
        ),
        ({"response_format": {"type": "json_object"}}, {"text": {"format": {"type": "json_object"}}}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}},
            {"text": {"format": {"type": "json_schema", "strict": False, "name": "n", "schema": {}}}},
        ),
        ({"verbosity": "low"}, {"text": {"verbosity": "low"}}),
        ({"reasoning_effort": "max"}, {"reasoning": {"effort": "max"}}),
        ({"max_completion_tokens": 20}, {"max_output_tokens": 20}),
        ({"max_tokens": 20}, {"max_output_tokens": 20}),
        ({"stream": True, "stream_options": {"include_usage": True}}, {"stream": True}),
        (
            {"stream_options": {"include_usage": True, "include_obfuscation": False}},
            {"stream_options": {"include_obfuscation": False}},
        ),
        ({"n": 1}, {}),
        *[
            ({name: value}, {name: value})
            for name, value in {
                "temperature": 0.5,
                "top_p": 0.5,
                "parallel_tool_calls": False,
                "service_tier": "flex",
                "safety_identifier": "a",
                "prompt_cache_key": "b",
                "prompt_cache_options": {"mode": "explicit"},
            }.items()
        ],
    ],
    ids=str,
)
def test_each_parameter_has_its_name_and_place(chat, responses):
    assert build(chat) == {"input": [USER]} | responses


def test_it_begins_with_what_the_prompt_begins_with():
    schema = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {}}}
    body = {"store": False, "safety_identifier": "a", "stream": True, "tools": [TOOL], "response_format": schema}

    assert list(build(body, reasons=True))[:3] == ["tools", "text", "input"]


def test_reasoning_is_asked_for_where_there_is_any():
    assert build({}, reasons=True)["include"] == ["reasoning.encrypted_content"]


@pytest.mark.parametrize("limit", [1, 15])
def test_a_limit_that_is_too_low_here_is_lifted_and_what_is_unknown_here_is_dropped_and_both_are_said(limit):
    body = {"messages": [USER], "max_completion_tokens": limit, "stop": ["x"], "seed": 1, "logit_bias": {}}

    translated, adjusted = build_response_body(body, "m", reasons=False)

    assert translated == {"input": [USER], "max_output_tokens": 16}
    assert adjusted == {"maxTokens": "16", "stop": "dropped", "seed": "dropped", "logit_bias": "dropped"}


texts = st.text(max_size=8)
names = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
parts = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, texts),
    st.builds(
        lambda url, detail: {"type": "image_url", "image_url": {"url": url, "detail": detail}},
        texts,
        st.sampled_from(["auto", "low", "high"]),
    ),
    st.builds(lambda data: {"type": "file", "file": {"filename": "a.pdf", "file_data": data}}, texts),
    st.just(MARKED),
)


@st.composite
def turns(draw):
    """A user's question, then an answer: a text, or calls with their results, some after a text."""
    asked = {"role": "user", "content": draw(st.one_of(texts, st.lists(parts, min_size=1, max_size=3)))}
    called = [
        {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for number, (name, arguments) in enumerate(draw(st.lists(st.tuples(names, texts), max_size=3)))
    ]
    if not called:
        return [asked, {"role": "assistant", "content": draw(texts)}]
    said = {"role": "assistant", "content": draw(st.one_of(st.none(), st.text(min_size=1))), "tool_calls": called}
    results = [{"role": "tool", "tool_call_id": call["id"], "content": draw(texts)} for call in called]
    return [asked, said, *results]


def function(name, description, parameters, strict):
    """A function's declaration; without `strict` it is not."""
    optional = {"description": description} if description is not None else {}
    declared = {"name": name, "parameters": {"type": "object"} | parameters, **optional}
    return {"type": "function", "function": declared | ({"strict": True} if strict else {})}


schemas = st.builds(
    lambda name, strict: {
        "type": "json_schema",
        "json_schema": {"name": name, "schema": {"type": "object"}, "strict": strict},
    },
    names,
    st.booleans(),
)
functions = st.builds(
    function, names, st.none() | texts, st.dictionaries(names, st.integers(), max_size=2), st.booleans()
)
requests = st.fixed_dictionaries(
    {
        "messages": st.lists(turns(), min_size=1, max_size=4).map(
            lambda rounds: [{"role": "system", "content": "S"}, *[turn for each in rounds for turn in each]]
        )
    },
    optional={
        "max_completion_tokens": st.integers(16, 1_000),
        "tools": st.lists(functions, min_size=1, max_size=3),
        "tool_choice": st.sampled_from(["auto", "none", "required"])
        | names.map(lambda name: {"type": "function", "function": {"name": name}}),
        "response_format": schemas | st.just({"type": "json_object"}),
        "temperature": st.floats(0, 2),
        "reasoning_effort": st.sampled_from(["none", "low", "max"]),
        "verbosity": st.sampled_from(["low", "high"]),
        "parallel_tool_calls": st.booleans(),
    },
)


@generated(cases=150, quickly=12)
@given(requests)
def test_nothing_is_lost_on_the_way_there_and_back(body):
    translated, adjusted = build_response_body(body, "gpt-6.1-terra", reasons=False)

    assert (to_chat_body(translated), adjusted) == (body, {})
