"""What every request carries from its first moment on: an id, when it began, and what is found out about it."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Sequence
from typing import Any

from flask import Flask, Request, Response, g, request

_CALLERS_OWN = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestState:
    """What `g` stands for. Flask's own keeps its attributes by functions in Python."""

    started: float
    request_id: str
    principal: Any = None
    quota: Any = None
    token_rates: Any = None
    call_record: Any = None

    def get(self, name: str, default: Any = None) -> Any:
        return getattr(self, name, default)


def current_request() -> Request:
    """Return what `request` stands for; to ask the proxy for an attribute takes four calls each time."""
    found: Request = request._get_current_object()  # type: ignore[attr-defined]
    return found


def current_state() -> RequestState:
    """Return what `g` stands for."""
    found: RequestState = g._get_current_object()
    return found


def add_headers(response: Response, headers: Sequence[tuple[str, str]]) -> None:
    """Add headers whose values are known to hold no line break, which werkzeug would look for in each."""
    # private API: _list of werkzeug's Headers; guarded by tests/web/test_flask_app.py
    response.headers._list.extend(headers)


def init_request_context(app: Flask) -> None:
    app.before_request(_begin)
    app.after_request(_end)


def _begin() -> None:
    state = current_state()
    state.started = time.perf_counter()
    own = current_request().environ.get("HTTP_X_REQUEST_ID", "")
    state.request_id = own if _CALLERS_OWN.fullmatch(own) else secrets.token_hex(12)


def _end(response: Response) -> Response:
    add_headers(response, [("X-Request-ID", current_state().request_id)])
    return response
