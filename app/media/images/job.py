"""Normalize an image in a side process: the function that runs there, and the fields of its job and its answer."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from app.media.data_urls import InvalidBase64, decode_base64, unescape
from app.media.images.normalizing import ImageRules, NormalizedImage, UnusableImage, render, strip, take_as_it_is
from app.media.images.sizing import ImageBounds

TARGET = f"{__name__}:run"


def make_fields(rules: ImageRules, *, is_base64: bool, is_escaped: bool = False) -> dict[str, Any]:
    """Return the fields of a job, whose data is the file; or its base64, which may be escaped as in JSON."""
    return {"rules": asdict(rules), "is_base64": is_base64, "is_escaped": is_escaped}


def run(fields: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the fields and the base64 of a normalized image; no base64 if it equals the given one.

    Args:
        fields: from make_fields().
        data: the file, in bytes or in base64, which may be escaped as in JSON.
    """
    rules = ImageRules(**fields["rules"] | {"limit": ImageBounds(**fields["rules"]["limit"])})
    try:
        text = unescape(data) if fields["is_escaped"] else data
        image = _normalize(decode_base64(text) if fields["is_base64"] else data, rules)
    except (UnusableImage, InvalidBase64) as refused:
        return {"refused": str(refused)}, b""
    encoded = image.base64.encode()
    answer = {"media_type": image.media_type, "width": image.width, "height": image.height}
    return answer, b"" if encoded == data else encoded


def read_answer(answer: dict[str, Any], encoded: bytearray, given: bytes | memoryview) -> NormalizedImage:
    """Return the image of an answer.

    Args:
        answer: the fields of the answer.
        encoded: the data of the answer.
        given: the base64 that was given to the job.

    Raises:
        UnusableImage: it was refused.
    """
    if "refused" in answer:
        raise UnusableImage(answer["refused"])
    text = str(encoded or given, "ascii")
    return NormalizedImage(answer["media_type"], text, answer["width"], answer["height"])


def _normalize(data: bytes, rules: ImageRules) -> NormalizedImage:
    kind, stripped = strip(data, rules)
    return take_as_it_is(kind, stripped, rules) or render(kind, stripped, rules)
