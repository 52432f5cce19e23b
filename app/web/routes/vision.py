"""Serve /api/vision: answer questions about images."""

from __future__ import annotations

from flask import Blueprint, Response, g

from app.openai_service import ChatCall
from app.services import services
from app.web.call_context import billed_context
from app.web.encoders.token_sse import TokenSse
from app.web.guards import needs
from app.web.replays.recording import find_resumption
from app.web.responses import json_response
from app.web.schemas.chat import build_chat_response
from app.web.schemas.sealed_reasoning import make_seal, seal_reasoning
from app.web.schemas.vision import VisionFields, read_vision_call
from app.web.streaming import padding, stream_chat_response

bp = Blueprint("vision", __name__, url_prefix="/vision")


@bp.post("")
@needs("vision")
def create() -> Response:
    """Answer a question about images in one response."""
    _, call = _read_call(is_streamed=False)
    result = services().openai_service.chat(call, caller=billed_context())
    return json_response(build_chat_response(result, seal_reasoning(result)), result.record)


@bp.post("/stream")
@needs("vision")
def stream() -> Response:
    """Stream the answer to a question about images as token events."""
    body, call = _read_call(is_streamed=True)
    encoder = TokenSse(g.request_id, padding(), make_seal())
    return stream_chat_response(call, encoder, find_resumption(body))


def _read_call(*, is_streamed: bool) -> tuple[VisionFields, ChatCall]:
    prompts = services().prompts.restrict_to(g.principal)
    return read_vision_call(prompts, request_id=g.request_id, is_streamed=is_streamed)
