"""Answer requests that gunicorn refuses or fails at with the application's errors, and log no part of the request."""

from __future__ import annotations

import ssl
import traceback
from typing import Any

from gunicorn.http import errors
from gunicorn.http.message import Request

from server.http.refusal_answers import Refusal, refuse

_INVALID = ("400 Bad Request", "invalid_request", "The request is not valid HTTP.")
_INTERNAL = ("500 Internal Server Error", "internal_error", "An internal error occurred. It was logged.")
# The maximum pause of a client that continues to send after its request is refused.
_LINGER_S = 2.0
# The first matching class applies.
_BY_CLASS: dict[type[Exception], Refusal] = {
    errors.InvalidResponseHeader: _INTERNAL,
    errors.InvalidResponseHeaderName: _INTERNAL,
    errors.LimitRequestLine: ("414 URI Too Long", "invalid_request", "The URL is too long for this server."),
    errors.LimitRequestHeaders: (
        "431 Request Header Fields Too Large",
        "invalid_request",
        "The headers are too many or too large for this server.",
    ),
    errors.ExpectationFailed: (
        "417 Expectation Failed",
        "invalid_request",
        "This server does not support the value of the header Expect.",
    ),
    errors.UnsupportedTransferCoding: (
        "501 Not Implemented",
        "invalid_request",
        "This server does not support the value of the header Transfer-Encoding.",
    ),
    errors.ForbiddenProxyRequest: ("403 Forbidden", "forbidden", "This proxy is not allowed."),
    errors.ConfigurationProblem: _INTERNAL,
    errors.ParseException: _INVALID,
    ssl.SSLError: _INVALID,
}


class JsonRefusals:
    """A mixin of gunicorn's workers that answers refused requests with JSON.

    Attributes:
        refusal_lines: limits the log lines, and counts those left out; a LogBound, set by gunicorn.conf.py.
    """

    refusal_lines: Any
    log: Any

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:  # noqa: ARG002
        """Answer a request that failed before or after the application handled it."""
        why = next((found for kind, found in _BY_CLASS.items() if isinstance(exc, kind)), _INTERNAL)
        request_id = refuse(client, why, _find_path(req, exc))
        _read_rest_of(client)
        if why is not _INTERNAL:
            self.note_refusal(request_id, why, type(exc).__name__)
        elif fields := self._describe(request_id, why, type(exc).__name__):
            # The location, but not the message, which can contain a part of the request.
            frames = traceback.extract_tb(exc.__traceback__)[-5:]
            fields["trace"] = " < ".join(f"{frame.filename}:{frame.lineno}" for frame in reversed(frames))
            self.log.error("request.failed", extra=fields)

    def note_refusal(self, request_id: str, why: Refusal, reason: str) -> None:
        """Log a request that does not reach the application."""
        if fields := self._describe(request_id, why, reason):
            self.log.warning("request", extra=fields)

    def _describe(self, request_id: str, why: Refusal, reason: str) -> dict[str, Any] | None:
        """Return the fields of a log line; None if the line is left out."""
        left_out = self.refusal_lines.admit(reason)
        if left_out is None:
            return None
        fields = {
            "request_id": request_id,
            "route": "none",
            "status": int(why[0][:3]),
            "code": why[1],
            "reason": reason,
        }
        return fields | {"left_out": left_out} if left_out else fields


def _read_rest_of(client: Any) -> None:
    """Make the socket of a gevent worker read what its client still sends before it closes."""
    if hasattr(client, "read_rest"):
        client.arrival.is_in_body = client.arrival.is_answered = True
        client.settimeout(_LINGER_S)
        client.read_rest = client.recv


def _find_path(request: Any, error: Exception) -> str:
    """Return the path of a request; "" if it has not been read yet.

    gunicorn returns no request if it cannot read the complete head. But a method of that request raised the error, so
    the traceback refers to it.
    """
    frames = traceback.walk_tb(error.__traceback__)
    owners = [request, *(frame.f_locals.get("self") for frame, _ in frames)]
    # A request line that is not cached is parsed by a temporary request. If it is invalid, that has no path.
    paths = [getattr(owner, "path", None) for owner in owners if isinstance(owner, Request)]
    return next(filter(None, paths), "")
