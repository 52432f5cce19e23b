"""Serve front-end frameworks at their default URLs: /api/completion and /api/agui."""

from __future__ import annotations

import secrets

from flask import Blueprint, Response

from app.web.encoders.agui import PADDING, Agui
from app.web.encoders.call_ids import CallIds
from app.web.encoders.plain_text import PlainText
from app.web.errors import error_format, sentence_error
from app.web.guards import needs
from app.web.media.reading import read_media_body
from app.web.replays.recording import find_resumption
from app.web.request_body import read_json_body
from app.web.routes.chat import build_call
from app.web.schemas.frameworks.agui import AguiRequest
from app.web.schemas.frameworks.completion import CompletionRequest
from app.web.schemas.sealed_reasoning import make_seal, open_encrypted_values
from app.web.streaming import padding, stream_chat_response, stream_priced

bp = Blueprint("frameworks", __name__)
# The name of the blueprint is the call's operation in the ledger.
_chat = Blueprint("chat", __name__)


@_chat.post("/completion")
@needs("chat")
@error_format(sentence_error)
def complete() -> Response:
    """Stream the answer to a prompt as plain text, for the AI SDK's `useCompletion`."""
    body = read_json_body(CompletionRequest)
    body.refuse_to_resume()
    return stream_chat_response(build_call(body), PlainText())


@_chat.post("/agui")
@needs("chat")
def run() -> Response:
    """Stream the answer to a thread as the events of AG-UI."""
    body, media = read_media_body(AguiRequest, AguiRequest.list_urls, bare_images=True)
    open_encrypted_values(body.messages)
    call = build_call(body, media)
    encoder = Agui(
        {"threadId": body.thread_id, "runId": body.run_id},
        token=secrets.token_hex(12),
        call_ids=CallIds(call.messages),
        padding=padding(PADDING),
        request_id=call.request_id,
        seal=make_seal(),
    )
    return stream_priced(call, encoder, find_resumption(body))


bp.register_blueprint(_chat)
