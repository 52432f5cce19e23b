"""Allow CORS for the configured origins only, and refuse requests of other origins.

Without CORS headers a page of another site cannot read the answer, but the model has been paid by then. So a request
that can cause work is refused if its Origin is neither the site's own nor on the list.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from flask import Flask, Response
from flask_cors import cross_origin

from app.config import OriginSettings
from app.problems import Problem
from app.web.request_id import add_headers, current_request

_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_ALLOWED_HEADERS = ["Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", "X-Request-ID"]
_EXPOSED_HEADERS = [
    "Retry-After",
    "Retry-After-Ms",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
    "X-Request-ID",
    "X-Model",
    "X-Attempts",
    "X-Overhead-Ms",
    "X-Params-Adjusted",
]
_PREFLIGHT_MAX_AGE_S = 3600


class OriginNotAllowed(Problem):
    """The request comes from a page of an origin that is not allowed."""

    status = 403
    code = "origin_not_allowed"
    sentence = "This origin may not use this service."


def init_origins(app: Flask, settings: OriginSettings) -> None:
    """Answer preflights of the allowed origins, and refuse unsafe requests of all others."""
    allowed = settings.allowed
    cors = _build_cors(settings) if allowed else None
    exposed = [("Access-Control-Expose-Headers", ", ".join(sorted(_EXPOSED_HEADERS)))]
    if settings.with_credentials:
        exposed.append(("Access-Control-Allow-Credentials", "true"))

    def refuse_foreign_origins() -> None:
        request = current_request()
        origin = request.environ.get("HTTP_ORIGIN")
        if origin is None or request.method in _SAFE_METHODS or origin in allowed:
            return
        if origin != f"{request.scheme}://{request.host}":
            raise OriginNotAllowed

    def add_cors(response: Response) -> Response:
        # Also on responses without CORS headers: a cache must not give one origin's response to another.
        vary = ("Vary", "Origin")
        request = current_request()
        origin = request.environ.get("HTTP_ORIGIN")
        if cors is None or origin is None:
            add_headers(response, [vary])
        elif request.method != "OPTIONS" and origin in allowed:
            # The headers that flask-cors would add. It needs a hundred calls for that.
            add_headers(response, [("Access-Control-Allow-Origin", origin), *exposed, vary])
        else:
            response = cors(response)
            add_headers(response, [vary])
        return response

    app.before_request(refuse_foreign_origins)
    app.after_request(add_cors)


def _build_cors(settings: OriginSettings) -> Callable[[Response], Response]:
    """Return a function that adds CORS headers to a response."""
    add: Callable[[Response], Response] = cross_origin(
        # Compiled patterns, since flask-cors takes a string with brackets (IPv6) for a pattern.
        origins=[re.compile(re.escape(origin) + r"\Z") for origin in settings.allowed],
        supports_credentials=settings.with_credentials,
        methods=["GET", "POST", "DELETE", "OPTIONS"],
        allow_headers=_ALLOWED_HEADERS,
        expose_headers=_EXPOSED_HEADERS,
        max_age=_PREFLIGHT_MAX_AGE_S,
        automatic_options=False,
        always_send=False,
        vary_header=False,
        allow_private_network=False,
    )(lambda response: response)
    return add
