"""/api/structured: answers that fill a JSON schema, in one piece or as they grow."""

from __future__ import annotations

from flask import Blueprint, Response, g

from app.services import services
from app.web.call_context import billed_context
from app.web.encoders.structured_sse import StructuredSse
from app.web.guards import needs
from app.web.request_body import json_body
from app.web.responses import json_answer
from app.web.schemas.structured import StructuredCall, StructuredRequest, structured_response
from app.web.streaming import stream_from

bp = Blueprint("structured", __name__, url_prefix="/structured")


@bp.post("")
@needs("structured")
def create() -> Response:
    """Have the model fill a JSON schema."""
    asked = _read_request()
    result = services().openai_service.extract(asked.call, asked.original, caller=billed_context())
    return json_answer(structured_response(result.data, result, asked), result.record)


@bp.post("/stream")
@needs("structured")
def stream() -> Response:
    """Have the model fill a JSON schema, and tell what it has filled so far."""
    asked = _read_request()
    service = services().openai_service
    return stream_from(
        lambda caller: service.stream_structured(asked.call, asked.original, caller=caller),
        StructuredSse(g.request_id, asked),
    )


def _read_request() -> StructuredCall:
    built = services()
    prompts = built.prompts.of(g.principal)
    return json_body(StructuredRequest).to_structured_call(prompts, built.schemas, request_id=g.request_id)
