"""Define the request body of POST /api/chat/openai, which open-source chat pages send."""

from __future__ import annotations

from typing import Any

from app.openai_service import ChatCall
from app.prompts.selection import Conversation, PromptSelection
from app.web.media.intake import MediaIntake
from app.web.schemas.chat import build_chat_call, build_messages
from app.web.schemas.fields import AnswerFields
from app.web.schemas.messages import ConversationRequest, Messages
from app.web.schemas.tools import OfferedTools


class ChatSettings(AnswerFields):
    """The page's settings; those of type Any are accepted and ignored."""

    prompt: Any = None
    context_length: Any = None
    include_profile_context: Any = None
    include_workspace_instructions: Any = None
    embeddings_provider: Any = None


class OpenAIChatRequest(ConversationRequest):
    """The body of POST /api/chat/openai: settings and messages."""

    chat_settings: ChatSettings
    messages: Messages
    custom_model_id: Any = None  # chatbot-ui sends it for custom models; accepted and ignored

    def to_call(
        self,
        prompts: PromptSelection,
        media: MediaIntake,
        *,
        request_id: str,
        server_tools: OfferedTools | None = None,
    ) -> ChatCall:
        """Build the call to the service. Args and Raises are those of ChatRequest.to_call()."""
        media.prepare(self, "chat", self.chat_settings.model, prompts)
        conversation = Conversation(build_messages(self.messages, None), request_id, adjusted=media.adjusted)
        return build_chat_call(conversation, self.chat_settings.list_values(), self, prompts, server_tools)
