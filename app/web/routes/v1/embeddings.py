"""Serve /v1/embeddings: turn texts into vectors, for OpenAI clients."""

from __future__ import annotations

from flask import Blueprint, Response, g

from app.services import services
from app.web.call_context import billed_context
from app.web.guards import needs
from app.web.request_body import read_json_body
from app.web.responses import json_response
from app.web.schemas.v1.embeddings import MAX_VALUES, EmbeddingsRequest

bp = Blueprint("embeddings", __name__, url_prefix="/embeddings")


@bp.post("")
@needs("embeddings")
def create() -> Response:
    """Turn texts, or their tokens, into vectors."""
    body = read_json_body(EmbeddingsRequest, MAX_VALUES)
    result = services().openai_service.embed(
        body.input,
        request_id=g.request_id,
        model=body.model,
        dimensions=body.dimensions,
        caller=billed_context(),
    )
    return json_response(body.build_response(result), result.record)
