"""Tokens counted and bounded for models, and their windows."""

from __future__ import annotations

import statistics

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.models.token_counts import TokenCounts, counting, find_input_window
from app.models.token_counts.encodings import count_bytes
from app.models.token_counts.estimates import bound_input
from tests.fakes.encodings import count
from tests.fakes.generated import generated
from tests.fakes.servers import ROOT
from tests.fakes.tables import further
from tests.models.token_counts.test_encodings import texts

ENCODINGS = {"gpt-6.1-terra": "o200k_base", "gpt-5": "o200k_base", "gpt-4": "cl100k_base"}
MODELS = pytest.mark.parametrize("model", ["gpt-4", *further("gpt-6.1-terra", "gpt-5")])
PROSE = [
    paragraph.replace("\n", " ")
    for page in sorted((ROOT / "docs").glob("*.md"))
    for paragraph in page.read_text(encoding="utf-8").split("\n\n")
    if paragraph[:1].isalpha() and 300 < len(paragraph) < 3_000
]


def chat(*contents, **more):
    roles = ["user", "assistant"] * len(contents)
    messages = [{"role": role, "content": content} for role, content in zip(roles, contents, strict=False)]
    return {"messages": messages, "max_completion_tokens": 10, **more}


def bill(model, body):
    """What OpenAI counts: 3 tokens for each message and one for its role, and 3 for the answer's beginning."""
    contents = [message["content"] for message in body["messages"]]
    texts = [part["text"] for each in contents if isinstance(each, list) for part in each]
    texts += [each for each in contents if isinstance(each, str)]
    return 3 + sum(4 for _ in contents) + sum(count(ENCODINGS[model], text) for text in texts)


@MODELS
@generated(cases=150, quickly=10)
@given(st.lists(texts, min_size=1, max_size=6), st.booleans(), st.booleans())
def test_a_bound_is_never_less_than_the_bill(model, contents, in_parts, streamed):
    parts = [[{"type": "text", "text": text}] if in_parts else text for text in contents]
    body = chat(*parts, **({"stream": True, "stream_options": {"include_usage": True}} if streamed else {}))

    bound = bound_input(body, model)

    assert bill(model, body) <= bound <= len(orjson.dumps(body)) + 64
    assert bill(model, body) <= bound_input(body, model, TokenCounts())  # which has met none of these texts


@MODELS
def test_the_bound_of_prose_is_near_the_bill(model):
    bodies = [chat(text) for text in PROSE]
    ratios = [bound_input(body, model) / bill(model, body) for body in bodies]

    assert len(ratios) > 40
    assert statistics.median(ratios) < 1.5
    assert statistics.median([bound_input(body, "llama3") / bill(model, body) for body in bodies]) > 3


@MODELS
def test_a_conversation_of_short_turns_is_bounded_near_the_bill(model):
    body = chat(*[text[:250] for text in PROSE[:80]])

    assert bound_input(body, model) / bill(model, body) < 1.5


def test_tools_and_other_fields_of_messages_keep_their_bytes():
    tool = {"type": "function", "function": {"name": "weather", "description": "the weather of a place " * 20}}
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}" * 50}}
    plain = chat("hi", "there")
    with_call = chat("hi", "there")
    with_call["messages"][1] |= {"content": None, "tool_calls": [call]}

    assert bound_input({**plain, "tools": [tool]}, "gpt-5") - bound_input(plain, "gpt-5") > len(orjson.dumps(tool))
    assert bound_input(with_call, "gpt-5") - bound_input(plain, "gpt-5") > len(orjson.dumps(call))


def test_a_model_that_nobody_knows_counts_bytes_or_by_the_default():
    text = "the conversation goes on with words" * 20

    assert TokenCounts().counter(["llama3"])(text) == len(text)
    assert TokenCounts().counter(["llama3", "gpt-5"])(text) == len(text)
    assert TokenCounts("cl100k_base").counter(["llama3"])(text) == count("cl100k_base", text)
    assert TokenCounts("cl100k_base").counter(["gpt-5"])(text) == TokenCounts().counter(["gpt-5"])(text)


@pytest.mark.thorough
def test_a_known_model_is_counted_by_its_own_encoding_whatever_the_default_is():
    text = "the conversation goes on with words" * 20

    assert TokenCounts("cl100k_base").counter(["gpt-5"])(text) == count("o200k_base", text)


def test_a_damaged_vocabulary_is_not_counted_by_and_said_once(monkeypatch):
    def refuse(name, folder):
        raise ValueError("it is damaged")

    warnings = []
    monkeypatch.setattr(counting, "load_encoding", refuse)
    monkeypatch.setattr(counting.log, "warning", lambda name, extra: warnings.append((name, extra["encoding"])))
    counts = TokenCounts()

    counts.load(["gpt-5"])

    assert counts.counter(["gpt-5"])("wörds") == count_bytes("wörds") == 6
    assert bound_input(chat("hi"), "gpt-5", counts) == bound_input(chat("hi"), "llama3")
    assert warnings == [("encoding.unusable", "o200k_base")]


@pytest.mark.parametrize(
    ("model", "ceiling", "expected"),
    [
        ("gpt-4", 1_000, 7_192),
        ("gpt-4", 100_000, 4_096),
        ("gpt-4o", 8_192, 119_808),
        ("gpt-5", 8_192, 272_000),
        ("gpt-6.1-terra", 8_192, 922_000),
        ("GPT-4", 1_000, 7_192),
        ("llama3", 8_192, None),
    ],
)
def test_the_window_is_shared_with_the_answer(model, ceiling, expected):
    assert find_input_window(model, ceiling) == expected
