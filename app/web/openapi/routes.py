"""Serve the description of all routes: /openapi.json for programs, /docs for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from flask import Blueprint, Response, current_app, render_template, request

from app.web.guards import public
from app.web.openapi.document import build_document
from app.web.openapi.reading import list_sections

_HERE = Path(__file__).parent / "page"
_DOCUMENT, _PAGE = "openapi_document", "openapi_page"
# The page has no script, and nothing of other servers.
_PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}

bp = Blueprint("openapi", __name__, template_folder=str(_HERE))


@bp.get("/openapi.json")
@public
def show() -> Response:
    """Describe all routes, as OpenAPI 3.1 has it."""
    document = current_app.extensions.get(_DOCUMENT)
    if document is None:
        document = current_app.extensions[_DOCUMENT] = orjson.dumps(_describe())
    return _cached(document, "application/json")


@bp.get("/docs")
@public
def show_page() -> Response:
    """Describe all routes on a page."""
    page = current_app.extensions.get(_PAGE)
    if page is None:
        document = _describe()
        page = render_template("docs.html", info=document["info"], sections=list_sections(document)).encode()
        current_app.extensions[_PAGE] = page
    response = _cached(page, "text/html")
    response.headers.update(_PAGE_HEADERS)
    return response


@bp.get("/docs/style.css")
@public
def show_style() -> Response:
    """Send the style of the page."""
    return _cached((_HERE / "docs.css").read_bytes(), "text/css")


def _describe() -> dict[str, Any]:
    return build_document(current_app)


def _cached(body: bytes, kind: str) -> Response:
    response = Response(body, mimetype=kind)
    response.headers["Cache-Control"] = "public, max-age=300"
    response.add_etag()
    response.make_conditional(request)
    return response
