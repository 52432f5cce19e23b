"""InputWindow: makes a request's input fit into the models' windows, and into what the site allows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import orjson

from app.config import Config
from app.openai_service.chat.history import trim
from app.openai_service.errors import InputTooLong
from app.openai_service.transport.request import UpstreamRequest
from app.openai_service.transport.request_bodies import STREAMED
from app.token_counts import Count, TokenCounts, find_input_window
from app.token_counts.estimates import bound_input

# ChatPipeline each message the model is told whose it is: 3 or 4 tokens. ChatPipeline them all there is a little more.
# Source: https://developers.openai.com/cookbook/examples/how_to_count_tokens_with_tiktoken
_AROUND_MESSAGE = 8
_AROUND_ALL = 64


class InputWindow:
    def __init__(self, config: Config, token_counts: TokenCounts) -> None:
        self._most = config.max_input_tokens or math.inf
        self._ceiling = config.max_tokens_param
        self._token_counts = token_counts

    def trim(self, request: UpstreamRequest, models: Sequence[str]) -> int:
        """Leave the oldest turns of a chat out where that is too long for one of the models that may serve it.

        One that is still too long for a model is left to the upstream to refuse, as it may be counted too high.

        Returns:
            how many messages were left out.
        Raises:
            InputTooLong: even the rest is more than MAX_INPUT_TOKENS.
        """
        body = request.body
        room = self._most
        for model in models:
            window = find_input_window(model, body[self._ceiling])
            room = room if window is None or window > room else window
        # Most are so much shorter that no token has to be counted.
        if room == math.inf or all(request.input_bound(model) <= room for model in models):
            return 0
        count = self._token_counts.counter(models)
        uncounted = ("messages", self._ceiling, *STREAMED)
        others = {name: value for name, value in body.items() if name not in uncounted}
        around = _AROUND_ALL + count(_dump(others))

        def tokens_of(message: dict[str, Any]) -> int:
            return self._tokens_of(message, models, count)

        kept, tokens = trim(body["messages"], room - around, tokens_of)
        if around + tokens > self._most:
            raise InputTooLong
        left_out = len(body["messages"]) - len(kept)
        request.replace_body({**body, "messages": kept})
        return left_out

    def _tokens_of(self, message: dict[str, Any], models: Sequence[str], count: Count) -> int:
        others = {name: value for name, value in message.items() if name not in ("role", "content")}
        tokens = _AROUND_MESSAGE + (count(_dump(others)) if others else 0)
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
