"""Format an answer as one chat completion or as the chunks of a stream."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from app.offline_model.requests.chat_request import ChatRequest
from app.offline_model.requests.fields import JsonObject

# Tokens that OpenAI counts for the start of its answer.
PRIMING_TOKENS = 3


@dataclass(frozen=True)
class Completion:
    """An answer as a list of tokens: of its text, or of the arguments of the tool `tool_name`."""

    request: ChatRequest
    pieces: list[str]
    finish_reason: str
    tool_name: str | None
    completion_id: str
    created_s: int

    def usage(self) -> JsonObject:
        """Count the tokens of the prompt and of the answer."""
        prompt_tokens = PRIMING_TOKENS + self.request.tools.prompt_tokens
        prompt_tokens += sum(message.prompt_tokens for message in self.request.messages)
        completion_tokens = len(self.pieces) + bool(self.tool_name)
        return {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        }

    def to_dict(self) -> JsonObject:
        """Return the `chat.completion` object."""
        text = "".join(self.pieces)
        message: JsonObject = {"role": "assistant", "content": text, "refusal": None}
        if self.tool_name:
            function = {"name": self.tool_name, "arguments": text}
            call = {"id": self._call_id, "type": "function", "function": function}
            message |= {"content": None, "tool_calls": [call]}
        choice = {"index": 0, "message": message, "finish_reason": self.finish_reason, "logprobs": None}
        return {**self._make_head("chat.completion"), "choices": [choice], "usage": self.usage()}

    def events(self, token_delay_s: float) -> Iterator[bytes]:
        """Yield the events of a stream: the role, one event per token, the finish reason, `[DONE]`."""
        yield self._encode_event({"role": "assistant", "content": None if self.tool_name else "", "refusal": None})
        for at, delta in enumerate(self._iter_deltas()):
            if at:
                time.sleep(token_delay_s)
            yield self._encode_event(delta)
        yield self._encode_event({}, self.finish_reason)
        if self.request.include_usage:
            chunk = {**self._make_head("chat.completion.chunk"), "choices": [], "usage": self.usage()}
            yield b"data: " + orjson.dumps(chunk) + b"\n\n"
        yield b"data: [DONE]\n\n"

    def _iter_deltas(self) -> Iterator[JsonObject]:
        if not self.tool_name:
            yield from ({"content": piece} for piece in self.pieces)
            return
        function = {"name": self.tool_name, "arguments": ""}
        call = {"index": 0, "id": self._call_id, "type": "function", "function": function}
        yield {"tool_calls": [call]}
        for piece in self.pieces:
            yield {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}

    def _encode_event(self, delta: JsonObject, finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
        chunk = {**self._make_head("chat.completion.chunk"), "choices": [choice]}
        if self.request.include_usage:
            chunk["usage"] = None
        return b"data: " + orjson.dumps(chunk) + b"\n\n"

    def _make_head(self, kind: str) -> JsonObject:
        return {"id": self.completion_id, "object": kind, "created": self.created_s, "model": "offline"}

    @property
    def _call_id(self) -> str:
        return self.completion_id.replace("chatcmpl-", "call_", 1)
