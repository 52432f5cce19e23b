"""Serve /console: data that only the owner's console shows, and that the API does not return."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from app.auth.principal import CONVERSATION_SCOPES
from app.billing.ledger.single_calls import find_cost
from app.media.images import ImageNormalizer, ImageRules, UnusableImage, find_bounds, typical_image_tokens
from app.media.images.kinds import detect_kind
from app.media.images.stripped import CorruptImage
from app.problems import InvalidRequest
from app.services import services
from app.web.errors import NotFound
from app.web.forms.bodies import read_form_body
from app.web.guards import needs
from app.web.media.images import InvalidImageInput
from app.web.media.work import begin_work
from app.web.pages.navigation import is_owner
from app.web.request_id import is_request_id

bp = Blueprint("facts", __name__)


@bp.before_request
def check_owner() -> None:
    """Raise NotFound unless the owner sends the request."""
    if not is_owner():
        raise NotFound


@bp.get("/calls/<request_id>")
@needs(*CONVERSATION_SCOPES, "embeddings")
def show_call(request_id: str) -> dict[str, Any]:
    """Show the cost of a request, once it is settled."""
    cost = find_cost(services().database, request_id) if is_request_id(request_id) else None
    if cost is None:
        return {"isSettled": False}
    return {"isSettled": True, "costMicroUsd": cost.micro_usd, "isEstimated": cost.is_estimated}


@bp.get("/fault")
@needs(*CONVERSATION_SCOPES, "embeddings")
def show_fault() -> dict[str, Any]:
    """Show the latest failure that only the owner can fix, if any."""
    return {"fault": services().owner_faults.find_hint()}


@bp.post("/image")
@needs("vision")
def show_intake() -> dict[str, Any]:
    """Show an image's size and type as uploaded, and as it is sent to a model."""
    form, files = read_form_body()
    upload = files.get("image")
    if upload is None:
        raise InvalidRequest.missing("image")
    data, work = upload.read(), begin_work()
    detail, model = form.get("detail") or "auto", form.get("model") or services().config.vision_model
    bounds = find_bounds(model, detail)
    rules = ImageRules(work.settings.max_bytes, work.settings.max_pixels, bounds)
    try:
        image = ImageNormalizer(rules, work.image_processes, work.claim).normalize(data)
    except UnusableImage as error:
        raise InvalidImageInput(str(error), field="image") from None
    return {
        "given": {"bytes": len(data), **_describe_given(data)},
        "sent": {
            "type": image.media_type,
            "bytes": len(image.base64) * 3 // 4,
            "width": image.width,
            "height": image.height,
        },
        "tokens": typical_image_tokens((image.width, image.height), detail),
        "model": model,
        "detail": detail,
    }


def _describe_given(data: bytes) -> dict[str, Any]:
    kind = detect_kind(data)
    if kind is None:
        return {}
    try:
        stripped = kind.strip(data)
    except CorruptImage:
        return {"type": kind.media_type}
    return {"type": kind.media_type, "width": stripped.width, "height": stripped.height}
