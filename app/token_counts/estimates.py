"""Bound and estimate the tokens of a request that the upstream has not counted.

A bound is never below the upstream's count, so a hold of it cannot be overspent. An estimate is close to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from app.images import max_image_tokens, read_size, typical_image_tokens
from app.token_counts.usage import Usage

# Added to each request for the upstream's own framing, on top of the bytes of its JSON.
_FRAME_TOKENS = 64


@dataclass(frozen=True, slots=True)
class ImageInput:
    """An image in a message.

    Attributes:
        size: in pixels; None if unknown from its URL.
    """

    url: str
    detail: str
    size: tuple[int, int] | None


def find_images(body: Mapping[str, Any]) -> list[ImageInput]:
    """Return the images of a request's messages, in order."""
    images = []
    messages = body.get("messages")
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else ():
            image = part.get("image_url") if isinstance(part, dict) else None
            if isinstance(image, dict):
                url = image.get("url")
                text = url if isinstance(url, str) else ""
                images.append(ImageInput(text, str(image.get("detail") or "auto"), read_size(text)))
    return images


def bound_input(body: Mapping[str, Any], model: str) -> int:
    """Return an upper bound of the input tokens of a chat or embeddings request."""
    return bound_input_bytes(len(orjson.dumps(body)), find_images(body), model)


def bound_input_bytes(json_bytes: int, images: Sequence[ImageInput], model: str) -> int:
    """Return an upper bound of the input tokens from the length of the body's JSON.

    No token is shorter than a byte, so the bytes of the JSON, with tools and schemas, bound its tokens. An image counts
    the maximum for its size and detail instead of the bytes of its URL.
    """
    tokens = json_bytes + _FRAME_TOKENS
    for image in images:
        tokens += max_image_tokens(image.size, image.detail, model) - len(image.url.encode())
    return tokens


def max_output_tokens(body: Mapping[str, Any]) -> int:
    """Return the ceiling of the output tokens; 0 for embeddings."""
    return int(body.get("max_completion_tokens") or body.get("max_tokens") or 0)


def estimate_input(body: Mapping[str, Any]) -> int:
    """Return an estimate of the input tokens."""
    images = find_images(body)
    text = orjson.dumps(body).decode()
    data = sum(len(image.url.encode()) for image in images)
    pictures = sum(typical_image_tokens(image.size, image.detail) for image in images)
    return max(1, estimate_text(text) - data // 4) + pictures


def estimate_text(text: str) -> int:
    """Return an estimate of a text's tokens: four letters each in English; other scripts are overestimated."""
    beyond_ascii = len(text.encode("utf-8", "surrogatepass")) - len(text)
    return -(-(len(text) + 2 * beyond_ascii) // 4)


def estimate_usage(
    body: Mapping[str, Any], received: str = "", *, chunks: int = 0, ceiling: int | None = None
) -> Usage:
    """Return an estimated usage of an answer that ended before the upstream reported one.

    Args:
        body: the request.
        received: the text received so far, including tool calls and reasoning.
        chunks: the number of chunks received; each has at least one token.
        ceiling: the maximum of output tokens, if any.
    """
    prompt = estimate_input(body)
    completion = max(estimate_text(received), chunks)
    if ceiling is not None:
        completion = min(completion, ceiling)
    return Usage(prompt_tokens=prompt, completion_tokens=completion)
