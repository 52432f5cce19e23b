"""Serve /api/chat: answer a conversation, complete or streamed."""

from __future__ import annotations

from flask import Blueprint, Response

from app.openai_service import ChatCall
from app.services import services
from app.web.call_context import billed_context
from app.web.encoders.plain_text import PlainText
from app.web.encoders.token_sse import TokenSse
from app.web.errors import error_format, message_error
from app.web.guards import needs
from app.web.media.intake import MediaIntake
from app.web.media.reading import read_conversation
from app.web.media.work import begin_work
from app.web.replays.recording import find_resumption
from app.web.request_id import current_state
from app.web.responses import json_response
from app.web.routes.ui_messages import chat_error, read_chat_body, stream_ui_messages
from app.web.schemas.chat import ChatFields, ChatRequest
from app.web.schemas.frameworks.ui_messages import UIMessagesRequest
from app.web.schemas.openai_chat import OpenAIChatRequest
from app.web.schemas.sealed_reasoning import make_seal, seal_reasoning
from app.web.streaming import padding, stream_chat_response

bp = Blueprint("chat", __name__, url_prefix="/chat")


@bp.post("")
@needs("chat")
@error_format(chat_error)
def create() -> Response:
    """Answer a conversation in one response, or in a UI message stream if the request is from the AI SDK."""
    body, media = read_chat_body()
    if isinstance(body, UIMessagesRequest):
        return stream_ui_messages(body, build_call(body, media))
    body.refuse_to_resume()
    call = build_call(body, media)
    result = services().openai_service.chat(call, caller=billed_context())
    return json_response(body.build_response(result, seal_reasoning(result)), result.record)


@bp.post("/stream")
@needs("chat")
def stream() -> Response:
    """Stream the answer to a conversation as token events."""
    body, media = read_conversation(ChatRequest)
    encoder = TokenSse(current_state().request_id, padding(), make_seal())
    return stream_chat_response(build_call(body, media), encoder, find_resumption(body))


@bp.post("/openai")
@needs("chat")
@error_format(message_error)
def stream_text() -> Response:
    """Stream the answer to a conversation as plain text."""
    body, media = read_conversation(OpenAIChatRequest)
    return stream_chat_response(build_call(body, media), PlainText())


def build_call(body: ChatFields | OpenAIChatRequest, media: MediaIntake | None = None) -> ChatCall:
    """Build the call to the service from a body, with the prompts and tools that the caller may use."""
    state, built = current_state(), services()
    media = media or MediaIntake(begin_work)
    tools = built.toolbox.offer_to(state.principal, state.request_id)
    return body.to_call(
        built.prompts.restrict_to(state.principal), media, request_id=state.request_id, server_tools=tools
    )
