"""Split texts into tokens, about as many as OpenAI's tokenizer would.

A token is up to four letters or digits, or one other character, with the space before it. Streaming, `max_tokens` and
usage all count these tokens, so that they agree.
"""

from __future__ import annotations

import re
import secrets
from typing import Any

import orjson

from app.offline_model.requests.fields import invalid_value

_TOKEN = re.compile(r"\s?\w{1,4}|\s?[^\w\s]|\s")


def split(text: str) -> list[str]:
    """Split a text into tokens. Joined, they are the text again."""
    return _TOKEN.findall(text)


def count(text: str) -> int:
    """Count the tokens of a text."""
    return len(split(text))


def count_json(value: Any, param: str) -> int:
    """Count the tokens of a part of the request as JSON; `param` is its name in errors."""
    return count(encode_json(value, param).decode())


def encode_json(value: Any, param: str) -> bytes:
    """Encode a part of the request as JSON; `param` is its name in errors."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        raise invalid_value(param, "less nesting") from error


def pad(delta: str) -> str:
    """Return random text that hides the length of a streamed delta: their total length is a multiple of 16 bytes."""
    return secrets.token_hex(16)[: -len(delta.encode()) % 16 or 16]
