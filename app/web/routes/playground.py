"""Serve the playground at /, a page to try the API with. It exists in development only."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import NamedTuple

from flask import Blueprint, Response, current_app, make_response, render_template, request, send_from_directory
from werkzeug.routing import Rule

from app.config import Config
from app.services import services
from app.web.guards import public
from app.web.openapi.examples import EXAMPLES

_STATIC = Path(__file__).parent.parent / "static"

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
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
    if method == "POST" and rule.rule in EXAMPLES:
        body = shlex.quote(json.dumps(EXAMPLES[rule.rule]))
        return f"curl -N {url} \\\n  -H 'Content-Type: application/json' \\\n  -d {body}"
    return ""
