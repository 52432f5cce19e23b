"""Serve frameworks for pages at the addresses that they ask by default: /api/completion, /api/agui."""

from __future__ import annotations

import secrets

from flask import Blueprint, Response

from app.problems import InvalidRequest
from app.web.encoders.agui import Agui
from app.web.encoders.call_ids import CallIds
from app.web.encoders.plain_text import PlainText
from app.web.errors import error_format, sentence_error
from app.web.guards import needs
from app.web.replays.recording import Resumption
from app.web.request_body import read_json_body
from app.web.routes.chat import build_call
from app.web.schemas.frameworks.agui import AguiRequest
from app.web.schemas.frameworks.completion import CompletionRequest
from app.web.streaming import stream_chat_response, stream_priced

bp = Blueprint("frameworks", __name__)
# The ledger enters a call under the name of its blueprint.
_chat = Blueprint("chat", __name__)


@_chat.post("/completion")
@needs("chat")
@error_format(sentence_error)
def complete() -> Response:
    """Stream the answer to a prompt as plain text, for the AI SDK's `useCompletion`."""
    body = read_json_body(CompletionRequest)
    if body.resumable:
        raise InvalidRequest("only a stream of events can be resumed.", field="resumable")
    return stream_chat_response(build_call(body), PlainText())


@_chat.post("/agui")
@needs("chat")
def run() -> Response:
    """Stream the answer to a thread as the events of AG-UI."""
    body = read_json_body(AguiRequest)
    call = build_call(body)
    encoder = Agui(
        body.thread_id,
        body.run_id,
        token=secrets.token_hex(12),
        call_ids=CallIds(call.messages),
        request_id=call.request_id,
    )
    return stream_priced(call, encoder, Resumption() if body.resumable else None)


bp.register_blueprint(_chat)
