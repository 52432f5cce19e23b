"""A conversation that no longer fits is cut where the upstream's prompt cache goes on matching."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.openai_service.chat.history import trim
from tests.fakes.generated import generated
from tests.fakes.tables import further
from tests.fakes.upstreams.prefix_billing import compare, converse, cut_on_grid


@pytest.mark.parametrize(
    ("room", "turns", "turn_tokens", "most", "least_used"),
    [
        (8_000, 100, 300, 0.45, 0.85),
        *further(
            (8_000, 100, 1_400, 0.45, 0.75),
            (20_000, 100, 600, 0.25, 0.85),
            (8_000, 100, 600, 0.45, 0.85),
            (20_000, 100, 1_200, 0.25, 0.75),
            (100_000, 300, 600, 0.1, 0.85),
            (100_000, 300, 2_500, 0.1, 0.75),
        ),
    ],
)
def test_a_long_conversation_costs_a_part_of_what_it_did(room, turns, turn_tokens, most, least_used):
    ratio, used = compare(room, turns, turn_tokens)

    assert ratio <= most
    assert used >= least_used


@pytest.mark.parametrize(
    ("room", "turn_tokens", "part"), [(4_000, 200, 1 / 4), *further((9_000, 900, 3 / 8), (15_000, 1_500, 1 / 2))]
)
def test_two_turns_share_their_first_bytes_until_the_cut_moves_by_a_part_of_the_room(room, turn_tokens, part):
    moves, before = 0, b""
    for messages in converse(60, turn_tokens):
        sent = orjson.dumps(cut_on_grid(messages, room))[:-1]
        if not sent.startswith(before):
            moves += 1
        before = sent

    assert 60 * turn_tokens / (room * part) - 5 <= moves <= 60 * turn_tokens / (room * part)


sizes = st.lists(st.tuples(st.integers(1, 60), st.booleans(), st.integers(1, 90)), min_size=2, max_size=40)


@generated(cases=200, quickly=25)
@given(sizes, st.integers(0, 50), st.sampled_from([1, 40, 80]))
def test_the_cut_moves_forward_only_and_keeps_what_belongs_together(turns, prompt, tokens_each):
    room = 300 * tokens_each

    def size_of(message):
        return len(message["content"]) * tokens_each

    conversation = [{"role": "system", "content": "s" * prompt}] if prompt else []
    cuts = []
    for number, (asked, calls, answered) in enumerate(turns):
        conversation.append({"role": "user", "content": "u" * asked})
        if calls:
            call = {"id": str(number), "type": "function", "function": {"name": "f", "arguments": "{}"}}
            conversation.append({"role": "assistant", "content": "", "tool_calls": [call]})
            conversation.append({"role": "tool", "tool_call_id": str(number), "content": "r" * answered})
        remaining, tokens = trim(conversation, room, size_of, size_of)

        assert tokens == sum(map(size_of, remaining))
        assert remaining[-1] is conversation[-1]
        assert tokens <= room or sum(message["role"] == "user" for message in remaining) == 1
        assert remaining[: bool(prompt)] == conversation[: bool(prompt)]
        assert remaining[bool(prompt)]["role"] == "user"
        cuts.append(len(conversation) - len(remaining))
        if not calls:
            conversation.append({"role": "assistant", "content": "a" * answered})

    assert cuts == sorted(cuts)
