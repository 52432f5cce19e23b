"""Serve frameworks for pages at the addresses that they ask by default: /api/completion."""

from __future__ import annotations

from flask import Blueprint, Response

from app.services import services
from app.web.encoders.plain_text import PlainText
from app.web.errors import error_format, sentence_error
from app.web.guards import needs
from app.web.request_body import read_json_body
from app.web.routes.chat import build_call
from app.web.schemas.frameworks.completion import CompletionRequest
from app.web.streaming import stream_chat_response

bp = Blueprint("frameworks", __name__)
# The ledger enters a call under the name of its blueprint.
_chat = Blueprint("chat", __name__)


@_chat.post("/completion")
@needs("chat")
@error_format(sentence_error)
def complete() -> Response:
    """Stream the answer to a prompt as plain text, for the AI SDK's `useCompletion`."""
    return stream_chat_response(build_call(read_json_body(CompletionRequest), services()), PlainText())


bp.register_blueprint(_chat)
