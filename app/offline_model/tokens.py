"""A tokenizer of our own: about as many tokens as OpenAI's would count, and never exactly as many.

A token is up to four letters or digits, or one other sign, with the space before it. The reply is streamed,
cut and billed in these same pieces, so that the chunks of a stream, `max_tokens` and the usage agree.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from app.offline_model.requests.fields import invalid_value

_TOKEN = re.compile(r"\s?\w{1,4}|\s?[^\w\s]|\s")


def split(text: str) -> list[str]:
    """Cut a text into tokens; joined, they are the text again."""
    return _TOKEN.findall(text)


def count(text: str) -> int:
    """Count the tokens of a text."""
    return len(split(text))


def count_json(value: Any, param: str) -> int:
    """Count a part of the request as it was written; `param` names it where it is nested too deeply."""
    try:
        return count(orjson.dumps(value).decode())
    except orjson.JSONEncodeError as error:
        raise invalid_value(param, "less nesting") from error
