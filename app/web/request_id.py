"""Give each request an id and a start time, and hold the state that its hooks and views share."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

from flask import Flask, Request, Response, g, request

_VALID_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestState:
    """The class behind `g`. Plain attributes are faster than Flask's, which are Python functions."""

    started: float
    request_id: str
    error_code: str = ""
    principal: Any = None
    quota: Any = None
    token_rate_limit: Any = None
    call_record: Any = None
    idempotent: Any = None
    trace: Any = None
    """The spans of the request, if it is traced."""
    admin_session: Any = False
    """The administrator's session, None without one; False as long as nobody has looked."""
    form: Any = None
    """The fields of a form, once they were read."""
    form_pass: Any = None
    """What the form token of the request stands for."""
    is_ui_request: bool | None = None
    """Whether the body is the AI SDK's; None as long as nobody has read it."""

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute, or the default if it is not set."""
        return getattr(self, name, default)


current_request: Callable[[], Request] = request._get_current_object  # type: ignore[attr-defined]
"""Returns the request behind the proxy. Each attribute read through the proxy takes four calls."""
current_state: Callable[[], RequestState] = g._get_current_object
"""Returns the state behind the proxy `g`."""


def is_request_id(text: str) -> bool:
    """Return whether a request can have this id."""
    return _VALID_ID.fullmatch(text) is not None


def add_headers(response: Response, headers: Sequence[tuple[str, str]]) -> None:
    """Add headers whose values cannot contain a line break, without werkzeug's check for one."""
    # private API: _list of werkzeug's Headers; guarded by tests/web/test_flask_app.py
    response.headers._list.extend(headers)


def init_request_context(app: Flask) -> None:
    """Register the hooks that begin and end each request."""
    app.before_request(_begin)
    app.after_request(_end)


def _begin() -> None:
    state = current_state()
    state.started = time.perf_counter()
    given = current_request().environ.get("HTTP_X_REQUEST_ID", "")
    state.request_id = given if _VALID_ID.fullmatch(given) else os.urandom(12).hex()


def _end(response: Response) -> Response:
    headers = [("X-Request-ID", current_state().request_id), ("X-Content-Type-Options", "nosniff")]
    # private API: _list of werkzeug's Headers, as in add_headers()
    if "Cache-Control" not in dict(response.headers._list):
        headers.append(("Cache-Control", "no-store"))
    add_headers(response, headers)
    return response
