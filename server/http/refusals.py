"""Answer what gunicorn refuses, or fails at, in the form of the application's errors; log no part of the request."""

from __future__ import annotations

import ssl
import traceback
from typing import Any

from gunicorn.http import errors
from gunicorn.http.message import Request

from server.http.refusal_answers import Refusal, refuse

_INVALID = ("400 Bad Request", "invalid_request", "The request is not valid HTTP.")
_INTERNAL = ("500 Internal Server Error", "internal_error", "An internal error occurred. It was logged.")
# The longest pause of a client that goes on sending after its request is refused.
_LINGER_S = 2.0
# The first class that fits counts.
_BY_CLASS: dict[type[Exception], Refusal] = {
    errors.InvalidResponseHeader: _INTERNAL,
    errors.InvalidResponseHeaderName: _INTERNAL,
    errors.LimitRequestLine: ("414 URI Too Long", "invalid_request", "The URL is longer than this server takes."),
    errors.LimitRequestHeaders: (
        "431 Request Header Fields Too Large",
        "invalid_request",
        "The headers are more, or larger, than this server takes.",
    ),
    errors.ExpectationFailed: (
        "417 Expectation Failed",
        "invalid_request",
        "The header Expect has a value that is unknown here.",
    ),
    errors.UnsupportedTransferCoding: (
        "501 Not Implemented",
        "invalid_request",
        "The header Transfer-Encoding has a value that is unknown here.",
    ),
    errors.ForbiddenProxyRequest: ("403 Forbidden", "forbidden", "This proxy is not known here."),
    errors.ConfigurationProblem: _INTERNAL,
    errors.ParseException: _INVALID,
    ssl.SSLError: _INVALID,
}


class JsonRefusals:
    """What a worker's class adds to gunicorn's.

    Attributes:
        refusal_lines: bounds the lines of the log, and counts those left out; a LogBound, set by gunicorn.conf.py.
    """

    refusal_lines: Any
    log: Any

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:  # noqa: ARG002
        """Answer a request that failed before the application got it, or after."""
        why = next((found for kind, found in _BY_CLASS.items() if isinstance(exc, kind)), _INTERNAL)
        request_id = refuse(client, why, _find_path(req, exc))
        _read_rest_of(client)
        if why is not _INTERNAL:
            self.note_refusal(request_id, why, type(exc).__name__)
        elif fields := self._describe(request_id, why, type(exc).__name__):
            # The place, but not the message, which can contain a part of the request.
            frames = traceback.extract_tb(exc.__traceback__)[-5:]
            fields["trace"] = " < ".join(f"{frame.filename}:{frame.lineno}" for frame in reversed(frames))
            self.log.error("request.failed", extra=fields)

    def note_refusal(self, request_id: str, why: Refusal, reason: str) -> None:
        """Write the line of a request that the application does not get."""
        if fields := self._describe(request_id, why, reason):
            self.log.warning("request", extra=fields)

    def _describe(self, request_id: str, why: Refusal, reason: str) -> dict[str, Any] | None:
        """Return the fields of a line; None if it is left out."""
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
    """Have the socket of a gevent worker read what its client still sends before it closes."""
    if hasattr(client, "read_rest"):
        client.arrival.is_in_body = client.arrival.is_answered = True
        client.settimeout(_LINGER_S)
        client.read_rest = client.recv


def _find_path(request: Any, error: Exception) -> str:
    """Return the path of a request; "" if it has not been read so far.

    gunicorn keeps no request whose head it cannot read to the end, but the error comes from one of its methods.
    """
    frames = traceback.walk_tb(error.__traceback__)
    owners = [request, *(frame.f_locals.get("self") for frame, _ in frames)]
    # A line that is new is read by a request of its own, which has no path if it is broken before that.
    paths = [getattr(owner, "path", None) for owner in owners if isinstance(owner, Request)]
    return next(filter(None, paths), "")
