"""Define the request body of POST /api/chat/openai, as open-source chat pages send it."""

from __future__ import annotations

from typing import Any

from app.openai_service import ChatCall
from app.prompts.selection import Conversation, PromptSelection
from app.web.media.intake import MediaIntake
from app.web.schemas.chat import build_chat_call, build_messages
from app.web.schemas.fields import MaxTokens, ModelName, Temperature
from app.web.schemas.messages import ConversationRequest, Messages
from app.web.schemas.tools import OfferedTools
from app.web.schemas.validation import RequestModel


class ChatSettings(RequestModel):
    """The page's settings; those of type Any are accepted and ignored."""

    model: ModelName | None = None
    temperature: Temperature | None = None
    max_tokens: MaxTokens | None = None
    prompt: Any = None
    context_length: Any = None
    include_profile_context: Any = None
    include_workspace_instructions: Any = None
    embeddings_provider: Any = None


class OpenAIChatRequest(ConversationRequest):
    """The body of POST /api/chat/openai: settings apart from messages."""

    chat_settings: ChatSettings
    messages: Messages
    custom_model_id: Any = None  # of chatbot-ui's own models; accepted and ignored

    def to_call(
        self,
        prompts: PromptSelection,
        media: MediaIntake,
        *,
        request_id: str,
        server_tools: OfferedTools | None = None,
    ) -> ChatCall:
        """Build the call to the service. Args and Raises as ChatRequest.to_call()."""
        settings = self.chat_settings
        chosen = {
            "model": settings.model,
            "temperature": settings.temperature,
            "max_tokens": settings.max_tokens,
        }
        media.prepare(self, "chat", settings.model, prompts)
        conversation = Conversation(build_messages(self.messages, None), request_id, adjusted=media.adjusted)
        return build_chat_call(conversation, chosen, self, prompts, server_tools)
