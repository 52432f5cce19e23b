"""Serve the AI SDK at POST /api/chat: its bodies, its streams, and errors as plain sentences, which it shows."""

from __future__ import annotations

import re
import secrets
from typing import Any

from flask import Response

from app.openai_service import ChatCall
from app.problems import Problem
from app.web.encoders.call_ids import CallIds
from app.web.encoders.ui_message_stream import UIMessageStream
from app.web.errors import api_error, sentence_error
from app.web.media.intake import MediaIntake
from app.web.media.parts import list_urls
from app.web.media.work import begin_work
from app.web.replays.recording import Resumption
from app.web.request_body import read_json_and_media, read_start
from app.web.request_id import current_state
from app.web.schemas.chat import ChatRequest
from app.web.schemas.frameworks.ui_messages import UIMessagesRequest
from app.web.schemas.sealed_reasoning import make_seal, open_reasoning, open_sealed
from app.web.schemas.validation import parse_object, validate
from app.web.streaming import padding, stream_priced

# Quotes within a string are escaped, so this can only match the name of a field.
_FIELD = re.compile(rb'"(?:parts|trigger)"\s*:')
# The part of a body that is read if the request is refused before. It nearly always contains the first message.
_START_BYTES = 16 * 1024
_MAX_CHAT_ID_CHARS = 200


def read_chat_body() -> tuple[ChatRequest | UIMessagesRequest, MediaIntake]:
    """Read the body of POST /api/chat. Returns and Raises are those of read_conversation()."""
    body, embedded = read_json_and_media(_parse_chat_body, _list_urls)
    return body, MediaIntake(begin_work, embedded)


def _list_urls(body: ChatRequest | UIMessagesRequest) -> list[str]:
    return list_urls(body.messages) if isinstance(body, ChatRequest) else body.list_urls()


def _parse_chat_body(data: bytes) -> ChatRequest | UIMessagesRequest:
    state = current_state()
    try:
        body = parse_object(data)
    except Problem:
        state.is_ui_request = _FIELD.search(data) is not None
        raise
    # Most bodies have neither word, and one search is faster than a look into each message.
    state.is_ui_request = ("trigger" in body or data.find(b'"parts"') >= 0) and UIMessagesRequest.fits(body)
    if state.is_ui_request:
        ui_body = validate(body, UIMessagesRequest)
        ui_body.open_reasoning(open_sealed)
        return ui_body
    chat_body = validate(body, ChatRequest)
    open_reasoning(chat_body.messages)
    return chat_body


def chat_error(problem: Problem, request_id: str) -> dict[str, Any] | str:
    """Return the error as a sentence for the AI SDK, and in the format of /api for other clients.

    The SDK's requests have no header that identifies them. If a request is refused before its body was read, the
    start of the body is read to find out.
    """
    is_ui_request = current_state().is_ui_request
    if is_ui_request is None:
        is_ui_request = _FIELD.search(read_start(_START_BYTES)) is not None
    return (sentence_error if is_ui_request else api_error)(problem, request_id)


def stream_ui_messages(body: UIMessagesRequest, call: ChatCall) -> Response:
    """Stream the answer as a UI message. Raises the errors of stream_response()."""
    message_id = body.continued_id or f"msg_{secrets.token_hex(12)}"
    encoder = UIMessageStream(
        message_id,
        call_ids=CallIds(call.messages),
        padding=padding(),
        request_id=call.request_id,
        seal=make_seal(),
    )
    return stream_priced(call, encoder, _find_resumption(body), [("x-vercel-ai-ui-message-stream", "v1")])


def _find_resumption(body: UIMessagesRequest) -> Resumption | None:
    """Return how the stream can be resumed. `useChat({resume: true})` resumes it by its chat id after a reload."""
    if body.resumable is False:
        return None
    chat_id = body.id if isinstance(body.id, str) and 0 < len(body.id) <= _MAX_CHAT_ID_CHARS else None
    if body.resumable:
        return Resumption(chat_id)
    return Resumption(chat_id, is_numbered=False, is_optional=True) if chat_id is not None else None
