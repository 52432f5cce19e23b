"""Serve /openapi.json: the description of all routes."""

from __future__ import annotations

import orjson
from flask import Blueprint, Response, current_app, request

from app.web.guards import public
from app.web.openapi.document import build_document

bp = Blueprint("openapi", __name__)

_NAME = "openapi_document"


@bp.get("/openapi.json")
@public
def show() -> Response:
    """Describe all routes, as OpenAPI 3.1 has it."""
    document: bytes | None = current_app.extensions.get(_NAME)
    if document is None:
        document = orjson.dumps(build_document(current_app))
        current_app.extensions[_NAME] = document
    response = Response(document, mimetype="application/json")
    response.headers["Cache-Control"] = "public, max-age=300"
    response.add_etag()
    response.make_conditional(request)
    return response
