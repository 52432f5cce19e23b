"""What every request carries from its first moment on: an id, and when it began."""

from __future__ import annotations

import re
import secrets
import time

from flask import Flask, Response, g, request

_CALLERS_OWN = re.compile(r"[A-Za-z0-9._-]{1,64}")


def init_request_context(app: Flask) -> None:
    app.before_request(_begin)
    app.after_request(_end)


def _begin() -> None:
    g.started = time.perf_counter()
    own = request.headers.get("X-Request-ID", "")
    g.request_id = own if _CALLERS_OWN.fullmatch(own) else secrets.token_hex(12)


def _end(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    return response
