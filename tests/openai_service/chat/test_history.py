from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from app.openai_service.chat.history import trim
from tests.fakes.generated import generated


@st.composite
def conversations(draw):
    """Messages whose content is their own position; a tool's result answers any call before it."""
    messages = []
    calls = []
    for at in range(draw(st.integers(1, 14))):
        role = draw(st.sampled_from(["user", "user", "assistant", "calling", "tool", "tool", "system"]))
        message = {"role": role, "content": str(at)}
        if role == "calling":
            message = {"role": "assistant", "content": None, "tool_calls": []}
            for index in range(draw(st.integers(1, 2))):
                # Some clients begin to count their calls anew with each turn.
                call = draw(st.sampled_from([f"call_{at}_{index}", f"call_{index}"]))
                message["tool_calls"].append({"id": call})
                calls.append(call)
        elif role == "tool":
            if not calls:
                continue
            message["tool_call_id"] = draw(st.sampled_from(calls))
        messages.append(message)
    return messages or [{"role": "user", "content": "0"}]


def call_from(messages, at):
    """Where the call is that the tool's result at a position answers: the latest of that id."""
    return max(
        before
        for before, message in enumerate(messages[:at])
        if any(call["id"] == messages[at]["tool_call_id"] for call in message.get("tool_calls", ()))
    )


def cuts(messages):
    """Every place before which all but the system prompts may be left out: all of them, one by one."""
    parted = [(call_from(messages, at), at) for at, message in enumerate(messages) if message["role"] == "tool"]
    users = [at for at, message in enumerate(messages) if message["role"] == "user"]
    return [0, *(at for at in users if not any(call < at <= result for call, result in parted))]


def after(messages, cut):
    return [at for at, message in enumerate(messages) if at >= cut or message["role"] == "system"]


@generated(cases=200, quickly=15)
@given(st.data())
def test_what_is_kept_is_the_most_that_fits_from_a_line_of_the_grid(data):
    messages = data.draw(conversations())
    sizes = data.draw(st.lists(st.integers(1, 9), min_size=len(messages), max_size=len(messages)))
    room = data.draw(st.integers(-5, sum(sizes) + 1))
    size_of = {id(message): size for message, size in zip(messages, sizes, strict=True)}

    def count(message):
        return size_of[id(message)]

    kept, tokens = trim(messages, room, count, count)

    starts = sorted(cuts(messages))
    prompts = [at for at, message in enumerate(messages) if message["role"] == "system"]
    step = max(1, room - sum(sizes[at] for at in prompts if at < starts[-1])) / 4
    lines_before = [sum(sizes[at] for at in range(start) if at not in prompts) // step for start in starts]
    on_line = [True, *(one < next_one for one, next_one in itertools.pairwise(lines_before))]
    fitting = [
        (not on_line[number], start)  # first those on a line, then the others
        for number, start in enumerate(starts)
        if sum(sizes[at] for at in after(messages, start)) <= room
    ]
    if fitting and min(fitting)[1] == starts[-1]:  # the last turn is kept whatever else fits
        fitting = [(False, start) for _, start in fitting]
    expected = after(messages, min(fitting)[1] if fitting else starts[-1])
    assert [id(message) for message in kept] == [id(messages[at]) for at in expected]
    assert tokens == sum(sizes[at] for at in expected)


@generated(cases=200, quickly=15)
@given(conversations(), st.integers(0, 14))
def test_prompts_and_the_last_turn_stay_and_no_result_is_parted_from_its_call(messages, room):
    kept, _ = trim(messages, room, lambda message: 1, lambda message: 1)

    stays = {id(message) for message in kept}
    last_user = max((at for at, message in enumerate(messages) if message["role"] == "user"), default=0)
    for at, message in enumerate(messages):
        if message["role"] == "system" or at >= last_user:
            assert id(message) in stays
        if message["role"] == "tool":
            assert (id(message) in stays) == (id(messages[call_from(messages, at)]) in stays)


def test_messages_are_looked_at_once_and_no_further_back_than_needed():
    messages = [{"role": "user", "content": str(at)} for at in range(1_000)]
    asked = []

    kept, _ = trim(messages, 3, lambda message: asked.append(message["content"]) or 1, lambda message: 1)

    assert [message["content"] for message in kept] == ["997", "998", "999"]
    assert asked == ["999", "998", "997", "996"]
