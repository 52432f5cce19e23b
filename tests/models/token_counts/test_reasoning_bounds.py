"""Reasoning that comes back is held for by the tokens that the model told, never for fewer."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from app.config import Config
from app.models.token_counts import REASONING_ITEMS, TokenCounts, Usage, note_tokens
from app.models.token_counts.estimates import bound_input
from app.openai_service import InputWindow
from app.openai_service.transport.request import UpstreamRequest
from tests.fakes.generated import generated

MODEL = "gpt-6.1-terra"
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def conversation(*contents, tokens):
    entries = [
        {
            "model": MODEL,
            "at": 0,
            "item": {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": each},
        }
        for each in contents
    ]
    note_tokens(entries, Usage(prompt_tokens=1, completion_tokens=tokens or 1, reasoning_tokens=tokens))
    turn = {"role": "assistant", "content": None, "tool_calls": [CALL], REASONING_ITEMS: entries}
    return {
        "messages": [
            {"role": "user", "content": "Hi"},
            turn,
            {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
        ],
        "max_completion_tokens": 100,
    }


@generated(cases=100, quickly=15)
@given(st.lists(st.integers(0, 9_000), min_size=1, max_size=4), st.integers(1, 5_000))
def test_a_hold_is_near_what_the_model_told_and_not_below(sizes, tokens):
    without = bound_input(conversation(*("" for _ in sizes), tokens=None), MODEL)
    bound = bound_input(conversation(*("x" * size for size in sizes), tokens=tokens), MODEL) - without

    assert bound >= min(tokens, sum(sizes))
    assert bound <= min(1.2 * tokens, sum(sizes)) + 20


def test_what_told_no_tokens_is_held_for_by_its_bytes():
    for tokens in (None, 0):
        assert bound_input(conversation("x" * 5_000, tokens=tokens), MODEL) > 5_000


def test_it_is_trimmed_by_the_same_count():
    window = InputWindow(Config(max_input_tokens=1_500).models, TokenCounts())
    body = conversation("x" * 50_000, tokens=1_000)
    body["messages"].append({"role": "user", "content": "and " * 100})
    request = UpstreamRequest("/chat/completions", body)

    assert window.trim(request, [MODEL]) == 0
    assert len(orjson.dumps(request.body)) > 50_000
