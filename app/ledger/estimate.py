"""How many tokens a request may have before anybody has counted them, and has probably had where nobody did.

A bound is never less than the upstream's own count, so that a hold of it cannot be overspent. An estimate is close.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

# Images are cut into patches of 32 pixels, or into tiles of 512, that depend on the model and the detail asked for.
# At most 1,536 patches of 2.46 tokens (gpt-4.1-nano) or 2,500 of 1.2 (gpt-5.4); where the detail is `original`, as
# it may be for `auto`, 10,000 of 1.2. Tiles come to 85 + 8 * 170 at most, but 2,833 + 8 * 5,667 with gpt-4o-mini.
# Those models that count patches take no notice of `low`.
# Source: https://developers.openai.com/api/docs/guides/images-vision#calculating-costs, and
# https://community.openai.com/t/1377015 where that is wrong
_IMAGE_BOUND = {"low": 4_000, "high": 4_000}
_LARGEST_IMAGE = 12_000
_TILED_MINI = "gpt-4o-mini"
_TILED_MINI_BOUND = {"low": 2_833}
_LARGEST_TILED_MINI = 48_169
# What most images come to: a square of 1,024 pixels is 765 tokens in tiles, 1,024 in patches.
_USUAL_IMAGE = 1_024
# Around each request, beside what its own JSON is longer than the tokens that stand for it.
_FRAME_TOKENS = 64


def input_bound(body: Mapping[str, Any], model: str) -> int:
    """The most tokens that the input of a chat or an embedding can have.

    No token is shorter than a byte, so the bytes of the body's JSON, with its tools and schemas, bound its tokens;
    an image's data counts for nothing, and the image for the most that one of its detail comes to.
    """
    tokens = len(orjson.dumps(body)) + _FRAME_TOKENS
    for image in _images(body):
        tokens += _image_bound(str(image.get("detail") or "auto"), model) - _bytes(image.get("url"))
    return tokens


def input_estimate(body: Mapping[str, Any]) -> int:
    """About how many tokens the input has."""
    images = list(_images(body))
    text = orjson.dumps(body).decode()
    data = sum(_bytes(image.get("url")) for image in images)
    return max(1, text_estimate(text) - data // 4) + len(images) * _USUAL_IMAGE


def text_estimate(text: str) -> int:
    """About how many tokens a text is: English has four letters in each; other scripts are counted rather too high."""
    beyond_ascii = len(text.encode("utf-8", "surrogatepass")) - len(text)
    return -(-(len(text) + 2 * beyond_ascii) // 4)


def estimated_usage(
    body: Mapping[str, Any], received: str = "", *, chunks: int = 0, ceiling: int | None = None
) -> dict[str, Any]:
    """A usage in OpenAI's own terms, for an answer that broke off before the upstream told it.

    Args:
        received: the text that came, with that of tool calls and reasoning.
        chunks: pieces that it came in; a model sends a token in each, or more.
        ceiling: the most that the upstream was allowed to write.
    """
    prompt = input_estimate(body)
    completion = max(text_estimate(received), chunks)
    if ceiling is not None:
        completion = min(completion, ceiling)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _image_bound(detail: str, model: str) -> int:
    if model.lower().startswith(_TILED_MINI):
        return _TILED_MINI_BOUND.get(detail, _LARGEST_TILED_MINI)
    return _IMAGE_BOUND.get(detail, _LARGEST_IMAGE)


def _images(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    messages = body.get("messages")
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, Mapping) else None
        for part in content if isinstance(content, list) else ():
            image = part.get("image_url") if isinstance(part, Mapping) else None
            if isinstance(image, Mapping):
                yield image


def _bytes(text: object) -> int:
    return len(text.encode()) if isinstance(text, str) else 0
