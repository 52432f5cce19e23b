"""CORS locked to the configured origins, and the refusal of any other.

Leaving CORS headers out only keeps a foreign page from reading an answer; by then the model has been paid. So
a request that can cause work is refused when its Origin is neither the site's own nor on the list.
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
    """A page of another site is calling."""

    status = 403
    code = "origin_not_allowed"
    sentence = "This origin may not use this service."


def init_origins(app: Flask, settings: OriginSettings) -> None:
    """Answer preflights of the allowed origins, and refuse the unsafe requests of all others."""
    allowed = settings.allowed
    cors = _cors(settings) if allowed else None
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
        # On answers without CORS headers too: a cache must not hand one origin's answer to another.
        vary = ("Vary", "Origin")
        request = current_request()
        origin = request.environ.get("HTTP_ORIGIN")
        if cors is None or origin is None:
            add_headers(response, [vary])
        elif request.method != "OPTIONS" and origin in allowed:
            # As flask-cors answers all but preflights, which takes it a hundred calls.
            add_headers(response, [("Access-Control-Allow-Origin", origin), *exposed, vary])
        else:
            response = cors(response)
            add_headers(response, [vary])
        return response

    app.before_request(refuse_foreign_origins)
    app.after_request(add_cors)


def _cors(settings: OriginSettings) -> Callable[[Response], Response]:
    """Return what adds CORS headers to an answer to any request."""
    add: Callable[[Response], Response] = cross_origin(
        # Patterns of our own making, since flask-cors takes a text with brackets (IPv6) for a pattern.
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
