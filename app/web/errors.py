"""Turn every exception into an error response, in the format of its view or of its part of the API."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, Request, Response, current_app, g, request
from werkzeug.exceptions import HTTPException

from app.problems import Problem, UnsupportedMediaType
from app.runtime.lifecycle import Draining
from app.runtime.local_faults import explain_local_fault
from app.runtime.logs.lines import describe_place
from app.web.encoders.openai_error import openai_error
from app.web.observation.naming import name_route
from app.web.pages.answers import accepts_page, page_response
from app.web.responses import plain_json_response

log = logging.getLogger(__name__)


class NotFound(Problem):
    """No route has this URL; a trailing slash counts."""

    status = 404
    code = "not_found"
    sentence = "There is nothing at this URL."


class MethodNotAllowed(Problem):
    """The route does not accept this method; the header `Allow` lists those that it accepts."""

    status = 405
    code = "method_not_allowed"
    sentence = "This URL does not accept this method."


class RequestTooLarge(Problem):
    """The body exceeds `MAX_BODY_BYTES`; or its text, without images, exceeds `MAX_JSON_BYTES` (batches excepted)."""

    status = 413
    code = "body_too_large"
    sentence = "The body is larger than this server accepts."


class InvalidHttp(Problem):
    """The request is not valid HTTP; some of these requests get another status."""

    status = 400
    code = "invalid_request"
    sentence = "The request is not valid HTTP."


class InternalError(Problem):
    """An unexpected error in this server; its log has the details."""

    status = 500
    code = "internal_error"
    sentence = "An internal error occurred. It was logged."


_BY_HTTP_STATUS: dict[int, type[Problem]] = {
    404: NotFound,
    405: MethodNotAllowed,
    413: RequestTooLarge,
    415: UnsupportedMediaType,
}


def problem_for(error: Exception) -> Problem:
    """Return the problem that the caller sees for an exception: InternalError, unless the exception is meant for callers."""
    if isinstance(error, Problem):
        return error
    if not isinstance(error, HTTPException):
        return InternalError()
    status = error.code or 500
    problem = _BY_HTTP_STATUS.get(status, InvalidHttp)()
    problem.status = status
    return problem


ErrorBody = Callable[[Problem, str], dict[str, Any] | str | Response]
"""Builds the body of an error response from the problem and the request id: JSON, plain text, or a page."""


def api_error(problem: Problem, request_id: str) -> dict[str, Any]:
    """Return {"error", "code", "requestId"}, the format of /api."""
    return {"error": problem.message, "code": problem.code, "requestId": request_id}


def message_error(problem: Problem, request_id: str) -> dict[str, Any]:  # noqa: ARG001
    """Return {"message"}, the format that clients of /api/chat/openai expect."""
    return {"message": problem.message}


def page_error(problem: Problem, request_id: str) -> Response:
    """Return an HTML page, for a request that a browser sent."""
    return page_response("error.html", status=problem.status, problem=problem, request_id=request_id, links=())


def sentence_error(problem: Problem, request_id: str) -> str:  # noqa: ARG001
    """Return the sentence alone, as plain text, for clients that show an error body unchanged."""
    return problem.message


# By URL, not by view: a request can be refused before its view is known.
_FORMATS: tuple[tuple[str, ErrorBody], ...] = (("/v1/", openai_error), ("/api/", api_error))

# OpenAI's SDKs wait at most this long. Some of them retry immediately if Retry-After is longer.
_MAX_SDK_WAIT_S = 120

V = TypeVar("V", bound=Callable[..., Any])


def error_format(body: ErrorBody) -> Callable[[V], V]:
    """Set the format of a view's errors. The default depends on the URL: openai_error() or api_error()."""

    def mark(view: V) -> V:
        view.error_body = body  # type: ignore[attr-defined]
        return view

    return mark


def init_errors(app: Flask, record_refusal: Callable[[Problem, str], None] | None = None) -> None:
    """Register the handler that answers every exception.

    Args:
        app: the application.
        record_refusal: called with each problem and its route.
    """

    def handle_error(error: Exception) -> Response:
        problem = problem_for(error)
        g.error_code = problem.code
        log_bug(error, g.request_id)
        if record_refusal is not None:
            record_refusal(problem, name_route(request))
        return _build_response(error, problem)

    app.register_error_handler(Exception, handle_error)


def _build_response(error: Exception, problem: Problem) -> Response:
    view = current_app.view_functions.get(request.endpoint or "")
    build_body: ErrorBody = getattr(view, "error_body", None) or _find_format(request)
    body = build_body(problem, g.request_id)
    if isinstance(body, Response):
        response = body
    elif isinstance(body, str):
        response = Response(body, status=problem.status, mimetype="text/plain")
    else:
        response = plain_json_response(body, status=problem.status)
    if problem.retry_after_s is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(problem.retry_after_s)))
        # OpenAI's SDKs prefer this header. Most waits are shorter than a second.
        response.headers["Retry-After-Ms"] = str(math.ceil(problem.retry_after_s * 1000))
    if not _is_retryable(problem):
        response.headers["X-Should-Retry"] = "false"
    if problem.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, Draining):
        response.headers["Connection"] = "close"
    if isinstance(error, HTTPException):
        allow = [value for name, value in error.get_headers() if name == "Allow"]
        response.headers.extend([("Allow", value) for value in allow])
    return response


def _find_format(request: Request) -> ErrorBody:
    for prefix, body in _FORMATS:
        if f"{request.path}/".startswith(prefix):
            return body
    return page_error if accepts_page(request) else api_error


def _is_retryable(problem: Problem) -> bool:
    """Return whether a client should retry automatically.

    OpenAI's SDKs retry 408, 409, 429 and every 5xx twice. On top of our own retries, that would call the model nine times.
    """
    wait_s = problem.retry_after_s
    if problem.status in (429, 503):
        return wait_s is not None and wait_s <= _MAX_SDK_WAIT_S
    return problem.status < 500 and problem.status != 409


def log_bug(error: Exception, request_id: str) -> bool:
    """Log an exception if it is a bug, and return whether it is."""
    if problem_for(error).status != InternalError.status:
        return False
    # Log the location but not the message: the text of an exception can contain a prompt or a key.
    trace = describe_place(error.__traceback__)
    fields = {
        "request_id": request_id,
        "error": type(error).__name__,
        "trace": trace,
        "hint": explain_local_fault(error),
    }
    log.error("request.bug", extra=fields)
    return True
