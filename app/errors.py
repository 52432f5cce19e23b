"""The one table from exception to status, code and sentence, and the one JSON form of an error."""

from __future__ import annotations

import logging
import math
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from flask import Flask, Response, current_app, g, request
from werkzeug.exceptions import HTTPException

from app.auth import errors as auth
from app.batches import BatchNotEnded, RequestCancelled, ResultsGone
from app.images import ImagesBusy
from app.json_schema.errors import SchemaNotUsable
from app.ledger.database import StoreUnavailable
from app.ledger.records import BudgetExceeded, HoldEnded, Unpriced
from app.lifecycle import Draining
from app.openai_service import errors as upstream
from app.origins import OriginNotAllowed
from app.rate_limits import RateLimited
from app.schemas.images import InvalidImageInput
from app.schemas.parsing import InvalidRequest, UnsupportedMediaType
from app.schemas.strict_schema import SchemaFault
from app.stream_slots import TooManyOfOne, TooManyStreams

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as callers see it. `retry_after_s` becomes a Retry-After header."""

    status: int
    code: str
    sentence: str
    retry_after_s: float | None = None


_UPSTREAM_FAILED = Problem(502, "upstream_failed", "The model could not be reached or did not answer properly.")

# By the class of the exception, or the nearest of the classes that it descends from.
_TABLE: dict[type[Exception], Problem] = {
    InvalidRequest: Problem(400, "invalid_request", "The request is not valid."),
    UnsupportedMediaType: Problem(415, "unsupported_media_type", "Send the body as application/json."),
    InvalidImageInput: Problem(400, "invalid_image", "The image cannot be used."),
    OriginNotAllowed: Problem(403, "origin_not_allowed", "This origin may not use this service."),
    auth.Unauthenticated: Problem(401, "unauthenticated", "This needs a valid credential."),
    auth.Forbidden: Problem(403, "forbidden", "This credential does not allow that."),
    auth.UnusableUserId: Problem(400, "invalid_request", "The user id cannot be used."),
    auth.TooManyFailures: Problem(
        429, "rate_limited", "Too many wrong credentials came from this address.", retry_after_s=60
    ),
    auth.AuthUnavailable: Problem(
        503, "auth_unavailable", "Credentials cannot be checked now; try again shortly.", retry_after_s=5
    ),
    RateLimited: Problem(429, "rate_limited", "Too many requests came in a short time.", retry_after_s=1),
    TooManyOfOne: Problem(
        429, "concurrency_limit", "Too many answers are being written to you now.", retry_after_s=1
    ),
    BudgetExceeded: Problem(429, "budget_exceeded", "The budget does not allow this request."),
    Unpriced: Problem(403, "forbidden", "model: its price is not known, so no budget allows it."),
    HoldEnded: Problem(504, "upstream_timeout", "The model did not answer in time."),
    BatchNotEnded: Problem(409, "batch_not_ended", "The batch has not ended yet.", retry_after_s=5),
    ResultsGone: Problem(410, "results_gone", "The results of this batch are not kept any more."),
    RequestCancelled: Problem(499, "cancelled", "The batch was cancelled before this request was answered."),
    upstream.BatchesNotOffered: Problem(501, "batches_not_offered", "There are no batches here."),
    StoreUnavailable: Problem(
        503, "store_unavailable", "What this needs cannot be looked up now; try again shortly.", retry_after_s=2
    ),
    upstream.ModelNotOffered: Problem(403, "forbidden", "model: this model is not offered here."),
    upstream.UpstreamRejected: Problem(400, "invalid_request", "The model does not accept this request."),
    upstream.ContextLengthExceeded: Problem(
        400, "context_length_exceeded", "The conversation is longer than the model can take."
    ),
    upstream.InputTooLong: Problem(
        400, "context_length_exceeded", "The input is longer than this site takes, even without its earlier turns."
    ),
    upstream.UnsupportedSchema: Problem(400, "unsupported_schema", "schema: the model does not support it."),
    upstream.InvalidImage: Problem(400, "invalid_image", "The model cannot use this image."),
    upstream.BodyTooLarge: Problem(413, "body_too_large", "The request is larger than the model takes."),
    upstream.ContentFiltered: Problem(422, "content_filter", "The content filter stopped this request."),
    upstream.Refused: Problem(422, "refused", "The model would not answer this request."),
    upstream.NotFilled: Problem(422, "refused", "The model's answer did not fill the schema."),
    SchemaNotUsable: Problem(400, "unsupported_schema", "schema: cannot be used."),
    SchemaFault: Problem(400, "unsupported_schema", "schema: cannot be used."),
    upstream.Truncated: Problem(
        422, "truncated", "The answer was cut off before it was whole; a larger maxTokens may help."
    ),
    upstream.UpstreamError: _UPSTREAM_FAILED,
    upstream.UpstreamTruncated: Problem(
        502, "upstream_truncated", "The model's answer ended before it was whole."
    ),
    upstream.UpstreamRateLimited: Problem(
        503, "upstream_rate_limited", "The model is busy; try again shortly.", retry_after_s=5
    ),
    upstream.UpstreamTimeout: Problem(504, "upstream_timeout", "The model did not answer in time."),
    upstream.CircuitOpen: Problem(
        503, "circuit_open", "The model has failed too often; it is left alone for a moment.", retry_after_s=1
    ),
    ImagesBusy: Problem(
        503, "concurrency_limit", "Too many images are being prepared now; try again shortly.", retry_after_s=2
    ),
    TooManyStreams: Problem(503, "concurrency_limit", "Too many answers are being written now.", retry_after_s=1),
    Draining: Problem(503, "draining", "The server is being restarted; try again shortly.", retry_after_s=5),
    upstream.CallerGone: Problem(499, "client_gone", "The caller has left."),
}

_HTTP_TABLE: dict[int, Problem] = {
    404: Problem(404, "not_found", "There is nothing at this address."),
    405: Problem(405, "method_not_allowed", "This address does not take this method."),
    413: Problem(413, "body_too_large", "The body is larger than this server takes."),
    415: Problem(415, "unsupported_media_type", "Send the body as application/json."),
}
_INTERNAL = Problem(500, "internal_error", "Something went wrong here. It has been noted.")

# What the upstream calls a parameter, and what our callers call it.
_OUR_NAMES = {
    "max_completion_tokens": "maxTokens",
    "max_tokens": "maxTokens",
    "tool_choice": "toolChoice",
    "response_format": "schema",
}


def describe(error: Exception) -> Problem:
    """What a caller is told of an error: nothing of the upstream's own words."""
    if isinstance(error, HTTPException):
        status = error.code or 500
        return _HTTP_TABLE.get(status, Problem(status, "invalid_request", "The request is not valid HTTP."))
    problem = next((_TABLE[kind] for kind in type(error).__mro__ if kind in _TABLE), _INTERNAL)
    sentence, retry_after_s = problem.sentence, problem.retry_after_s
    if isinstance(error, _OUR_WORDS) and str(error):
        sentence = str(error)
    elif type(error) is upstream.UpstreamRejected and error.param:
        name = error.param.split(".")[0].split("[")[0]
        sentence = f"{_OUR_NAMES.get(name, name)}: the model does not accept this value."
    if isinstance(error, _KNOWS_WHEN) and error.retry_after_s is not None:
        retry_after_s = error.retry_after_s
    return Problem(problem.status, problem.code, sentence, retry_after_s)


_KNOWS_WHEN = (upstream.UpstreamUnavailable, auth.TooManyFailures, BudgetExceeded, RateLimited)
_OUR_WORDS = (
    InvalidRequest,
    RateLimited,
    InvalidImageInput,
    UnsupportedMediaType,
    SchemaFault,
    SchemaNotUsable,
    auth.Forbidden,
    auth.UnusableUserId,
    auth.AuthUnavailable,
)


ErrorBody = Callable[[Problem, str], dict[str, Any]]


def api_error(problem: Problem, request_id: str) -> dict[str, Any]:
    """{"error", "code", "requestId"}: the form of /api."""
    return {"error": problem.sentence, "code": problem.code, "requestId": request_id}


def message_error(problem: Problem, request_id: str) -> dict[str, Any]:  # noqa: ARG001
    """{"message"}: the form that pages of the /api/chat/openai kind show."""
    return {"message": problem.sentence}


V = TypeVar("V", bound=Callable[..., Any])


def errors_as(body: ErrorBody) -> Callable[[V], V]:
    """Give a view's errors another form than api_error()."""

    def mark(view: V) -> V:
        view.error_body = body  # type: ignore[attr-defined]
        return view

    return mark


def init_errors(app: Flask) -> None:
    app.register_error_handler(Exception, _answer)


def _answer(error: Exception) -> Response:
    # Before its first token, a stream that ended early is a failure like any other.
    error = upstream.UpstreamFailed() if isinstance(error, upstream.UpstreamTruncated) else error
    problem = describe(error)
    if not note_bug(error, g.request_id):
        log.info(
            "request.refused",
            extra={
                "request_id": g.request_id,
                "status": problem.status,
                "code": problem.code,
                "route": request.endpoint,
            },
        )
    view = current_app.view_functions.get(request.endpoint or "")
    body: ErrorBody = getattr(view, "error_body", api_error)
    response = Response(
        orjson.dumps(body(problem, g.request_id)), status=problem.status, mimetype="application/json"
    )
    if problem.retry_after_s is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(problem.retry_after_s)))
        # What OpenAI's SDKs look at first, since most waits are shorter than a second.
        response.headers["Retry-After-Ms"] = str(math.ceil(problem.retry_after_s * 1000))
    if problem.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, Draining):
        response.headers["Connection"] = "close"
    if isinstance(error, HTTPException):
        allow = [value for name, value in error.get_headers() if name == "Allow"]
        response.headers.extend([("Allow", value) for value in allow])
    return response


def note_bug(error: Exception, request_id: str) -> bool:
    """Log an error that has no row in the table; False for one that has."""
    if describe(error).status != _INTERNAL.status:
        return False
    # Where it happened, and not what it says: an exception's text can hold a prompt or a key.
    frames = traceback.extract_tb(error.__traceback__)
    trace = " < ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames[-12:]))
    log.error("request.bug", extra={"request_id": request_id, "error": type(error).__name__, "trace": trace})
    return True
