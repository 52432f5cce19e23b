"""Extracts vectors from OpenAI's list of embeddings as JSON text, without parsing millions of digits."""

from __future__ import annotations

import base64
import math
import operator
from array import array
from collections.abc import Iterator
from typing import Any

import orjson

from app.models.token_counts import Usage
from app.openai_service.errors import UpstreamFailed
from app.openai_service.transport.sdk_errors import translate_error_object
from app.runtime.turns import give_turn, in_turns
from app.upstream_http.spool import SPOOL_BYTES, SpooledBytes, release

VectorJson = bytes | memoryview
"""One vector as JSON text: `[0.1,-0.2,…]`."""


# This many vectors take at most a few megabytes. Their memory is released before the next are read.
_RELEASE_EVERY = 64

# Every JSON value other than a number contains one of these: lists, objects, strings, null, true, false, NaN, Infinity.
_NON_NUMBER_SIGNS = (b"[", b"{", b'"', b"a", b"n", b"u")


def read_embeddings(
    content: bytes | SpooledBytes, count: int
) -> tuple[list[VectorJson], Usage | None, str | None]:
    """Return the vectors of an answer in the order of their inputs.

    The vectors are views of the content. Only the JSON around the arrays of numbers is parsed, so a malformed number
    is not detected, but a value of another type is an error.

    Returns:
        `count` vectors, the usage, and the model.

    Raises:
        UpstreamFailed: vectors are missing or duplicated, or contain values that are not numbers.
        UpstreamError: the answer contains an error object.
    """
    body, arrays = _split_arrays(content) or (_parse_whole(content), [])
    if not isinstance(body, dict):
        raise UpstreamFailed
    if body.get("error"):
        raise translate_error_object(body["error"])
    usage, model = Usage.parse(body.get("usage"), has_output=False), body.get("model")
    try:
        vectors = _collect_vectors(body.get("data"), arrays, count)
    except UpstreamFailed as failure:
        raise failure.with_billed_usage(usage) from None
    return vectors, usage, model if isinstance(model, str) else None


def _collect_vectors(items: object, arrays: list[memoryview], count: int) -> list[VectorJson]:
    if not isinstance(items, list) or len(items) != count:
        raise UpstreamFailed
    vectors: list[VectorJson | None] = [None] * count
    unused: dict[object, memoryview] = dict(enumerate(arrays))
    for position, item in enumerate(items):
        index = item.get("index", position) if isinstance(item, dict) else None
        if not isinstance(index, int) or not 0 <= index < count or vectors[index] is not None:
            raise UpstreamFailed
        vectors[index] = _parse_vector(item.get("embedding"), unused)
    return [vector for vector in vectors if vector is not None]


def _split_arrays(content: bytes | SpooledBytes) -> tuple[Any, list[memoryview]] | None:
    """Parse an answer in which each inner array is replaced by its index in the returned list of arrays.

    Returns:
        None for an answer whose arrays contain anything other than numbers: it must be parsed as a whole.
    """
    view = memoryview(content)
    arrays: list[memoryview] = []
    position = content.find(b"[") + 1  # after the opening bracket of `data`
    frame: list[VectorJson] = [content[:position]]
    for start, end in in_turns(_find_arrays(content, position)):
        numbers = content[start + 1 : end]
        if not content[position:start].rstrip().endswith(b'"embedding":') or any(
            sign in numbers for sign in _NON_NUMBER_SIGNS
        ):
            return None
        frame += [content[position:start], b"%d" % len(arrays)]
        position = end + 1
        arrays.append(view[start:position])
        if not len(arrays) % _RELEASE_EVERY:
            release(view)
    frame.append(content[position:])
    try:
        return orjson.loads(b"".join(frame)), arrays
    except orjson.JSONDecodeError:
        return None


def _find_arrays(content: bytes | SpooledBytes, position: int) -> Iterator[tuple[int, int]]:
    """Yield the start and the end of each inner array."""
    while (start := content.find(b"[", position)) >= 0 and (end := content.find(b"]", start)) >= 0:
        yield start, end
        position = end + 1


def _parse_whole(content: bytes | SpooledBytes) -> Any:
    if len(content) > SPOOL_BYTES:  # parsing it as a whole would take ten times its size in memory
        raise UpstreamFailed
    try:
        return orjson.loads(memoryview(content))
    except orjson.JSONDecodeError:
        raise UpstreamFailed from None


def _parse_vector(value: object, unused: dict[object, memoryview]) -> VectorJson:
    if type(value) is int and value in unused:
        return unused.pop(value)
    if isinstance(value, str):  # base64 of little-endian floats, from servers that ignore the requested format
        try:
            numbers = array("f", base64.b64decode(value, validate=True))
        except ValueError:
            raise UpstreamFailed from None
        value = numbers.tolist()
    if not isinstance(value, list) or not all(type(number) in (int, float) for number in value):
        raise UpstreamFailed
    if not value or not all(map(math.isfinite, value)):
        raise UpstreamFailed
    return orjson.dumps(value)


def cosine_similarities(query: VectorJson, others: list[VectorJson]) -> list[float]:
    """Return the cosine similarity, from -1 to 1, of one vector with each of the others.

    Raises:
        UpstreamFailed: the vectors contain values that are not finite numbers, or differ in length.
    """
    reference = _parse_numbers(query)
    length = math.hypot(*reference)
    similarities = []
    for number, other in enumerate(others, 1):
        vector = _parse_numbers(other)
        if len(vector) != len(reference):
            raise UpstreamFailed
        product = length * math.hypot(*vector)
        cosine = sum(map(operator.mul, reference, vector)) / product if product else 0.0
        similarities.append(max(-1.0, min(1.0, cosine)))
        give_turn()
        if not number % _RELEASE_EVERY:
            release(other)
    return similarities


def _parse_numbers(vector: VectorJson) -> list[float]:
    try:
        numbers: list[float] = orjson.loads(vector)
    except orjson.JSONDecodeError:
        raise UpstreamFailed from None
    if not all(map(math.isfinite, numbers)):
        raise UpstreamFailed
    return numbers
