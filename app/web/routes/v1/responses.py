"""Serve /v1/responses: answer a conversation, complete or as typed events, for OpenAI clients.

Nothing is stored.
"""

from __future__ import annotations

from flask import Blueprint, Response, g

from app.runtime import clock
from app.services import services
from app.web.call_context import billed_context
from app.web.encoders.openai_error import response_error
from app.web.encoders.padding import get_padding
from app.web.encoders.response_object import GrowingReasoning, ResponseFrame, build_response
from app.web.encoders.responses_sse import ResponsesSse
from app.web.errors import error_format
from app.web.guards import needs
from app.web.media.parts import list_urls
from app.web.media.reading import read_media_body
from app.web.replays.recording import Resumption
from app.web.responses import json_response
from app.web.schemas.sealed_reasoning import make_items_seal, open_items
from app.web.schemas.v1.responses import ResponsesRequest
from app.web.streaming import stream_with_record

bp = Blueprint("responses", __name__, url_prefix="/responses")
# The name of the blueprint is the call's operation in the ledger.
_chat = Blueprint("chat", __name__)


@_chat.post("")
@needs("chat")
@error_format(response_error)
def create() -> Response:
    """Answer a conversation, given as a text or as items."""
    body, media = read_media_body(ResponsesRequest, lambda body: list_urls(body.items), bare_images=True)
    open_items(body.items)
    built, request_id = services(), g.request_id
    call = body.to_call(
        built.prompts.restrict_to(g.principal),
        media,
        request_id=request_id,
        server_tools=built.toolbox.offer_to(g.principal, request_id),
        hosted_tools=built.config.hosted_tools,
    )
    frame = ResponseFrame(request_id, int(clock.now()), body.describe(call))
    seal, is_requested = make_items_seal(), bool(call.tools) and body.requests_reasoning
    if body.stream:
        reasoning = GrowingReasoning(seal, is_requested=is_requested)
        padding = get_padding(built.config.stream_padding if body.may_be_padded else 0, "obfuscation")
        return stream_with_record(
            call, ResponsesSse(frame, padding, reasoning), Resumption() if body.resumable else None
        )
    result = built.openai_service.chat(call, caller=billed_context())
    response = build_response(frame, result, seal, is_reasoning_requested=is_requested)
    return json_response(response, result.record)


bp.register_blueprint(_chat)
