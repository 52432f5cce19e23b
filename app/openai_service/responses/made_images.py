"""Images that OpenAI's tool image_generation makes: how much of them one answer may have.

An image is passed on as it comes, in base64, and a stream has each one twice: in its item, and in the whole response at its
end. Until then a worker holds all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from app.openai_service.errors import UpstreamRejected
from app.openai_service.streaming.sse import MAX_EVENT_BYTES

IMAGE_TOOL, IMAGE_ITEM = "image_generation", "image_generation_call"
"""The type of the tool, and that of the item of one image."""

MAX_IMAGE_CALLS = 8
"""Of an answer whose request has the tool: with more, an answer in one piece could be of any size."""

MAX_IMAGE_CHARS = 16 * 1024 * 1024
"""Of the images of one answer together. A noisy PNG of 1536x1024 pixels has 6 MiB, and others have a half or a tenth of that."""

_LAST_EVENT_BYTES = MAX_IMAGE_CHARS + MAX_EVENT_BYTES


class ImagesTooLarge(UpstreamRejected):
    """The images of an answer are larger than a worker holds. They are paid for."""

    field = "tools"
    sentence = (
        "the images of the answer are too large together; set max_tool_calls, or output_format to jpeg or webp."
    )


def check_images(items: Iterable[Mapping[str, Any]]) -> None:
    """Raise ImagesTooLarge if items of hosted tools have more than a worker holds."""
    results = [item.get("result") for item in items if item.get("type") == IMAGE_ITEM]
    if sum(len(result) for result in results if isinstance(result, str)) > MAX_IMAGE_CHARS:
        raise ImagesTooLarge


def get_max_event_bytes(body: Mapping[str, Any]) -> int:
    """Return how many bytes an event of a body's answer may have: the last one has all images again."""
    has_images = any(tool["type"] == IMAGE_TOOL for tool in body.get("tools") or ())
    return _LAST_EVENT_BYTES if has_images else MAX_EVENT_BYTES
