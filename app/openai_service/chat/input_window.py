"""InputWindow: trims a request's input to the models' context windows and to MAX_INPUT_TOKENS."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import orjson

from app.config import ModelSettings
from app.models.token_counts import (
    REASONING_ITEMS,
    TokenCounts,
    count_spared_reasoning,
    find_input_window,
    find_window,
)
from app.models.token_counts.encodings import count_bytes
from app.models.token_counts.estimates import bound_input, min_tokens
from app.openai_service.chat.history import trim
from app.openai_service.errors import InputTooLong
from app.openai_service.transport.request import UpstreamRequest

# Each message has 3 tokens for its delimiters and one for its role, and the answer begins with 3 more.
# Source: https://developers.openai.com/cookbook/examples/how_to_count_tokens_with_tiktoken
_MESSAGE_OVERHEAD = 4
_REQUEST_OVERHEAD = 3
_ESTIMATED_IMAGE_TOKENS = 1_000
# The fields of a message that are counted separately.
_COUNTED_SEPARATELY = ("role", "content", REASONING_ITEMS)
# The fields of a body that are input besides the messages.
_INPUT_FIELDS = ("tools", "response_format")


class InputWindow:
    """The limit of a request's input: the models' context windows and MAX_INPUT_TOKENS."""

    def __init__(self, settings: ModelSettings, token_counts: TokenCounts) -> None:
        self._max_input_tokens = settings.max_input_tokens or math.inf
        self._output_limit_param = settings.max_tokens_param
        self.token_counts = token_counts

    def trim(self, request: UpstreamRequest, models: Sequence[str]) -> int:
        """Remove the oldest turns of a chat that is too long for any of the models that may serve it.

        A rest that seems too long for a model's window is sent all the same: our count may be too high.

        Returns:
            the number of removed messages.

        Raises:
            InputTooLong: the rest exceeds MAX_INPUT_TOKENS, or has more words than the first model's window has tokens.
        """
        body = request.body
        max_tokens = self._max_input_tokens
        for model in models:
            window = find_input_window(model, body[self._output_limit_param])
            max_tokens = max_tokens if window is None or window > max_tokens else window
        # A cheap upper bound suffices for most requests.
        if max_tokens == math.inf or all(request.input_bound(model) <= max_tokens for model in models):
            return 0
        count = _MessageCount(models, self.token_counts)
        others = {name: value for name, value in body.items() if name in _INPUT_FIELDS}
        overhead = _REQUEST_OVERHEAD + count.count_json(others)
        remaining, tokens = trim(body["messages"], max_tokens - overhead, count, count.estimate)
        if overhead + tokens > self._max_input_tokens:
            raise InputTooLong
        request.replace_body({**body, "messages": remaining})
        _check_words(request.encode(models[0]), models[0])
        return len(body["messages"]) - len(remaining)

    def check_texts(self, texts: Sequence[str | list[int]], model: str) -> None:
        """Raise InputTooLong if a text to embed has more words or tokens than the model's window has tokens."""
        window = find_window(model)
        for text in texts:
            if isinstance(text, str):
                _check_words(text.encode("utf-8", "surrogatepass"), model)
            elif window is not None and len(text) > window:
                raise InputTooLong


def _check_words(text: bytes, model: str) -> None:
    """Raise InputTooLong if a model certainly refuses a text, so that no hold is placed for it."""
    window = find_window(model)
    if window is not None and len(text) > window and min_tokens(text) > window:
        raise InputTooLong


class _MessageCount:
    """Counts the tokens of messages for the model that needs the most."""

    def __init__(self, models: Sequence[str], token_counts: TokenCounts) -> None:
        self._models, self._token_counts = models, token_counts
        self._count = token_counts.counter(models)
        is_exact = all(token_counts.find_encoding(model) for model in models)
        self._bytes_per_token = 4 if is_exact else 1

    def __call__(self, message: dict[str, Any]) -> int:
        others = {name: value for name, value in message.items() if name not in _COUNTED_SEPARATELY}
        tokens = _MESSAGE_OVERHEAD + self.count_json(others)
        if reasoning := message.get(REASONING_ITEMS):
            tokens += len(orjson.dumps(reasoning)) - count_spared_reasoning(reasoning)
        content = message.get("content") or ""
        if isinstance(content, str):
            return tokens + self._count(content)
        for part in content:
            if part["type"] == "text":
                tokens += self._count(part["text"])
            else:
                alone = {"messages": [{"content": [part]}]}
                tokens += max(bound_input(alone, model, self._token_counts) for model in self._models)
        return tokens

    def estimate(self, message: dict[str, Any]) -> int:
        """Estimate the tokens of a message quickly: texts have about 4 bytes per token in all scripts."""
        content = message.get("content") or ""
        if isinstance(content, str):
            return _MESSAGE_OVERHEAD + count_bytes(content) // self._bytes_per_token
        texts: int = sum(count_bytes(part["text"]) for part in content if part["type"] == "text")
        others = len([part for part in content if part["type"] != "text"])
        return _MESSAGE_OVERHEAD + texts // self._bytes_per_token + others * _ESTIMATED_IMAGE_TOKENS

    def count_json(self, value: dict[str, Any]) -> int:
        """Count the tokens of a value as JSON, though the upstream writes it into the prompt in another format."""
        return self._count(orjson.dumps(value).decode()) if value else 0
