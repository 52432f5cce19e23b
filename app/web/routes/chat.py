"""Serve /api/chat: answer a conversation, complete or streamed."""

from __future__ import annotations

from flask import Blueprint, Response, g

from app.openai_service import ChatCall
from app.problems import InvalidRequest
from app.services import services
from app.web.call_context import billed_context
from app.web.encoders.plain_text import PlainText
from app.web.encoders.token_sse import TokenSse
from app.web.errors import error_format, message_error
from app.web.guards import needs
from app.web.media.intake import MediaIntake
from app.web.media.reading import read_conversation
from app.web.replays.recording import Resumption
from app.web.responses import json_response
from app.web.schemas.chat import ChatRequest
from app.web.schemas.openai_chat import OpenAIChatRequest
from app.web.streaming import stream_chat_response

bp = Blueprint("chat", __name__, url_prefix="/chat")


@bp.post("")
@needs("chat")
def create() -> Response:
    """Answer a conversation in one response."""
    body, media = read_conversation(ChatRequest)
    if body.resumable:
        raise InvalidRequest("only a stream can be resumed.", field="resumable")
    result = services().openai_service.chat(_build_call(body, media), caller=billed_context())
    return json_response(body.response(result), result.record)


@bp.post("/stream")
@needs("chat")
def stream() -> Response:
    """Stream the answer to a conversation as token events."""
    body, media = read_conversation(ChatRequest)
    resumption = Resumption() if body.resumable else None
    return stream_chat_response(_build_call(body, media), TokenSse(g.request_id), resumption)


@bp.post("/openai")
@needs("chat")
@error_format(message_error)
def stream_text() -> Response:
    """Stream the answer to a conversation as plain text."""
    body, media = read_conversation(OpenAIChatRequest)
    return stream_chat_response(_build_call(body, media), PlainText())


def _build_call(body: ChatRequest | OpenAIChatRequest, media: MediaIntake) -> ChatCall:
    principal, request_id, built = g.principal, g.request_id, services()
    tools = built.toolbox.offer_to(principal, request_id)
    return body.to_call(built.prompts.restrict_to(principal), media, request_id=request_id, server_tools=tools)
