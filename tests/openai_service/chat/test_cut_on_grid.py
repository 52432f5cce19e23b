"""A conversation that no longer fits is cut where the upstream's prompt cache goes on matching."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.openai_service.chat.history import trim
from tests.fakes.prefix_billing import compare, converse, cut_on_grid


@pytest.mark.parametrize(
    ("room", "turns", "turn_tokens", "most"),
    [(8_000, 100, 300, 0.45), (8_000, 100, 600, 0.45), (20_000, 100, 600, 0.25), (100_000, 300, 1_000, 0.1)],
)
def test_a_long_conversation_costs_a_part_of_what_it_did(room, turns, turn_tokens, most):
    ratio, used = compare(room, turns, turn_tokens)

    assert ratio <= most
    assert used > 0.8


def test_two_turns_share_their_first_bytes_until_the_cut_moves_by_a_quarter():
    room, moves, before = 4_000, 0, b""
    for messages in converse(60, 200):
        sent = orjson.dumps(cut_on_grid(messages, room))[:-1]
        if not sent.startswith(before):
            moves += 1
        before = sent

    assert 60 * 200 / (room / 4) - 5 <= moves <= 60 * 200 / (room / 4)


sizes = st.lists(st.tuples(st.integers(1, 60), st.booleans(), st.integers(1, 90)), min_size=2, max_size=40)


@settings(max_examples=200, derandomize=True, database=None, deadline=None)
@given(sizes, st.integers(0, 50))
def test_the_cut_moves_forward_only_and_keeps_what_belongs_together(turns, prompt):
    conversation = [{"role": "system", "content": "s" * prompt}] if prompt else []
    cuts = []
    for number, (asked, calls, answered) in enumerate(turns):
        conversation.append({"role": "user", "content": "u" * asked})
        if calls:
            call = {"id": str(number), "type": "function", "function": {"name": "f", "arguments": "{}"}}
            conversation.append({"role": "assistant", "content": "", "tool_calls": [call]})
            conversation.append({"role": "tool", "tool_call_id": str(number), "content": "r" * answered})
        remaining, tokens = trim(conversation, 300, size_of, size_of)

        assert tokens == sum(map(size_of, remaining))
        assert remaining[-1] is conversation[-1]
        assert tokens <= 300 or sum(message["role"] == "user" for message in remaining) == 1
        assert remaining[: bool(prompt)] == conversation[: bool(prompt)]
        assert remaining[bool(prompt)]["role"] == "user"
        cuts.append(len(conversation) - len(remaining))
        if not calls:
            conversation.append({"role": "assistant", "content": "a" * answered})

    assert cuts == sorted(cuts)


def size_of(message):
    return len(message["content"])
