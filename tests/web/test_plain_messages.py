"""Conversations of plain texts are validated in a way of their own, which must never be told from the declared one."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter, ValidationError

from app.web.schemas import messages as api
from app.web.schemas.v1 import messages as v1

_BOUNDS = Field(min_length=1, max_length=api.MAX_MESSAGES, fail_fast=True)
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


def test_plain_texts_take_no_call_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "_texts", TypeAdapter(list[dict[str, str]]))
    texts = [{"role": "nobody", "content": "x"}]  # which only the way of plain texts accepts now

    assert TypeAdapter(api.Messages).validate_python(texts) == texts
