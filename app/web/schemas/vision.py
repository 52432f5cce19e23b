"""Read the requests of POST /api/vision and /api/vision/stream, as JSON or as a form with files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from flask import request
from pydantic import Field
from werkzeug.datastructures import FileStorage

from app.openai_service import ChatCall
from app.problems import InvalidRequest, UnsupportedMediaType
from app.prompts.selection import Conversation, PromptSelection
from app.web.forms.bodies import read_form_body
from app.web.forms.fields import read_fields
from app.web.media.images import MAX_IMAGES
from app.web.media.intake import MediaIntake
from app.web.media.reading import read_media_body
from app.web.media.work import begin_work
from app.web.schemas.chat import build_chat_call
from app.web.schemas.fields import AnswerFields, Detail, NonEmptyText, PromptFields, StreamFields
from app.web.schemas.validation import validate

# Each part of a form takes time to parse before any field can be checked.
MAX_FORM_PARTS = 64


class VisionFields(AnswerFields, PromptFields, StreamFields):
    """The common fields of the JSON body and the form."""

    prompt: NonEmptyText
    detail: Detail = "auto"

    @property
    def requested_detail(self) -> str | None:
        """The detail that the client requests; None if the field is missing."""
        return self.detail if "detail" in self.model_fields_set else None


class VisionRequest(VisionFields):
    """The JSON body of POST /api/vision."""

    image_url: Annotated[str, Field(min_length=1)] | None = None
    images: Annotated[list[str], Field(min_length=1, max_length=MAX_IMAGES, fail_fast=True)] | None = None

    def list_urls(self) -> list[str]:
        """Return all URLs of the body."""
        return [*(self.images or ()), *([self.image_url] if self.image_url else ())]

    def to_call(self, prompts: PromptSelection, media: MediaIntake, *, request_id: str) -> ChatCall:
        """Build the call to the service.

        Raises:
            InvalidRequest, InvalidImageInput: the fields contradict each other, or an image cannot be used.
            Other errors: see MediaIntake.prepare().
        """
        if self.images is not None and self.image_url is not None:
            raise InvalidRequest("Give only one of imageUrl and images.")
        if self.images is None and self.image_url is None:
            raise InvalidRequest("Missing imageUrl (or images).")
        preparation = media.begin(self, "vision", self.model, prompts)
        images = [
            preparation.prepare_image(
                url, self.requested_detail, "imageUrl" if self.images is None else f"images.{index}"
            )
            for index, url in enumerate(self.list_urls())
        ]
        return _build_call(self, images, prompts, media, request_id)


def read_vision_call(
    prompts: PromptSelection, *, request_id: str, is_streamed: bool
) -> tuple[VisionFields, ChatCall]:
    """Read the current request, JSON or form, and build the call.

    Raises:
        InvalidRequest, InvalidImageInput, UnsupportedMediaType: the request is not valid.
        ImagesBusy: the images of other requests took too long.
        CallerGone, Draining: the client has disconnected, or the server is stopping.
    """
    if request.mimetype not in ("application/json", "multipart/form-data"):
        raise UnsupportedMediaType("Send the body as application/json or multipart/form-data.")
    if request.mimetype == "multipart/form-data":
        form, files = _read_form()
        if not is_streamed:
            form.refuse_to_resume()
        return form, _build_form_call(form, files, prompts, request_id)
    body, media = read_media_body(VisionRequest, VisionRequest.list_urls)
    if not is_streamed:
        body.refuse_to_resume()
    return body, body.to_call(prompts, media, request_id=request_id)


def _build_call(
    fields: VisionFields,
    images: Sequence[Mapping[str, str]],
    prompts: PromptSelection,
    media: MediaIntake,
    request_id: str,
) -> ChatCall:
    content: list[dict[str, Any]] = [{"type": "text", "text": fields.prompt}]
    content += [{"type": "image_url", "image_url": image} for image in images]
    turns = [{"role": "user", "content": content}]
    conversation = Conversation(turns, request_id, "vision", adjusted=media.adjusted)
    return build_chat_call(conversation, fields.list_values(), fields, prompts)


def _read_form() -> tuple[VisionFields, list[FileStorage]]:
    form, uploads = read_form_body()
    fields = read_fields(form)
    unknown = [name for name in uploads if name != "image"]
    if unknown:
        raise InvalidRequest.unknown(f"{unknown[0][:64]!a}")
    body = validate(fields, VisionFields)
    files = uploads.getlist("image")
    if not files:
        raise InvalidRequest.missing("image")
    if len(files) > MAX_IMAGES:
        raise InvalidRequest(f"must be at most {MAX_IMAGES} files.", field="image")
    return body, files


def _build_form_call(
    body: VisionFields, files: Sequence[FileStorage], prompts: PromptSelection, request_id: str
) -> ChatCall:
    media = MediaIntake(begin_work)
    preparation = media.begin(body, "vision", body.model, prompts)
    images = [
        preparation.prepare_upload(file.read(), body.requested_detail, f"image.{index}")
        for index, file in enumerate(files)
    ]
    return _build_call(body, images, prompts, media, request_id)
