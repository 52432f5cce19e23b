"""Convert the images and files of a framework's messages to OpenAI's parts, and prepare them."""

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
    """Return whether a media type is that of an image. Some clients send only `image`."""
    return isinstance(media_type, str) and media_type.partition("/")[0].lower() == "image"


def is_pdf(media_type: Any) -> bool:
    """Return whether a media type is that of a PDF file."""
    return isinstance(media_type, str) and media_type.partition(";")[0].strip().lower() == _PDF


def make_image_part(url: str, detail: object = None) -> ChatPart:
    """Return OpenAI's part for an image, to be prepared by prepare_parts(). An unknown detail is ignored."""
    image = {"url": url} | ({"detail": detail} if detail in _DETAILS else {})
    return {"type": "image_url", "image_url": image}


def make_file_part(data: str, filename: str | None) -> ChatPart:
    """Return OpenAI's part for a file, to be prepared by prepare_parts()."""
    return {"type": "file", "file": {"file_data": data} | ({"filename": filename} if filename else {})}


def join_parts(parts: Sequence[ChatPart]) -> str | list[ChatPart]:
    """Return the content of a message: a text if all parts are texts, "" if they are blank, else the parts."""
    filled = [part for part in parts if part["type"] != "text" or part["text"].strip()]
    if all(part["type"] == "text" for part in filled):
        return "\n\n".join([part["text"] for part in parts]) if filled else ""
    return filled


def prepare_parts(
    contents: Sequence[str | Sequence[ChatPart]],
    body: ChatFields,
    media: MediaIntake,
    prompts: PromptSelection,
    name_part: Callable[[int, int], str],
) -> None:
    """Replace the images and files in place by those to send to the model.

    Raises the errors of MediaIntake.prepare().

    Args:
        contents: the contents of the messages, in order.
        body: the body that has the messages.
        media: prepares the images.
        prompts: the prompts that this user may use.
        name_part: returns the path of a part in the body, from the index of its message and its own index.
    """
    conversation = ConversationRequest.model_construct(
        messages=[{"content": content} for content in contents],
        prompt_name=body.prompt_name,
        variables=body.variables,
    )
    media.prepare(conversation, "chat", body.model, prompts, lambda index, number, _: name_part(index, number))
