"""CORS locked to the configured origins, and the refusal of any other.

Leaving CORS headers out only keeps a foreign page from reading an answer; by then the model has been paid. So
a request that can cause work is refused when its Origin is neither the site's own nor on the list.
"""

from __future__ import annotations

import re

from flask import Flask, Response, request
from flask_cors import CORS

from app.config import OriginSettings
from app.problems import Problem

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

    def refuse_foreign_origins() -> None:
        origin = request.headers.get("Origin")
        if origin is None or request.method in _SAFE_METHODS or origin in allowed:
            return
        if origin != f"{request.scheme}://{request.host}":
            raise OriginNotAllowed

    def vary_by_origin(response: Response) -> Response:
        # On answers without CORS headers too: a cache must not hand one origin's answer to another.
        response.headers.add("Vary", "Origin")
        return response

    app.before_request(refuse_foreign_origins)
    app.after_request(vary_by_origin)
    if allowed:
        CORS(
            app,
            # Patterns of our own making, since flask-cors takes a text with brackets (IPv6) for a pattern.
            origins=[re.compile(re.escape(origin) + r"\Z") for origin in allowed],
            supports_credentials=settings.with_credentials,
            methods=["GET", "POST", "DELETE", "OPTIONS"],
            allow_headers=_ALLOWED_HEADERS,
            expose_headers=_EXPOSED_HEADERS,
            max_age=_PREFLIGHT_MAX_AGE_S,
            always_send=False,
            vary_header=False,
            allow_private_network=False,
        )
