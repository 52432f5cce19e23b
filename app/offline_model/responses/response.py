"""Format an answer as one object of `POST /responses`."""

from __future__ import annotations

from dataclasses import dataclass

from app.offline_model.answer import Answer
from app.offline_model.requests.fields import JsonObject
from app.offline_model.responses.request import ResponsesRequest
from app.offline_model.responses.sealed_reasoning import seal_thought

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


@dataclass(frozen=True)
class Response:
    """An answer in the form of `POST /responses`."""

    request: ResponsesRequest
    answer: Answer

    @property
    def status(self) -> str:
        """How the answer ended."""
        return "incomplete" if self.answer.finish_reason in _INCOMPLETE else "completed"

    def to_dict(self) -> JsonObject:
        """Return the `response` object."""
        reason = {"reason": _INCOMPLETE[self.answer.finish_reason]} if self.status == "incomplete" else None
        return self.make_head(self.status) | {
            "completed_at": self.answer.created_s if self.status == "completed" else None,
            "incomplete_details": reason,
            "output": self.list_items(),
            "usage": self._count_usage(),
        }

    def make_head(self, status: str) -> JsonObject:
        """Return the `response` object without an answer."""
        body = self.request.body
        removed = [
            {"id": name, "type": "reasoning", "action": "removed", "reason": "model_mismatch"}
            for name in self.request.removed
        ]
        return {
            "id": f"resp_offline_{self.answer.name}",
            "object": "response",
            "created_at": self.answer.created_s,
            "status": status,
            "background": False,
            "completed_at": None,
            "error": None,
            "incomplete_details": None,
            "instructions": body.get("instructions"),
            "max_output_tokens": body.get("max_output_tokens"),
            "metadata": body.get("metadata") or {},
            "model": "offline",
            "output": [],
            "parallel_tool_calls": body.get("parallel_tool_calls", True),
            "previous_response_id": None,
            "reasoning": {"effort": self.request.effort, "summary": None},
            "service_tier": "default",
            "store": body.get("store", True),
            "temperature": body.get("temperature", 1.0),
            "text": body.get("text") or {"format": {"type": "text"}, "verbosity": "medium"},
            "tool_choice": body.get("tool_choice") or "auto",
            "tools": body.get("tools") or [],
            "top_p": body.get("top_p", 1.0),
            "truncation": "disabled",
            "usage": None,
            **({"input_transformations": removed} if removed else {}),
        }

    def list_items(self) -> list[JsonObject]:
        """Return the complete items of the output."""
        items = [self.make_thought()] if self.answer.thought else []
        if self.answer.tool_name:
            items.append(self.make_call())
        elif self.answer.pieces or not self.answer.thought:
            items.append(self.make_message())
        return items

    def make_thought(self) -> JsonObject:
        """Return the reasoning item."""
        summary = [{"type": "summary_text", "text": self.answer.thought}] if self.request.has_summary else []
        sealed = seal_thought(self.answer.thought, self.request.model)
        name = f"rs_offline_{self.answer.name}"
        return {"id": name, "type": "reasoning", "summary": summary, "encrypted_content": sealed}

    def make_call(self) -> JsonObject:
        """Return the item of a call of a function, or of a custom tool."""
        is_custom = self.answer.is_custom
        return {
            "id": f"{'ctc' if is_custom else 'fc'}_offline_{self.answer.name}",
            "type": "custom_tool_call" if is_custom else "function_call",
            "status": self.status,
            "call_id": f"call_offline-{self.answer.name}",
            "name": self.answer.tool_name,
            "input" if is_custom else "arguments": self.answer.text,
        }

    def make_message(self) -> JsonObject:
        """Return the item of the answer's text."""
        return {
            "id": f"msg_offline_{self.answer.name}",
            "type": "message",
            "status": self.status,
            "role": "assistant",
            "content": [self._make_part()],
        }

    def _make_part(self) -> JsonObject:
        if self.answer.is_refusal:
            return {"type": "refusal", "refusal": self.answer.text}
        return {"type": "output_text", "text": self.answer.text, "annotations": [], "logprobs": []}

    def _count_usage(self) -> JsonObject:
        answer = self.answer
        return {
            "input_tokens": answer.prompt_tokens,
            "input_tokens_details": {
                "cached_tokens": answer.cache_use.read,
                "cache_write_tokens": answer.cache_use.written,
            },
            "output_tokens": answer.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
            "total_tokens": answer.prompt_tokens + answer.completion_tokens,
        }
