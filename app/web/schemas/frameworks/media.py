"""Turn the files of a framework's messages into parts of OpenAI's form, and have their images prepared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, get_args

from app.prompts.selection import PromptSelection
from app.web.media.intake import MediaIntake
from app.web.media.parts import ChatPart
from app.web.schemas.chat import ChatFields
from app.web.schemas.fields import Detail
from app.web.schemas.messages import ConversationRequest

NO_FILES = "only images and PDF files are accepted."
_PDF = "application/pdf"
_DETAILS = get_args(Detail)


def is_image(media_type: Any) -> bool:
    """Return whether a media type is an image's; some clients send `image` only."""
    return isinstance(media_type, str) and media_type.partition("/")[0].lower() == "image"


def is_pdf(media_type: Any) -> bool:
    """Return whether a media type is that of a PDF file."""
    return isinstance(media_type, str) and media_type.partition(";")[0].strip().lower() == _PDF


def make_image_part(url: str, detail: object = None) -> ChatPart:
    """Return the part of an image, which prepare_parts() then has prepared in place. An unknown detail is ignored."""
    image = {"url": url} | ({"detail": detail} if detail in _DETAILS else {})
    return {"type": "image_url", "image_url": image}


def make_file_part(data: str, filename: str | None) -> ChatPart:
    """Return the part of a file, which prepare_parts() then has prepared in place."""
    return {"type": "file", "file": {"file_data": data} | ({"filename": filename} if filename else {})}


def join_parts(parts: Sequence[ChatPart]) -> str | list[ChatPart]:
    """Return the content of a message: its text, or a list where it has more than text; "" if it is blank."""
    spoken = [part for part in parts if part["type"] != "text" or part["text"].strip()]
    if all(part["type"] == "text" for part in spoken):
        return "\n\n".join([part["text"] for part in parts]) if spoken else ""
    return spoken


def prepare_parts(
    contents: Sequence[str | Sequence[ChatPart]],
    body: ChatFields,
    media: MediaIntake,
    prompts: PromptSelection,
    name_part: Callable[[int, int], str],
) -> None:
    """Replace the images and files, in place, by what the model gets. Raises as MediaIntake.prepare() does.

    Args:
        contents: of the messages, in order.
        body: that has them.
        media: prepares the images.
        prompts: the prompts that this user may use.
        name_part: returns the path of a part in the body, from the places of its message and of itself.
    """
    conversation = ConversationRequest.model_construct(
        messages=[{"content": content} for content in contents],
        prompt_name=body.prompt_name,
        variables=body.variables,
    )
    media.prepare(conversation, "chat", body.model, prompts, lambda place, number, _: name_part(place, number))
