"""Format an answer as one chat completion or as the chunks of a stream."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from app.offline_model import tokens
from app.offline_model.answer import Answer
from app.offline_model.requests.fields import JsonObject


@dataclass(frozen=True)
class Completion:
    """An answer in the form of `POST /chat/completions`."""

    answer: Answer

    def usage(self) -> JsonObject:
        """Count the tokens of the prompt and of the answer."""
        prompt_tokens, completion_tokens = self.answer.prompt_tokens, self.answer.completion_tokens
        cache_use = self.answer.cache_use
        return {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
            "prompt_tokens_details": {"cached_tokens": cache_use.read, "cache_write_tokens": cache_use.written},
            "completion_tokens_details": {"reasoning_tokens": self.answer.reasoning_tokens},
        }

    def to_dict(self) -> JsonObject:
        """Return the `chat.completion` object."""
        message: JsonObject = {"role": "assistant", "content": self.answer.text, "refusal": None}
        if self.answer.tool_name:
            called = self._make_called(self.answer.text, {"name": self.answer.tool_name})
            message |= {"content": None, "tool_calls": [{"id": self._call_id, **called}]}
        elif self.answer.is_refusal:
            message |= {"content": None, "refusal": self.answer.text}
        choice = {"index": 0, "message": message, "finish_reason": self.answer.finish_reason, "logprobs": None}
        return {**self._make_head("chat.completion"), "choices": [choice], "usage": self.usage()}

    def events(self, token_delay_s: float) -> Iterator[bytes]:
        """Yield the events of a stream: the role, one event per token, the finish reason, `[DONE]`."""
        yield self._encode_event(
            {"role": "assistant", "content": None if self.answer.tool_name else "", "refusal": None}
        )
        for at, delta in enumerate(self._iter_deltas()):
            if at:
                time.sleep(token_delay_s)
            yield self._encode_event(delta)
        yield self._encode_event({}, self.answer.finish_reason)
        if self.answer.request.include_usage:
            chunk = {**self._make_head("chat.completion.chunk"), "choices": [], "usage": self.usage()}
            yield b"data: " + orjson.dumps(chunk) + b"\n\n"
        yield b"data: [DONE]\n\n"

    def _iter_deltas(self) -> Iterator[JsonObject]:
        if not self.answer.tool_name:
            field = "refusal" if self.answer.is_refusal else "content"
            yield from ({field: piece} for piece in self.answer.pieces)
            return
        called = self._make_called("", {"name": self.answer.tool_name})
        yield {"tool_calls": [{"index": 0, "id": self._call_id, **called}]}
        for piece in self.answer.pieces:
            called = self._make_called(piece, {})
            del called["type"]
            yield {"tool_calls": [{"index": 0, **called}]}

    def _make_called(self, text: str, named: JsonObject) -> JsonObject:
        """Return what a call says, or a piece of it."""
        kind, field = ("custom", "input") if self.answer.is_custom else ("function", "arguments")
        return {"type": kind, kind: {**named, field: text}}

    def _encode_event(self, delta: JsonObject, finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
        chunk = {**self._make_head("chat.completion.chunk"), "choices": [choice]}
        if self.answer.request.include_usage:
            chunk["usage"] = None
        if self.answer.request.has_obfuscation:
            chunk["obfuscation"] = tokens.pad(str(delta.get("content") or ""))
        return b"data: " + orjson.dumps(chunk) + b"\n\n"

    def _make_head(self, kind: str) -> JsonObject:
        name, created_s = self.answer.name, self.answer.created_s
        return {"id": f"chatcmpl-offline-{name}", "object": kind, "created": created_s, "model": "offline"}

    @property
    def _call_id(self) -> str:
        return f"call_offline-{self.answer.name}"
