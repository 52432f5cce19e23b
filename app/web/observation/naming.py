"""Name requests in logs and traces. Callers choose URLs and headers, so only safe, bounded parts of them are used."""

from __future__ import annotations

import re

from flask import Request

NO_ROUTE = "none"
"""The route name of a request whose URL matches no route."""

_METHODS = {"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"}
_MAX_CHARS = 200
_is_origin = re.compile(
    r"(?:[a-z][a-z0-9+.-]{0,20}://[\w.\[\]:-]{1,200}|null)", re.ASCII | re.IGNORECASE
).fullmatch


def name_method(request: Request) -> str:
    """Return the method of a request; `other` if it is not a common one."""
    method: str = request.environ["REQUEST_METHOD"]
    return method if method in _METHODS else "other"


def name_route(request: Request) -> str:
    """Return the route's URL template, as the URL itself can contain anything."""
    rule = request.url_rule
    return NO_ROUTE if rule is None else rule.rule


def name_origin(text: str) -> str:
    """Return an Origin header, cut to its first characters; `invalid` if it is not an origin."""
    text = text[:_MAX_CHARS]
    return text if _is_origin(text) else "invalid"
