"""Recognize conversations of plain texts, as most are, without a step of Python for each message."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

from pydantic import WrapValidator

from app.web.schemas.fields import MAX_TEXT_CHARS

MAX_MESSAGES = 2_000
_ROLES = {"user", "assistant", "system"}
_FIELDS = ("role", "content")
_get_role, _get_content = map(itemgetter, _FIELDS)
# What is blank is not the same everywhere, and a blank system text is either refused or left out.
_WORD = re.compile(r"[A-Za-z0-9]")


class PlainTexts(list[dict[str, Any]]):
    """Validated messages, each of them a role and a text that is sent as it is."""


def are_plain_texts(messages: Sequence[Any]) -> bool:
    """Return whether all messages are a role and a text that is not blank, in this order. It may miss some that are.

    A loop over the messages takes several times as long, and validation by pydantic three times.
    """
    if not 0 < len(messages) <= MAX_MESSAGES or set(map(type, messages)) != {dict}:
        return False
    if set(map(tuple, messages)) != {_FIELDS}:
        return False
    roles, texts = list(map(_get_role, messages)), list(map(_get_content, messages))
    if set(map(type, chain(roles, texts))) != {str} or not _ROLES.issuperset(roles):
        return False
    if max(map(len, texts)) > MAX_TEXT_CHARS or not all(map(str.strip, texts)):
        return False
    if "system" not in roles:
        return True
    return all(_WORD.search(text) for role, text in zip(roles, texts, strict=True) if role == "system")


def _recognize(messages: Any, validate: Callable[[Any], Any]) -> Any:
    if type(messages) is list and are_plain_texts(messages):
        return PlainTexts(messages)
    return validate(messages)


TEXTS_FIRST = WrapValidator(_recognize)
"""Takes PlainTexts as they are, and has all other messages validated as declared.

What these texts are allowed to be, each list of messages allows as well, with the same result.
"""
