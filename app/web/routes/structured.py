"""/api/structured: answers that fill a JSON schema, in one piece or as they grow."""

from __future__ import annotations

from flask import Blueprint, Response, g

from app.services import services
from app.web.call_context import current_caller
from app.web.encoders.structured_sse import PartialSse
from app.web.guards import needs
from app.web.request_body import json_body
from app.web.responses import json_answer
from app.web.schemas.structured import Filling, StructuredRequest, structured_response
from app.web.streaming import stream_from

bp = Blueprint("structured", __name__, url_prefix="/structured")


@bp.post("")
@needs("structured")
def create() -> Response:
    """Have the model fill a JSON schema."""
    asked = _asked()
    result = services().openai_service.extract(asked.call, asked.original, caller=current_caller())
    return json_answer(structured_response(result.data, result, asked), result.record)


@bp.post("/stream")
@needs("structured")
def stream() -> Response:
    """Have the model fill a JSON schema, and tell what it has filled so far."""
    asked = _asked()
    service = services().openai_service
    return stream_from(
        lambda caller: service.stream_extract(asked.call, asked.original, caller=caller),
        PartialSse(g.request_id, asked),
    )


def _asked() -> Filling:
    built = services()
    prompts = built.prompts.of(g.principal)
    return json_body(StructuredRequest).to_filling(prompts, built.schemas, request_id=g.request_id)
