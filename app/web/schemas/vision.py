"""Read the requests of POST /api/vision and /api/vision/stream: JSON, or a form with files."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Annotated, Any

import orjson
from flask import request
from pydantic import Field

from app.images import ImageNormalizer, ImageRules, find_bounds
from app.openai_service import ChatCall
from app.problems import InvalidRequest, UnsupportedMediaType
from app.prompts.selection import Conversation, PromptSelection
from app.web.media.images import MAX_IMAGES, normalize_bytes, normalize_image
from app.web.media.work import MediaWork
from app.web.request_body import read_form_body, read_json_and_images
from app.web.schemas.chat import build_chat_call
from app.web.schemas.fields import AnswerFields, Detail, NonEmptyText, PromptFields
from app.web.schemas.validation import parse_json, validate

_INTEGER_FIELDS = {"maxTokens", "seed", "n"}
_INTEGER = re.compile("-?[0-9]{1,19}")
_NUMBER_FIELDS = {"temperature", "topP"}
_BOOLEANS = {"true": True, "false": False}
# Each part of a form costs work before any of its fields can be checked.
MAX_FORM_PARTS = 64


class VisionFields(AnswerFields, PromptFields):
    """The fields that JSON and form have in common."""

    prompt: NonEmptyText
    detail: Detail = "auto"


class VisionRequest(VisionFields):
    """The JSON body of POST /api/vision."""

    image_url: Annotated[str, Field(min_length=1)] | None = None
    images: Annotated[list[str], Field(min_length=1, max_length=MAX_IMAGES, fail_fast=True)] | None = None

    def list_urls(self) -> list[str]:
        """Return all URLs of the body."""
        return [*(self.images or ()), *([self.image_url] if self.image_url else ())]


def build_vision_call(prompts: PromptSelection, work: MediaWork, *, request_id: str) -> ChatCall:
    """Read the current request, JSON or form, and build the call.

    Raises:
        InvalidRequest, InvalidImageInput, UnsupportedMediaType: it is not valid.
        ImagesBusy: other images took too long.
        CallerGone, Draining: the client has disconnected meanwhile, or the server has to stop.
    """
    if request.mimetype not in ("application/json", "multipart/form-data"):
        raise UnsupportedMediaType("Send the body as application/json or multipart/form-data.")
    if request.mimetype == "multipart/form-data":
        fields, urls = _read_form(prompts, work)
    else:
        fields, urls = _read_json(prompts, work)
    content: list[dict[str, Any]] = [{"type": "text", "text": fields.prompt}]
    content += [{"type": "image_url", "image_url": {"url": url, "detail": fields.detail}} for url in urls]
    conversation = Conversation([{"role": "user", "content": content}], request_id, "vision")
    return build_chat_call(conversation, fields.list_values(), fields, prompts)


def _make_normalizer(fields: VisionFields, prompts: PromptSelection, work: MediaWork) -> ImageNormalizer:
    prompt, limits = prompts.select(fields), work.settings
    model = (prompt.model if prompt is not None else None) or fields.model or limits.models["vision"]
    rules = ImageRules(limits.max_bytes, limits.max_pixels, find_bounds(model, fields.detail))
    return ImageNormalizer(rules, work.processes, work.claim)


def _read_json(prompts: PromptSelection, work: MediaWork) -> tuple[VisionFields, list[str]]:
    body, embedded = read_json_and_images(lambda text: parse_json(text, VisionRequest), VisionRequest.list_urls)
    normalizer = _make_normalizer(body, prompts, work)

    def normalize(url: str, where: str) -> str:
        return normalize_image(url, embedded.get(url), where, normalizer)

    if body.images is not None and body.image_url is not None:
        raise InvalidRequest("Give only one of imageUrl and images.")
    if body.images is not None:
        images = [normalize(url, f"images.{index}") for index, url in enumerate(body.images)]
    elif body.image_url is not None:
        images = [normalize(body.image_url, "imageUrl")]
    else:
        raise InvalidRequest("Missing imageUrl (or images).")
    return body, images


def _read_form(prompts: PromptSelection, work: MediaWork) -> tuple[VisionFields, list[str]]:
    fields: dict[str, Any] = {}
    form, uploads = read_form_body()
    for name, values in form.lists():
        if len(values) > 1:
            raise InvalidRequest("must be given once.", field=f"{name[:64]!a}")
        if "\0" in values[0]:
            raise InvalidRequest("must not contain the character NUL.", field=f"{name[:64]!a}")
        fields[name] = _convert_field(name, values[0])
    unknown = [name for name in uploads if name != "image"]
    if unknown:
        raise InvalidRequest.unknown(f"{unknown[0][:64]!a}")
    body = validate(fields, VisionFields)
    files = uploads.getlist("image")
    if not files:
        raise InvalidRequest.missing("image")
    if len(files) > MAX_IMAGES:
        raise InvalidRequest(f"must be at most {MAX_IMAGES} files.", field="image")
    normalizer = _make_normalizer(body, prompts, work)
    return body, [normalize_bytes(file.read(), f"image.{index}", normalizer) for index, file in enumerate(files)]


def _convert_field(name: str, text: str) -> Any:
    """Convert a form's text to the field's type."""
    if name in _INTEGER_FIELDS and _INTEGER.fullmatch(text):
        return int(text)
    if name in _NUMBER_FIELDS:
        with suppress(ValueError):
            return float(text)
    if name == "parallelToolCalls":
        return _BOOLEANS.get(text, text)
    if name == "variables":
        with suppress(orjson.JSONDecodeError):
            return orjson.loads(text)
    return text
