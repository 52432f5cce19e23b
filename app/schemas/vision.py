"""POST /api/vision and /api/vision/stream: a question about images, as JSON or as a form with files."""

from __future__ import annotations

from typing import Annotated, Any

from flask import request
from pydantic import Field

from app.openai_service import ChatCall
from app.schemas.fields import Detail, MaxTokens, ModelName, NonEmptyText
from app.schemas.images import MAX_IMAGES, image_from_bytes, image_from_url
from app.schemas.parsing import InvalidRequest, RequestModel, UnsupportedMediaType, validate
from app.schemas.prompting import SystemPrompts
from app.schemas.request_body import form_body, json_body

_WHOLE_NUMBERS = {"maxTokens"}


class VisionFields(RequestModel):
    """What both forms have in common."""

    prompt: NonEmptyText
    detail: Detail = "auto"
    max_tokens: MaxTokens | None = None
    model: ModelName | None = None


class VisionRequest(VisionFields):
    image_url: Annotated[str, Field(min_length=1)] | None = None
    images: Annotated[list[str], Field(min_length=1, max_length=MAX_IMAGES, fail_fast=True)] | None = None


def vision_call(prompts: SystemPrompts, *, request_id: str) -> ChatCall:
    """Read the current request, of either form.

    Raises:
        InvalidRequest, InvalidImageInput, UnsupportedMediaType: it is off.
    """
    if request.mimetype not in ("application/json", "multipart/form-data"):
        raise UnsupportedMediaType("Send the body as application/json or multipart/form-data.")
    if request.mimetype == "multipart/form-data":
        fields, urls = _from_form()
    else:
        fields, urls = _from_json()
    content: list[dict[str, Any]] = [{"type": "text", "text": fields.prompt}]
    content += [{"type": "image_url", "image_url": {"url": url, "detail": fields.detail}} for url in urls]
    return ChatCall(
        operation="vision",
        messages=prompts.apply([{"role": "user", "content": content}], None),
        request_id=request_id,
        model=fields.model,
        max_tokens=fields.max_tokens,
    )


def _from_json() -> tuple[VisionFields, list[str]]:
    body = json_body(VisionRequest)
    if body.images is not None and body.image_url is not None:
        raise InvalidRequest("Give only one of imageUrl and images.")
    if body.images is not None:
        images = [image_from_url(url, f"images.{index}") for index, url in enumerate(body.images)]
    elif body.image_url is not None:
        images = [image_from_url(body.image_url, "imageUrl")]
    else:
        raise InvalidRequest("Missing imageUrl (or images).")
    return body, images


def _from_form() -> tuple[VisionFields, list[str]]:
    fields: dict[str, Any] = {}
    form, uploads = form_body()
    for name, values in form.lists():
        if len(values) > 1:
            raise InvalidRequest(f"{name[:64]!a}: must be given once.")
        if "\0" in values[0]:
            raise InvalidRequest(f"{name[:64]!a}: must not contain the character NUL.")
        # A form knows texts only.
        is_number = name in _WHOLE_NUMBERS and values[0].isascii() and values[0].isdigit() and len(values[0]) < 10
        fields[name] = int(values[0]) if is_number else values[0]
    unknown = [name for name in uploads if name != "image"]
    if unknown:
        raise InvalidRequest(f"Unknown field {unknown[0][:64]!a}.")
    body = validate(fields, VisionFields)
    files = uploads.getlist("image")
    if not files:
        raise InvalidRequest("Missing image.")
    if len(files) > MAX_IMAGES:
        raise InvalidRequest(f"image: must be at most {MAX_IMAGES} files.")
    return body, [image_from_bytes(file.read(), f"image.{index}") for index, file in enumerate(files)]
