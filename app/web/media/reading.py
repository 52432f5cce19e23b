"""Read a body whose images and files may exceed the limit of its other text."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from app.web.media.intake import MediaIntake
from app.web.media.parts import list_urls
from app.web.media.work import begin_work
from app.web.request_body import read_json_and_media
from app.web.schemas.messages import ConversationRequest
from app.web.schemas.sealed_reasoning import open_reasoning
from app.web.schemas.validation import RequestModel, parse_json

M = TypeVar("M", bound=RequestModel)
C = TypeVar("C", bound=ConversationRequest)


def read_conversation(model: type[C]) -> tuple[C, MediaIntake]:
    """Read and validate the JSON body of a conversation, and decrypt the sealed reasoning in it.

    Returns and raises the same as read_media_body() and open_reasoning().
    """

    def parse(text: bytes) -> C:
        body = parse_json(text, model)
        if body.takes_reasoning:
            open_reasoning(body.messages)
        return body

    body, embedded = read_json_and_media(parse, lambda body: list_urls(body.messages))
    return body, MediaIntake(begin_work, embedded)


def read_media_body(
    model: type[M], find_urls: Callable[[M], list[str]], *, bare_images: bool = False
) -> tuple[M, MediaIntake]:
    """Read and validate a JSON body.

    Args:
        model: the request model of the body.
        find_urls: returns the URLs of its images and the data of its files, which may be large.
        bare_images: whether images may be base64 without a data URL.

    Returns:
        The body, with placeholders for large images and files; and the intake that has their content.

    Raises:
        the same as read_json_body().
    """
    body, embedded = read_json_and_media(lambda text: parse_json(text, model), find_urls, bare_images=bare_images)
    return body, MediaIntake(begin_work, embedded)
