"""From OpenAI's list of embeddings to vectors, without turning millions of digits into numbers and back."""

from __future__ import annotations

import base64
import math
from array import array
from typing import Any

import orjson

from app.openai_service.errors import UpstreamFailed, from_error_object
from app.openai_service.events import Usage

VectorJson = bytes | memoryview
"""One vector as JSON text: `[0.1,-0.2,…]`."""


def read_embeddings(content: bytes, count: int) -> tuple[list[VectorJson], Usage | None, str | None]:
    """Cut the vectors out of an answer and put them into the order of their inputs.

    The arrays of numbers are left as the text they are, and only the frame around them is parsed.

    Returns:
        `count` vectors, the usage and the model.
    Raises:
        UpstreamFailed: vectors are missing, doubled, or hold something other than numbers.
        UpstreamError: the answer holds an error object.
    """
    body, arrays = _cut(content)
    if not isinstance(body, dict):
        raise UpstreamFailed
    if body.get("error"):
        raise from_error_object(body["error"])
    items = body.get("data")
    if not isinstance(items, list) or len(items) != count:
        raise UpstreamFailed
    vectors: list[VectorJson | None] = [None] * count
    for place, item in enumerate(items):
        index = item.get("index", place) if isinstance(item, dict) else None
        if not isinstance(index, int) or not 0 <= index < count or vectors[index] is not None:
            raise UpstreamFailed
        vectors[index] = _vector(item.get("embedding"), arrays)
    usage, model = body.get("usage"), body.get("model")
    return (
        [vector for vector in vectors if vector is not None],
        usage if isinstance(usage, dict) else None,
        model if isinstance(model, str) else None,
    )


def _cut(content: bytes) -> tuple[Any, list[memoryview]]:
    """Parse an answer with each inner array replaced by its number in the list of those arrays."""
    view = memoryview(content)
    arrays: list[memoryview] = []
    frame: list[VectorJson] = []
    position = content.find(b"[") + 1  # behind the opening of `data`
    frame.append(view[:position])
    while (start := content.find(b"[", position)) >= 0 and (end := content.find(b"]", start)) >= 0:
        if content.find(b"n", start, end) >= 0 or content.find(b"N", start, end) >= 0:
            raise UpstreamFailed  # null or NaN
        frame += [view[position:start], b"%d" % len(arrays)]
        position = end + 1
        arrays.append(view[start:position])
    frame.append(view[position:])
    try:
        return orjson.loads(b"".join(frame)), arrays
    except orjson.JSONDecodeError:
        raise UpstreamFailed from None


def _vector(value: object, arrays: list[memoryview]) -> VectorJson:
    if isinstance(value, int) and 0 <= value < len(arrays):
        return arrays[value]
    if isinstance(value, str):  # base64 of little-endian floats, from a server that takes no other form
        try:
            numbers = array("f", base64.b64decode(value, validate=True))
        except ValueError:
            raise UpstreamFailed from None
        if not all(map(math.isfinite, numbers)):
            raise UpstreamFailed
        return orjson.dumps(numbers.tolist())
    raise UpstreamFailed


def cosine_similarities(query: VectorJson, others: list[VectorJson]) -> list[float]:
    """The cosine of the angle between one vector and each of the others, from -1 to 1."""
    reference: list[float] = orjson.loads(query)
    length = math.hypot(*reference)
    similarities = []
    for other in others:
        vector: list[float] = orjson.loads(other)
        if len(vector) != len(reference):
            raise UpstreamFailed
        product = sum(map(float.__mul__, map(float, reference), map(float, vector)))
        lengths = length * math.hypot(*vector)
        similarities.append(max(-1.0, min(1.0, product / lengths)) if lengths else 0.0)
    return similarities
