"""Serve /api/embeddings: turn texts into vectors, and compare texts."""

from __future__ import annotations

from flask import Blueprint, Response, g

from app.services import services
from app.web.call_context import billed_context
from app.web.guards import needs
from app.web.request_body import read_json_body
from app.web.responses import json_response
from app.web.schemas.embeddings import EmbeddingsRequest, SimilarityRequest, build_embeddings_body

bp = Blueprint("embeddings", __name__, url_prefix="/embeddings")


@bp.post("")
@needs("embeddings")
def create() -> Response:
    """Turn texts into vectors."""
    body = read_json_body(EmbeddingsRequest)
    result = services().openai_service.embed(
        body.list_texts(),
        request_id=g.request_id,
        model=body.model,
        dimensions=body.dimensions,
        caller=billed_context(),
    )
    return json_response(build_embeddings_body(result), result.record)


@bp.post("/similarity")
@needs("embeddings")
def similarity() -> Response:
    """Compare two texts, or rank documents by similarity to a query."""
    body = read_json_body(SimilarityRequest)
    result = services().openai_service.embed(
        body.list_texts(), request_id=g.request_id, model=body.model, caller=billed_context()
    )
    return json_response(body.build_response(result), result.record)
