"""Turn every exception into a response, in the form of its view or of its part of the API."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any, TypeVar

import orjson
from flask import Flask, Request, Response, current_app, g, request
from werkzeug.exceptions import HTTPException

from app.problems import Problem, UnsupportedMediaType
from app.runtime.lifecycle import Draining
from app.runtime.local_faults import explain_local_fault
from app.runtime.logs.lines import describe_place
from app.web.encoders.openai_error import openai_error
from app.web.observation.naming import name_route
from app.web.pages.answers import accepts_page, page_response

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
    """The body is larger than `MAX_BODY_BYTES`; or than `MAX_JSON_BYTES` without its images, if it is no batch."""

    status = 413
    code = "body_too_large"
    sentence = "The body is larger than this server takes."


class InvalidHttp(Problem):
    """The request is not valid HTTP; some such requests get another status."""

    status = 400
    code = "invalid_request"
    sentence = "The request is not valid HTTP."


class InternalError(Problem):
    """An unexpected error in this server; its log has the details."""

    status = 500
    code = "internal_error"
    sentence = "Something went wrong here. It has been noted."


_BY_HTTP_STATUS: dict[int, type[Problem]] = {
    404: NotFound,
    405: MethodNotAllowed,
    413: RequestTooLarge,
    415: UnsupportedMediaType,
}


def problem_for(error: Exception) -> Problem:
    """Return what the caller sees of an exception: an InternalError unless it is meant for callers."""
    if isinstance(error, Problem):
        return error
    if not isinstance(error, HTTPException):
        return InternalError()
    status = error.code or 500
    problem = _BY_HTTP_STATUS.get(status, InvalidHttp)()
    problem.status = status
    return problem


ErrorBody = Callable[[Problem, str], dict[str, Any] | str | Response]
"""Makes the body of an error from the problem and the request's id: JSON, a plain text, or a page."""


def api_error(problem: Problem, request_id: str) -> dict[str, Any]:
    """Return {"error", "code", "requestId"}, the format of /api."""
    return {"error": problem.message, "code": problem.code, "requestId": request_id}


def message_error(problem: Problem, request_id: str) -> dict[str, Any]:  # noqa: ARG001
    """Return {"message"}, the format that clients of /api/chat/openai expect."""
    return {"message": problem.message}


def page_error(problem: Problem, request_id: str) -> Response:
    """Return a page, for who opened the URL with a browser."""
    return page_response("error.html", status=problem.status, problem=problem, request_id=request_id, links=())


def sentence_error(problem: Problem, request_id: str) -> str:  # noqa: ARG001
    """Return the sentence alone, as plain text: for clients that show the body of an error as it is."""
    return problem.message


# By the URL, not by the view: what is refused before a view is found has the form of its neighbours.
_FORMATS: tuple[tuple[str, ErrorBody], ...] = (("/v1/", openai_error), ("/api/", api_error))

# OpenAI's SDKs wait for at most so long, and some of them try again at once what takes longer.
_MAX_SDK_WAIT_S = 120

V = TypeVar("V", bound=Callable[..., Any])


def error_format(body: ErrorBody) -> Callable[[V], V]:
    """Set the format of a view's errors; without this it is that of its URL, openai_error() or api_error()."""

    def mark(view: V) -> V:
        view.error_body = body  # type: ignore[attr-defined]
        return view

    return mark


def init_errors(app: Flask, note_refusal: Callable[[Problem, str], None] | None = None) -> None:
    """Register the handler that answers every exception. `note_refusal` is told of each problem and its route."""

    def handle_error(error: Exception) -> Response:
        problem = problem_for(error)
        g.error_code = problem.code
        log_bug(error, g.request_id)
        if note_refusal is not None:
            note_refusal(problem, name_route(request))
        return _build_response(error, problem)

    app.register_error_handler(Exception, handle_error)


def _build_response(error: Exception, problem: Problem) -> Response:
    view = current_app.view_functions.get(request.endpoint or "")
    form: ErrorBody = getattr(view, "error_body", None) or _find_format(request)
    body = form(problem, g.request_id)
    if isinstance(body, Response):
        response = body
    elif isinstance(body, str):
        response = Response(body, status=problem.status, mimetype="text/plain")
    else:
        response = Response(orjson.dumps(body), status=problem.status, mimetype="application/json")
    if problem.retry_after_s is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(problem.retry_after_s)))
        # OpenAI's SDKs read this header first. Most waits are shorter than a second.
        response.headers["Retry-After-Ms"] = str(math.ceil(problem.retry_after_s * 1000))
    if not _may_help_to_retry(problem):
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


def _may_help_to_retry(problem: Problem) -> bool:
    """Return whether a client should try again by itself.

    OpenAI's SDKs repeat 408, 409, 429 and every 5xx twice. After our own attempts that would be nine calls of the model.
    """
    wait_s = problem.retry_after_s
    if problem.status in (429, 503):
        return wait_s is not None and wait_s <= _MAX_SDK_WAIT_S
    return problem.status < 500 and problem.status != 409


def log_bug(error: Exception, request_id: str) -> bool:
    """Log an exception if it is a bug, and return whether it is."""
    if problem_for(error).status != InternalError.status:
        return False
    # Log the place but not the message: an exception's text can contain a prompt or a key.
    trace = describe_place(error.__traceback__)
    fields = {
        "request_id": request_id,
        "error": type(error).__name__,
        "trace": trace,
        "hint": explain_local_fault(error),
    }
    log.error("request.bug", extra=fields)
    return True
