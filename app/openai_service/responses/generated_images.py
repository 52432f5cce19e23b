"""Limits the number and size of images that OpenAI's image_generation tool makes in one answer.

Images are forwarded in base64. A stream contains each image twice: in its item, and in the complete response at the
end. Until then all of them are in the worker's memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from app.openai_service.errors import UpstreamRejected
from app.openai_service.streaming.sse import MAX_EVENT_BYTES

IMAGE_TOOL, IMAGE_ITEM = "image_generation", "image_generation_call"
"""The type of the tool, and the type of the output item of one image."""

MAX_IMAGE_CALLS = 8
"""The maximum number of images in an answer. Without it, a complete answer could have any size."""

MAX_IMAGE_CHARS = 16 * 1024 * 1024
"""The maximum for all images of an answer. A noisy PNG of 1536x1024 pixels has 6 MiB; others a tenth to a half."""

_LAST_EVENT_BYTES = MAX_IMAGE_CHARS + MAX_EVENT_BYTES


class ImagesTooLarge(UpstreamRejected):
    """The images of an answer are too large for a worker's memory. They are billed."""

    field = "tools"
    sentence = (
        "the images of the answer are too large in total; set max_tool_calls, or output_format to jpeg or webp."
    )


def check_images(items: Iterable[Mapping[str, Any]]) -> None:
    """Raise ImagesTooLarge if the images in these items exceed MAX_IMAGE_CHARS."""
    results = [item.get("result") for item in items if item.get("type") == IMAGE_ITEM]
    if sum(len(result) for result in results if isinstance(result, str)) > MAX_IMAGE_CHARS:
        raise ImagesTooLarge


def get_max_event_bytes(body: Mapping[str, Any]) -> int:
    """Return the maximum size of a stream event in the answer to a body. The last event repeats all images."""
    has_images = any(tool["type"] == IMAGE_TOOL for tool in body.get("tools") or ())
    return _LAST_EVENT_BYTES if has_images else MAX_EVENT_BYTES
