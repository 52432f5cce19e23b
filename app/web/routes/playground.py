"""Serve the playground at /, a page to try the API with. It exists in development only."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any, NamedTuple

from flask import Blueprint, Response, current_app, make_response, render_template, request, send_from_directory
from werkzeug.routing import Rule

from app.config import Config
from app.services import services
from app.web.guards import public

_STATIC = Path(__file__).parent.parent / "static"

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

# Half red, half blue; small enough for a command line.
_IMAGE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAABAAAAAQAQMAAAAlPW0iAAAABlBMVEXcHh4ePNxFowWuAAAA"
    "EElEQVR42mNg+M/EwEA8AgAw0gEe0P1L1QAAAABJRU5ErkJggg=="
)
_CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["city", "people"],
    "additionalProperties": False,
}
_EXAMPLES: dict[str, dict[str, Any]] = {
    "/api/chat": {"message": "Hello"},
    "/api/chat/stream": {"message": "Hello"},
    "/api/chat/openai": {"chatSettings": {}, "messages": [{"role": "user", "content": "Hello"}]},
    "/api/vision": {"prompt": "Which colours are these?", "imageUrl": _IMAGE},
    "/api/vision/stream": {"prompt": "Which colours are these?", "imageUrl": _IMAGE},
    "/api/embeddings": {"input": ["a gate", "a house"], "dimensions": 8},
    "/api/embeddings/similarity": {"query": "an open gate", "documents": ["a cloud", "the gate is open"]},
    "/api/structured": {"prompt": "Berlin has 3700000 people.", "schema": _CITY},
    "/api/structured/stream": {"prompt": "Berlin has 3700000 people.", "schema": _CITY},
    "/api/completion": {"prompt": "Hello"},
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "Hello"}]},
    "/v1/responses": {"input": "Hello"},
    "/v1/embeddings": {"input": "a gate", "dimensions": 8},
}


class _Route(NamedTuple):
    """A line of the list on the page. `curl` is empty if there is no example."""

    method: str
    path: str
    summary: str
    curl: str


def create_playground(config: Config) -> Blueprint:
    """Create the blueprint of the page and of its static files."""
    bp = Blueprint("pages", __name__, template_folder="../templates")

    @bp.get("/")
    @public
    def index() -> Response:
        page = make_response(_render(config))
        services().authenticator.sessions.open(request, page)
        return page

    @bp.get("/static/<path:filename>")
    @public
    def static(filename: str) -> Response:
        # Not Flask's own static route, which could not be marked as public.
        return send_from_directory(_STATIC, filename)

    @bp.get("/favicon.ico")
    @public
    def no_icon() -> Response:
        # Browsers request it on their own, and a 404 in the console would look like an error of the page.
        return Response(status=204)

    @bp.after_request
    def protect(response: Response) -> Response:
        response.headers.update(_HEADERS)
        return response

    return bp


def _render(config: Config) -> str:
    return render_template(
        "playground.html", config=config, routes=_list_routes(), fault=services().owner_faults.find_hint()
    )


def _list_routes() -> list[_Route]:
    """List all routes except those of the page. A summary is the first line of the view's docstring."""
    return [
        _Route(method, rule.rule, _summarize(rule), _build_curl(method, rule))
        for rule in current_app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
        if not rule.endpoint.startswith("pages.")
    ]


def _summarize(rule: Rule) -> str:
    return (current_app.view_functions[rule.endpoint].__doc__ or "").partition("\n")[0]


def _build_curl(method: str, rule: Rule) -> str:
    url = shlex.quote(f"{request.host_url.rstrip('/')}{rule.rule}")
    if method == "GET" and not rule.arguments:
        return f"curl {url}"
    if method == "POST" and rule.rule in _EXAMPLES:
        body = shlex.quote(json.dumps(_EXAMPLES[rule.rule]))
        return f"curl -N {url} \\\n  -H 'Content-Type: application/json' \\\n  -d {body}"
    return ""
