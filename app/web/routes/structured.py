"""Serve /api/structured: answers that match a JSON schema, complete or streamed."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, g, request

from app.problems import InvalidRequest, Problem
from app.services import services
from app.web.call_context import billed_context
from app.web.encoders.structured_sse import StructuredSse
from app.web.encoders.structured_text import StructuredText
from app.web.errors import api_error, error_format, sentence_error
from app.web.guards import needs
from app.web.media.intake import MediaIntake
from app.web.media.reading import read_conversation
from app.web.replays.recording import find_resumption
from app.web.responses import json_response
from app.web.schemas.structured import StructuredCall, StructuredRequest, build_structured_response
from app.web.streaming import padding, stream_response

bp = Blueprint("structured", __name__, url_prefix="/structured")


@bp.post("")
@needs("structured")
def create() -> Response:
    """Answer with data that matches a JSON schema."""
    body, media = read_conversation(StructuredRequest)
    body.refuse_to_resume()
    structured = _build_call(body, media)
    result = services().openai_service.structured(structured.call, structured.original, caller=billed_context())
    return json_response(build_structured_response(result.data, result, structured.normalized), result.record)


def _stream_error(problem: Problem, request_id: str) -> dict[str, Any] | str:
    return (sentence_error if _wants_text() else api_error)(problem, request_id)


@bp.post("/stream")
@needs("structured")
@error_format(_stream_error)
def stream() -> Response:
    """Stream data that matches a JSON schema, while the model writes it."""
    _check_format()
    body, media = read_conversation(StructuredRequest)
    if as_text := _wants_text():
        body.refuse_to_resume()
    structured = _build_call(body, media)
    service = services().openai_service
    return stream_response(
        lambda caller: service.stream_structured(
            structured.call, structured.original, as_text=as_text, caller=caller
        ),
        StructuredText() if as_text else StructuredSse(g.request_id, structured, padding()),
        find_resumption(body),
    )


def _check_format() -> None:
    if request.args.getlist("format") not in ([], ["text"]):
        raise InvalidRequest("must be text, given once, or be left out.", field="format")


def _wants_text() -> bool:
    """Return whether the client requests plain JSON text.

    `text/plain` must be preferred to events, as some clients list it among all types that they accept.
    """
    accepted = request.accept_mimetypes
    return request.args.get("format") == "text" or accepted["text/plain"] > accepted["text/event-stream"]


def _build_call(body: StructuredRequest, media: MediaIntake) -> StructuredCall:
    built = services()
    prompts = built.prompts.restrict_to(g.principal)
    return body.to_structured_call(prompts, built.schemas, media, request_id=g.request_id)
