"""Serve /webhooks/openai: OpenAI's events about users and batches."""

from __future__ import annotations

import orjson
from flask import Blueprint, Response, request

from app.auth.address import client_address
from app.auth.errors import Unauthenticated
from app.problems import InvalidRequest
from app.runtime.lifecycle import Draining
from app.safety.signatures import check_signature
from app.services import services
from app.web.errors import NotFound
from app.web.guards import public
from app.web.request_body import read_json_text
from app.web.responses import no_content

bp = Blueprint("webhooks", __name__, url_prefix="/webhooks")

_MAX_BYTES = 64 * 1024


@bp.post("/openai")
@public
def take() -> Response:
    """Process a webhook that OpenAI has signed, once. Events of other types are acknowledged and ignored."""
    built, headers = services(), request.headers
    if built.webhook_key is None:
        raise NotFound
    if built.lifecycle.is_refusing:
        raise Draining  # OpenAI sends it again
    body = read_json_text(_MAX_BYTES)
    webhook_id, signatures = headers.get("webhook-id", ""), headers.get("webhook-signature", "")
    try:
        check_signature(
            body,
            key=built.webhook_key,
            webhook_id=webhook_id,
            timestamp=headers.get("webhook-timestamp", ""),
            signatures=signatures,
        )
    except Unauthenticated:
        built.authenticator.failures.count(client_address(request), f"webhook {signatures}")
        raise
    kind, data = _read_event(body)
    with built.deliveries.claim(webhook_id) as is_new:
        if is_new and kind.startswith("safety"):
            built.safety_events.handle(webhook_id, kind, data)
        elif is_new and kind.startswith("batch.") and isinstance(batch_id := data.get("id"), str):
            built.batches.settle_reported(batch_id)
    return no_content()


def _read_event(body: bytes) -> tuple[str, dict[str, object]]:
    try:
        event = orjson.loads(body)
    except orjson.JSONDecodeError:
        event = None
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise InvalidRequest("The body must be an event: a JSON object with a type.")
    data = event.get("data")
    return event["type"][:100], data if isinstance(data, dict) else {}
