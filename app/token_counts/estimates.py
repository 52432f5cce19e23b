"""How many tokens a request may have before anybody has counted them, and has probably had where nobody did.

A bound is never less than the upstream's own count, so that a hold of it cannot be overspent. An estimate is close.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from app.images import max_image_tokens, read_size, typical_image_tokens
from app.token_counts.usage import Usage

# ChatPipeline each request, beside what its own JSON is longer than the tokens that stand for it.
_FRAME_TOKENS = 64


@dataclass(frozen=True, slots=True)
class ImageInput:
    """An image in a message.

    Attributes:
        size: in pixels; None where its URL does not tell it.
    """

    url: str
    detail: str
    size: tuple[int, int] | None


def images_in(body: Mapping[str, Any]) -> list[ImageInput]:
    """Return the images of a request's messages, in their order."""
    images = []
    messages = body.get("messages")
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, Mapping) else None
        for part in content if isinstance(content, list) else ():
            image = part.get("image_url") if isinstance(part, Mapping) else None
            if isinstance(image, Mapping):
                url = image.get("url")
                text = url if isinstance(url, str) else ""
                images.append(ImageInput(text, str(image.get("detail") or "auto"), read_size(text)))
    return images


def bound_input(body: Mapping[str, Any], model: str) -> int:
    """Return the most tokens that the input of a chat or an embedding can have."""
    return input_bound_of(len(orjson.dumps(body)), images_in(body), model)


def input_bound_of(json_bytes: int, images: Sequence[ImageInput], model: str) -> int:
    """Return the most tokens of an input, by the length of its body's JSON.

    No token is shorter than a byte, so the bytes of the JSON, with its tools and schemas, bound its tokens; an image's
    data counts for nothing, and the image for the most that one of its size and detail comes to.
    """
    tokens = json_bytes + _FRAME_TOKENS
    for image in images:
        tokens += max_image_tokens(image.size, image.detail, model) - len(image.url.encode())
    return tokens


def max_output_tokens(body: Mapping[str, Any]) -> int:
    """Return the most tokens that the upstream may write: none for embeddings."""
    return int(body.get("max_completion_tokens") or body.get("max_tokens") or 0)


def estimate_input(body: Mapping[str, Any]) -> int:
    """About how many tokens the input has."""
    images = images_in(body)
    text = orjson.dumps(body).decode()
    data = sum(len(image.url.encode()) for image in images)
    pictures = sum(typical_image_tokens(image.size, image.detail) for image in images)
    return max(1, estimate_text(text) - data // 4) + pictures


def estimate_text(text: str) -> int:
    """About how many tokens a text is: English has four letters in each; other scripts are counted rather too high."""
    beyond_ascii = len(text.encode("utf-8", "surrogatepass")) - len(text)
    return -(-(len(text) + 2 * beyond_ascii) // 4)


def estimate_usage(
    body: Mapping[str, Any], received: str = "", *, chunks: int = 0, ceiling: int | None = None
) -> Usage:
    """The usage of an answer that broke off before the upstream told it.

    Args:
        received: the text that came, with that of tool calls and reasoning.
        chunks: pieces that it came in; a model sends a token in each, or more.
        ceiling: the most that the upstream was allowed to write.
    """
    prompt = estimate_input(body)
    completion = max(estimate_text(received), chunks)
    if ceiling is not None:
        completion = min(completion, ceiling)
    return Usage(prompt_tokens=prompt, completion_tokens=completion)
