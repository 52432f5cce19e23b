"""POST /api/chat and /api/chat/stream: a conversation in, an answer out."""

from __future__ import annotations

from typing import Any

from app.openai_service import ChatCall, ChatResult
from app.schemas.fields import MaxTokens, ModelName, NonEmptyText, Temperature
from app.schemas.messages import Messages, check_turns
from app.schemas.parsing import InvalidRequest, RequestModel
from app.schemas.prompting import SystemPrompts
from app.schemas.tools import ToolChoice, Tools


class ChatRequest(RequestModel):
    """A conversation, as `messages` or as one text under either of two names that pages in the wild use."""

    messages: Messages | None = None
    message: NonEmptyText | None = None
    user_message: NonEmptyText | None = None
    system_prompt: NonEmptyText | None = None
    model: ModelName | None = None
    temperature: Temperature | None = None
    max_tokens: MaxTokens | None = None
    tools: Tools | None = None
    tool_choice: ToolChoice | None = None

    def to_call(self, prompts: SystemPrompts, *, request_id: str, operation: str = "chat") -> ChatCall:
        """What the service is asked to do.

        Raises:
            InvalidRequest: the fields do not go together.
        """
        if self.tool_choice is not None and self.tools is None:
            raise InvalidRequest("toolChoice: needs tools.")
        if isinstance(self.tool_choice, dict):
            chosen = self.tool_choice["function"]["name"]
            if all(tool["function"]["name"] != chosen for tool in self.tools or ()):
                raise InvalidRequest("toolChoice: names a function that is not among the tools.")
        return ChatCall(
            operation=operation,
            messages=prompts.apply(self._conversation(), self.system_prompt),
            request_id=request_id,
            model=self.model,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            tools=self.tools,  # type: ignore[arg-type]
            tool_choice=self.tool_choice,  # type: ignore[arg-type]
        )

    def _conversation(self) -> list[dict[str, Any]]:
        given = [name for name in ("messages", "message", "user_message") if getattr(self, name) is not None]
        if not given:
            raise InvalidRequest("Missing userMessage (or message, or messages).")
        if len(given) > 1:
            raise InvalidRequest("Give only one of messages, message and userMessage.")
        if self.messages is None:
            return [{"role": "user", "content": self.message or self.user_message}]
        messages: list[dict[str, Any]] = self.messages  # type: ignore[assignment]
        check_turns(messages)
        return messages

    def response(self, result: ChatResult) -> dict[str, Any]:
        """The answer's body; which names it repeats the text under depends on how it was asked for."""
        body = chat_response(result)
        if self.user_message is not None:
            body["text"] = body["reply"]
        if self.message is not None:
            body |= {"role": "assistant", "content": body["reply"]}
        return body


def chat_response(result: ChatResult) -> dict[str, Any]:
    """{"reply", "finishReason", "usage", "model", "id"}, and "toolCalls" where the model asked for some."""
    body: dict[str, Any] = {
        "reply": result.text or result.refusal or "",
        "finishReason": result.finish_reason,
        "usage": result.usage,
        "model": result.model,
        "id": result.id,
    }
    if result.tool_calls:
        body["toolCalls"] = result.tool_calls
    return body
