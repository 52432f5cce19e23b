"""POST /api/chat/openai: the body that open-source chat pages send, with settings apart from messages."""

from __future__ import annotations

from typing import Any

from app.openai_service import ChatCall
from app.schemas.chat import build_chat_call, messages_of
from app.schemas.fields import MaxTokens, ModelName, Temperature
from app.schemas.messages import Messages
from app.schemas.parsing import RequestModel
from app.schemas.prompting import Conversation, PromptFields, SystemPrompts
from app.schemas.tools import OfferedTools


class ChatSettings(RequestModel):
    """What of such a page's settings has a meaning here; the others are its own and are accepted unread."""

    model: ModelName | None = None
    temperature: Temperature | None = None
    max_tokens: MaxTokens | None = None
    prompt: Any = None
    context_length: Any = None
    include_profile_context: Any = None
    include_workspace_instructions: Any = None
    embeddings_provider: Any = None


class OpenAIChatRequest(PromptFields):
    chat_settings: ChatSettings
    messages: Messages

    def to_call(
        self, prompts: SystemPrompts, *, request_id: str, server_tools: OfferedTools | None = None
    ) -> ChatCall:
        settings = self.chat_settings
        chosen = {
            "model": settings.model,
            "temperature": settings.temperature,
            "max_tokens": settings.max_tokens,
        }
        conversation = Conversation(messages_of(self.messages, None), request_id)
        return build_chat_call(conversation, chosen, self, prompts, server_tools)
