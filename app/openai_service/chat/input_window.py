"""InputWindow: trims a request's input to the models' context windows and to MAX_INPUT_TOKENS."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import orjson

from app.config import ModelSettings
from app.openai_service.chat.history import trim
from app.openai_service.errors import InputTooLong
from app.openai_service.transport.request import UpstreamRequest
from app.openai_service.transport.request_bodies import STREAMED
from app.token_counts import Count, TokenCounts, find_input_window, find_window
from app.token_counts.estimates import UNREAD_FIELDS, bound_input, least_tokens

# Upper bounds: each message has 3 or 4 tokens for its role and delimiters, and the whole list has a few more.
# Source: https://developers.openai.com/cookbook/examples/how_to_count_tokens_with_tiktoken
_MESSAGE_OVERHEAD = 8
_REQUEST_OVERHEAD = 64


class InputWindow:
    """The limit of the input, from the models' context windows and MAX_INPUT_TOKENS."""

    def __init__(self, settings: ModelSettings, token_counts: TokenCounts) -> None:
        self._max_input_tokens = settings.max_input_tokens or math.inf
        self._output_limit_param = settings.max_tokens_param
        self._token_counts = token_counts

    def trim(self, request: UpstreamRequest, models: Sequence[str]) -> int:
        """Leave out the oldest turns of a chat that is too long for one of the models that may serve it.

        If the rest may still be too long for a model's window, the upstream decides: our count may be too high.

        Returns:
            the number of messages that were left out.

        Raises:
            InputTooLong: even the rest exceeds MAX_INPUT_TOKENS, or has more words than the window of the first model
                has tokens.
        """
        body = request.body
        max_tokens = self._max_input_tokens
        for model in models:
            window = find_input_window(model, body[self._output_limit_param])
            max_tokens = max_tokens if window is None or window > max_tokens else window
        # A cheap upper bound suffices for most requests.
        if max_tokens == math.inf or all(request.input_bound(model) <= max_tokens for model in models):
            return 0
        count = self._token_counts.counter(models)
        excluded = ("messages", self._output_limit_param, *STREAMED, *UNREAD_FIELDS)
        others = {name: value for name, value in body.items() if name not in excluded}
        overhead = _REQUEST_OVERHEAD + count(_dump(others))

        def count_tokens(message: dict[str, Any]) -> int:
            return _count_message(message, models, count)

        remaining, tokens = trim(body["messages"], max_tokens - overhead, count_tokens)
        if overhead + tokens > self._max_input_tokens:
            raise InputTooLong
        request.replace_body({**body, "messages": remaining})
        _check_words(request.encode(models[0]), models[0])
        return len(body["messages"]) - len(remaining)

    def check_texts(self, texts: Sequence[str], model: str) -> None:
        """Refuse texts for embeddings that have more words than the model's window has tokens. Raises InputTooLong."""
        for text in texts:
            _check_words(text.encode("utf-8", "surrogatepass"), model)


def _check_words(text: bytes, model: str) -> None:
    """Raise InputTooLong if a model certainly refuses a text, so that nothing is held for it."""
    window = find_window(model)
    if window is not None and len(text) > window and least_tokens(text) > window:
        raise InputTooLong


def _count_message(message: dict[str, Any], models: Sequence[str], count: Count) -> int:
    others = {name: value for name, value in message.items() if name not in ("role", "content")}
    tokens = _MESSAGE_OVERHEAD + (count(_dump(others)) if others else 0)
    content = message.get("content") or ""
    if isinstance(content, str):
        return tokens + count(content)
    for part in content:
        if part["type"] == "text":
            tokens += count(part["text"])
        else:
            alone = {"messages": [{"content": [part]}]}
            tokens += max(bound_input(alone, model) for model in models)
    return tokens


def _dump(value: object) -> str:
    return orjson.dumps(value).decode()
