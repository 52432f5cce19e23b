"""Serve /v1/chat/completions: answer a conversation, complete or streamed, for OpenAI clients."""

from __future__ import annotations

from flask import Blueprint, Response, g

from app.runtime import clock
from app.services import services
from app.web.call_context import billed_context
from app.web.encoders.openai_sse import OpenAISse
from app.web.encoders.padding import get_padding
from app.web.guards import needs
from app.web.media.reading import read_conversation
from app.web.replays.recording import find_resumption
from app.web.responses import json_response
from app.web.schemas.sealed_reasoning import make_seal, open_details, seal_reasoning
from app.web.schemas.v1.chat_completions import ChatCompletionsRequest, build_chat_completion
from app.web.streaming import stream_with_record

# The name of the blueprint is the call's operation in the ledger.
bp = Blueprint("chat", __name__, url_prefix="/chat/completions")


@bp.post("")
@needs("chat")
def create() -> Response:
    """Answer a conversation."""
    body, media = read_conversation(ChatCompletionsRequest)
    open_details(body.messages)
    built, request_id = services(), g.request_id
    call = body.to_call(
        built.prompts.restrict_to(g.principal),
        media,
        request_id=request_id,
        server_tools=built.toolbox.offer_to(g.principal, request_id),
    )
    completion_id, created = f"chatcmpl-{request_id}", int(clock.now())
    if body.stream:
        padding = get_padding(built.config.stream_padding if body.may_be_padded else 0, "obfuscation")
        encoder = OpenAISse(completion_id, created, padding, includes_usage=body.includes_usage, seal=make_seal())
        return stream_with_record(call, encoder, find_resumption(body))
    result = built.openai_service.chat(call, caller=billed_context())
    return json_response(
        build_chat_completion(result, completion_id, created, seal_reasoning(result)), result.record
    )
