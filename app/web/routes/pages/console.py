"""Serve /: the console to try the API with for the owner, and a page that says what this is for everybody else."""

from __future__ import annotations

import json
import shlex
from typing import NamedTuple

from flask import Blueprint, Response, current_app, request
from werkzeug.routing import Rule

from app.config import Config
from app.services import services
from app.web.guards import public
from app.web.openapi.examples import EXAMPLES
from app.web.pages.answers import page_response
from app.web.pages.navigation import is_owner


class _Route(NamedTuple):
    """A line of the list on the page. `curl` is empty if there is no example."""

    method: str
    path: str
    summary: str
    curl: str


def add_console(bp: Blueprint, config: Config) -> None:
    """Add the view of `/`."""

    @bp.get("/")
    @public
    def console() -> Response:
        if not is_owner():
            return page_response("about.html")
        page = page_response(
            "playground.html", config=config, routes=_list_routes(), fault=services().owner_faults.find_hint()
        )
        services().authenticator.sessions.open(request, page)
        return page


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
