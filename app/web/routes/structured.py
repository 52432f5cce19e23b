"""/api/structured: answers that fill a JSON schema, in one piece or as they grow."""

from __future__ import annotations

from flask import Blueprint, Response, g

from app.services import services
from app.web.call_context import billed_context
from app.web.encoders.structured_sse import StructuredSse
from app.web.guards import needs
from app.web.request_body import read_json_body
from app.web.responses import json_response
from app.web.schemas.structured import StructuredCall, StructuredRequest, structured_response
from app.web.streaming import stream_response

bp = Blueprint("structured", __name__, url_prefix="/structured")


@bp.post("")
@needs("structured")
def create() -> Response:
    """Have the model fill a JSON schema."""
    asked = _read_request()
    result = services().openai_service.structured(asked.call, asked.original, caller=billed_context())
    return json_response(structured_response(result.data, result, asked), result.record)


@bp.post("/stream")
@needs("structured")
def stream() -> Response:
    """Have the model fill a JSON schema, and tell what it has filled so far."""
    asked = _read_request()
    service = services().openai_service
    return stream_response(
        lambda caller: service.stream_structured(asked.call, asked.original, caller=caller),
        StructuredSse(g.request_id, asked),
    )


def _read_request() -> StructuredCall:
    built = services()
    prompts = built.prompts.restrict_to(g.principal)
    return read_json_body(StructuredRequest).to_structured_call(prompts, built.schemas, request_id=g.request_id)
