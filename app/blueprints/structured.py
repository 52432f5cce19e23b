"""/api/structured: answers that fill a JSON schema."""

from __future__ import annotations

from flask import Blueprint, Response, g

from app.auth import needs
from app.extensions import openai_service, system_prompts
from app.metering import current_caller
from app.schemas.request_body import json_body
from app.schemas.structured import StructuredRequest, structured_response
from app.wire.answers import json_answer

bp = Blueprint("structured", __name__, url_prefix="/structured")


@bp.post("")
@needs("structured")
def create() -> Response:
    """Have the model fill a JSON schema."""
    body = json_body(StructuredRequest)
    result = openai_service().extract(
        body.to_call(system_prompts(), request_id=g.request_id), caller=current_caller()
    )
    return json_answer(structured_response(result), result.record)
