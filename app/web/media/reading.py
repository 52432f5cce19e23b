"""Read the body of a conversation, whose images may be larger than its other text."""

from __future__ import annotations

from typing import TypeVar

from app.web.media.intake import MediaIntake
from app.web.media.parts import list_urls
from app.web.media.work import begin_work
from app.web.request_body import read_json_and_images
from app.web.schemas.messages import ConversationRequest
from app.web.schemas.validation import parse_json

C = TypeVar("C", bound=ConversationRequest)


def read_conversation(model: type[C]) -> tuple[C, MediaIntake]:
    """Read and validate the JSON body of a conversation.

    Returns:
        the body, in which names stand for large images; and the intake that knows them.

    Raises:
        the same as read_json_body().
    """
    body, embedded = read_json_and_images(
        lambda text: parse_json(text, model), lambda body: list_urls(body.messages)
    )
    return body, MediaIntake(begin_work, embedded)
