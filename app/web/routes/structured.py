"""Serve /api/structured: answers that match a JSON schema, complete or streamed."""

from __future__ import annotations

from flask import Blueprint, Response, g

from app.services import services
from app.web.call_context import billed_context
from app.web.encoders.structured_sse import StructuredSse
from app.web.guards import needs
from app.web.media.reading import read_conversation
from app.web.responses import json_response
from app.web.schemas.structured import StructuredCall, StructuredRequest, structured_response
from app.web.streaming import stream_response

bp = Blueprint("structured", __name__, url_prefix="/structured")


@bp.post("")
@needs("structured")
def create() -> Response:
    """Answer with data that matches a JSON schema."""
    structured = _read_request()
    result = services().openai_service.structured(structured.call, structured.original, caller=billed_context())
    return json_response(structured_response(result.data, result, structured.normalized), result.record)


@bp.post("/stream")
@needs("structured")
def stream() -> Response:
    """Stream data that matches a JSON schema, as far as the model has written it."""
    structured = _read_request()
    service = services().openai_service
    return stream_response(
        lambda caller: service.stream_structured(structured.call, structured.original, caller=caller),
        StructuredSse(g.request_id, structured),
    )


def _read_request() -> StructuredCall:
    built = services()
    prompts = built.prompts.restrict_to(g.principal)
    body, media = read_conversation(StructuredRequest)
    return body.to_structured_call(prompts, built.schemas, media, request_id=g.request_id)
