"""Serve /api/vision: answer questions about images."""

from __future__ import annotations

import time

from flask import Blueprint, Response, g, request

from app.auth.address import client_address
from app.auth.principal import Principal
from app.openai_service import ChatCall
from app.services import services
from app.side_process import Claim
from app.web.call_context import billed_context
from app.web.client_connection import ClientConnection
from app.web.encoders.token_sse import TokenSse
from app.web.guards import needs
from app.web.responses import json_response
from app.web.schemas.chat import chat_response
from app.web.schemas.vision import ImageWork, build_vision_call
from app.web.streaming import padding, stream_chat_response

bp = Blueprint("vision", __name__, url_prefix="/vision")


@bp.post("")
@needs("vision")
def create() -> Response:
    """Answer a question about images in one response."""
    result = services().openai_service.chat(_build_call(), caller=billed_context())
    return json_response(chat_response(result), result.record)


@bp.post("/stream")
@needs("vision")
def stream() -> Response:
    """Stream the answer to a question about images as token events."""
    return stream_chat_response(_build_call(), TokenSse(g.request_id, padding()))


def _build_call() -> ChatCall:
    built = services()
    work = ImageWork(built.config.images, built.image_processes, _make_claim())
    return build_vision_call(built.prompts.restrict_to(g.principal), work, request_id=g.request_id)


def _make_claim() -> Claim:
    """Return for whom images are prepared: until the deadline of the request, while the client is connected."""
    built = services()
    passed_s = time.perf_counter() - g.started
    connection = ClientConnection(request.environ.get("gunicorn.socket"), built.lifecycle)
    return Claim(
        owner=_name_owner(g.principal, client_address(request)),
        until=time.monotonic() - passed_s + built.config.images.timeout_s,
        check=connection.check,
    )


def _name_owner(principal: Principal, address: str) -> str:
    """Return who may not take all processes: the user that a credential states, else the address."""
    return f"{principal.tenant}/{principal.user}" if principal.kind in ("key", "visitor") else address
