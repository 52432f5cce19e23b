"""Give each request an id and a start time, and define the state that its hooks and views share."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

from flask import Flask, Request, Response, g, request

_VALID_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestState:
    """The class of `g`. Plain attributes are faster than those of Flask's class, which calls Python functions for each."""

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
    """The administrator's session, or None; False until it has been looked up."""
    form: Any = None
    """The fields of the form, once it has been read."""
    form_pass: Any = None
    """The FormPass of the request's form token."""
    is_ui_request: bool | None = None
    """Whether the body has the AI SDK's format; None until the body has been read."""

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute, or the default if it is not set."""
        return getattr(self, name, default)


current_request: Callable[[], Request] = request._get_current_object  # type: ignore[attr-defined]
"""Returns the current request itself. Through Flask's proxy, each attribute access takes four calls."""
current_state: Callable[[], RequestState] = g._get_current_object
"""Returns the current state itself, not the proxy `g`."""


def is_request_id(text: str) -> bool:
    """Return whether a text is a valid request id."""
    return _VALID_ID.fullmatch(text) is not None


def add_headers(response: Response, headers: Sequence[tuple[str, str]]) -> None:
    """Add headers without werkzeug's check for line breaks. Their values must not contain any."""
    # private API: _list of werkzeug's Headers; guarded by tests/web/test_flask_app.py
    response.headers._list.extend(headers)


def init_request_context(app: Flask) -> None:
    """Register the hooks that begin and end each request."""
    app.before_request(_begin)
    app.after_request(_end)


def _begin() -> None:
    state = current_state()
    state.started = time.perf_counter()
    requested = current_request().environ.get("HTTP_X_REQUEST_ID", "")
    state.request_id = requested if _VALID_ID.fullmatch(requested) else os.urandom(12).hex()


def _end(response: Response) -> Response:
    headers = [("X-Request-ID", current_state().request_id), ("X-Content-Type-Options", "nosniff")]
    # private API: _list of werkzeug's Headers, as in add_headers()
    for name, _ in response.headers._list:
        if name == "Cache-Control":
            break
    else:
        headers.append(("Cache-Control", "no-store"))
    add_headers(response, headers)
    return response
