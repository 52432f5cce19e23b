"""Serve the description of all routes: /openapi.json for programs, /docs for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from flask import Blueprint, Response, current_app, render_template, request

from app.web.guards import public
from app.web.pages.answers import page_response

_HERE = Path(__file__).parent / "page"
_DOCUMENT, _PAGE = "openapi_document", "openapi_page"

bp = Blueprint("openapi", __name__, template_folder=str(_HERE))


@bp.get("/openapi.json")
@public
def show() -> Response:
    """Describe all routes, as OpenAPI 3.1 has it."""
    document = current_app.extensions.get(_DOCUMENT)
    if document is None:
        document = current_app.extensions[_DOCUMENT] = orjson.dumps(_describe())
    return _respond_cacheable(document, "application/json")


@bp.get("/docs")
@public
def show_page() -> Response:
    """Describe all routes on a page."""
    described = current_app.extensions.get(_PAGE)
    if described is None:
        from app.web.openapi.reading import list_errors, list_sections

        document = _describe()
        routes = render_template("routes.html", sections=list_sections(document), errors=list_errors(document))
        described = current_app.extensions[_PAGE] = {"info": document["info"], "routes": routes}
    # The top bar has the links that this visitor may open.
    page = page_response("docs.html", cache_control="private, max-age=300", **described)
    page.add_etag()
    page.make_conditional(request)
    return page


@bp.get("/docs/style.css")
@public
def show_style() -> Response:
    """Send the style of the page."""
    return _respond_cacheable((_HERE / "docs.css").read_bytes(), "text/css")


def _describe() -> dict[str, Any]:
    # Imported at the first request: it loads the descriptions of all routes, answers and events.
    from app.web.openapi.document import build_document

    return build_document(current_app)


def _respond_cacheable(body: bytes, kind: str) -> Response:
    response = Response(body, mimetype=kind)
    response.headers["Cache-Control"] = "public, max-age=300"
    response.add_etag()
    response.make_conditional(request)
    return response
