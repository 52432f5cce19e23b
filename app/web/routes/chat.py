"""Serve /api/chat: answer a conversation, complete or streamed."""

from __future__ import annotations

from flask import Blueprint, Response, g

from app.openai_service import ChatCall
from app.services import Services, services
from app.web.call_context import billed_context
from app.web.encoders.plain_text import PlainText
from app.web.encoders.token_sse import TokenSse
from app.web.errors import error_format, message_error
from app.web.guards import needs
from app.web.request_body import read_json_body
from app.web.responses import json_response
from app.web.schemas.chat import ChatRequest
from app.web.schemas.openai_chat import OpenAIChatRequest
from app.web.streaming import padding, stream_chat_response

bp = Blueprint("chat", __name__, url_prefix="/chat")


@bp.post("")
@needs("chat")
def create() -> Response:
    """Answer a conversation in one response."""
    body, built = read_json_body(ChatRequest), services()
    result = built.openai_service.chat(_build_call(body, built), caller=billed_context())
    return json_response(body.response(result), result.record)


@bp.post("/stream")
@needs("chat")
def stream() -> Response:
    """Stream the answer to a conversation as token events."""
    body = read_json_body(ChatRequest)
    return stream_chat_response(_build_call(body, services()), TokenSse(g.request_id, padding()))


@bp.post("/openai")
@needs("chat")
@error_format(message_error)
def stream_text() -> Response:
    """Stream the answer to a conversation as plain text."""
    body = read_json_body(OpenAIChatRequest)
    return stream_chat_response(_build_call(body, services()), PlainText())


def _build_call(body: ChatRequest | OpenAIChatRequest, built: Services) -> ChatCall:
    principal, request_id = g.principal, g.request_id
    tools = built.toolbox.offer_to(principal, request_id)
    return body.to_call(built.prompts.restrict_to(principal), request_id=request_id, server_tools=tools)
