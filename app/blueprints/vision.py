"""/api/vision: questions about images."""

from __future__ import annotations

from flask import Blueprint, Response, g

from app.extensions import openai_service, system_prompts
from app.schemas.chat import chat_response
from app.schemas.vision import vision_call
from app.visitor import current_visitor
from app.wire.answers import json_answer
from app.wire.streams import stream_answer
from app.wire.token_sse import TokenSse

bp = Blueprint("vision", __name__, url_prefix="/vision")


@bp.post("")
def create() -> Response:
    """Answer a question about images in one piece."""
    result = openai_service().chat(
        vision_call(system_prompts(), request_id=g.request_id), watch=current_visitor().watch
    )
    return json_answer(chat_response(result), result.record)


@bp.post("/stream")
def stream() -> Response:
    """Answer a question about images as it is written, as token events."""
    return stream_answer(vision_call(system_prompts(), request_id=g.request_id), TokenSse(g.request_id))
