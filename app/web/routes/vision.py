"""/api/vision: questions about images."""

from __future__ import annotations

from flask import Blueprint, Response, g

from app.openai_service import ChatCall
from app.services import services
from app.web.call_context import billed_context
from app.web.encoders.token_sse import TokenSse
from app.web.guards import needs
from app.web.responses import json_answer
from app.web.schemas.chat import chat_response
from app.web.schemas.vision import vision_call
from app.web.streaming import stream_answer

bp = Blueprint("vision", __name__, url_prefix="/vision")


@bp.post("")
@needs("vision")
def create() -> Response:
    """Answer a question about images in one piece."""
    result = services().openai_service.chat(_call(), caller=billed_context())
    return json_answer(chat_response(result), result.record)


@bp.post("/stream")
@needs("vision")
def stream() -> Response:
    """Answer a question about images as it is written, as token events."""
    return stream_answer(_call(), TokenSse(g.request_id))


def _call() -> ChatCall:
    built = services()
    return vision_call(built.prompts.of(g.principal), built.config.images, request_id=g.request_id)
