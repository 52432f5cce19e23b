"""What may be logged of a request's URL and headers: no more than what tells requests apart, as callers write them."""

from __future__ import annotations

import re

from flask import Request

NO_ROUTE = "none"
"""Stands for the route of a request that no route has."""

_METHODS = {"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"}
_MAX_CHARS = 200
_is_origin = re.compile(
    r"(?:[a-z][a-z0-9+.-]{0,20}://[\w.\[\]:-]{1,200}|null)", re.ASCII | re.IGNORECASE
).fullmatch


def name_method(request: Request) -> str:
    """Return the method of a request; `other` if it is none of the usual."""
    method: str = request.environ["REQUEST_METHOD"]
    return method if method in _METHODS else "other"


def name_route(request: Request) -> str:
    """Return the template of a request's URL. The URL itself can have anything in it."""
    rule = request.url_rule
    return NO_ROUTE if rule is None else rule.rule


def name_origin(text: str) -> str:
    """Return the beginning of an Origin as it was sent, or `invalid`."""
    text = text[:_MAX_CHARS]
    return text if _is_origin(text) else "invalid"
