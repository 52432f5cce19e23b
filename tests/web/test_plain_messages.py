"""Conversations of plain texts are validated in a way of their own, which must never be told from the declared one."""

from __future__ import annotations

import cProfile
from typing import Annotated, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter, ValidationError

from app.web.media.plain_texts import MAX_MESSAGES, PlainTexts, are_plain_texts
from app.web.schemas import messages as api
from app.web.schemas.v1 import messages as v1
from tests.fakes.generated import generated

_BOUNDS = Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True)
_CASES = [
    pytest.param(TypeAdapter(api.Messages), TypeAdapter(Annotated[list[api.Message], _BOUNDS]), id="api"),
    pytest.param(TypeAdapter(v1.Messages), TypeAdapter(Annotated[list[v1._Message], _BOUNDS]), id="v1"),
]

_blank = st.text(st.sampled_from(" \t\n\r\v\f\x00\x1c\x1f\x85\xa0\u2003\u2028\u200b\ufeff"), max_size=3)
_text = st.one_of(st.text(max_size=20), _blank)
_part = st.fixed_dictionaries({"type": st.sampled_from(["text", "input_text", "output_text"]), "text": _text})
_content = st.one_of(_text, _text, _text, st.none(), st.integers(), st.lists(_part, max_size=2))
_role = st.sampled_from(["user", "assistant", "system", "developer", "tool", "function", "User", None])
_message = st.one_of(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "system"]), "content": _text}),
    st.fixed_dictionaries({"content": _text, "role": st.sampled_from(["user", "assistant"])}),
    st.fixed_dictionaries(
        {"role": _role}, optional={"content": _content, "name": _text, "refusal": _text, "other": st.booleans()}
    ),
    st.sampled_from([None, "text", 1, [], {}]),
)
_messages = st.one_of(st.lists(_message, max_size=5), st.sampled_from([None, "text", {}, ()]))


def _outcome(adapter: TypeAdapter[Any], messages: Any) -> Any:
    try:
        # As text: the order of the fields counts as well.
        return repr(adapter.validate_python(messages))
    except ValidationError as error:
        return error.errors(include_url=False, include_context=False)


@pytest.mark.parametrize(("fast", "declared"), _CASES)
@generated(cases=200, quickly=20)
@given(messages=_messages)
# Blank to Python alone, which /v1 leaves out.
@example(messages=[{"role": "system", "content": "\x1c"}])
@example(messages=[{"role": "assistant", "content": ""}])
def test_plain_texts_are_validated_as_declared(
    fast: TypeAdapter[Any], declared: TypeAdapter[Any], messages: Any
) -> None:
    assert _outcome(fast, messages) == _outcome(declared, messages)


@pytest.mark.parametrize(("fast", "declared"), _CASES)
@pytest.mark.parametrize("length", [500_000, 500_001])
@pytest.mark.parametrize("role", ["user", "assistant", "system"])
def test_bounds_of_a_text_are_those_declared(
    fast: TypeAdapter[Any], declared: TypeAdapter[Any], length: int, role: str
) -> None:
    messages = [{"role": role, "content": "x" * length}]

    assert _outcome(fast, messages) == _outcome(declared, messages)


@pytest.mark.parametrize(("fast", "declared"), _CASES)
@pytest.mark.parametrize("count", [2_000, 2_001])
def test_bounds_of_a_conversation_are_those_declared(
    fast: TypeAdapter[Any], declared: TypeAdapter[Any], count: int
) -> None:
    messages = [{"role": "user", "content": "x"}] * count

    assert _outcome(fast, messages) == _outcome(declared, messages)


@pytest.mark.parametrize(("fast", "declared"), _CASES)
def test_plain_texts_take_no_call_for_each(fast: TypeAdapter[Any], declared: TypeAdapter[Any]) -> None:
    del declared
    texts = [{"role": role, "content": "x"} for role in ("system", "user", "assistant")]

    def ask(messages: list[dict[str, Any]]) -> int:
        profile = cProfile.Profile()
        profile.runcall(fast.validate_python, messages)
        return sum(entry.callcount for entry in profile.getstats())

    ask(texts)
    assert isinstance(fast.validate_python(texts), PlainTexts)
    # Only str.strip(), which is C, is called for each message, and a pattern for each system text.
    assert ask([*texts, *texts[1:] * 20]) - ask(texts) <= 40


@pytest.mark.parametrize(
    "message",
    [
        {"content": "x", "role": "user"},
        {"role": "user", "content": " "},
        {"role": "system", "content": "\u4f60"},
        {"role": "user", "content": ["x"]},
        {"role": ["user"], "content": "x"},
        {"role": "user"},
        {"role": "user", "content": "x", "name": "y"},
        "x",
    ],
)
def test_what_may_be_no_plain_text_is_validated_as_declared(message: Any) -> None:
    assert not are_plain_texts([{"role": "user", "content": "x"}, message])
