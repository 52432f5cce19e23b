"""Answer moderations. Only one phrase is flagged, with which a page can be tested."""

from __future__ import annotations

import uuid
from typing import Any

from app.offline_model.requests.errors import InvalidRequestError
from app.offline_model.requests.fields import JsonObject, invalid_value, json_object, missing, string, wrong_type

FLAGGED_PHRASE = "offline: flag this"

_CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/intent",
    "self-harm/instructions",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
_FLAGGED_CATEGORY = "harassment"


def create(body: JsonObject) -> JsonObject:
    """Answer `POST /moderations`. Images are never flagged.

    Raises:
        InvalidRequestError: `input` is neither texts, nor texts with one image.
    """
    texts = _read_texts(body)
    return {
        "id": f"modr-offline-{uuid.uuid4().hex}",
        "model": "offline",
        "results": [_make_result(text, is_flagged=FLAGGED_PHRASE in text.casefold()) for text in texts],
    }


def _make_result(text: str, *, is_flagged: bool) -> JsonObject:
    applied = ["text"] if text else []
    is_in = {name: is_flagged and name == _FLAGGED_CATEGORY for name in _CATEGORIES}
    return {
        "flagged": is_flagged,
        "categories": is_in,
        "category_scores": {name: float(is_it) for name, is_it in is_in.items()},
        "category_applied_input_types": dict.fromkeys(_CATEGORIES, applied),
    }


def _read_texts(body: JsonObject) -> list[str]:
    """Return one text per result; the texts next to an image are joined."""
    given = body.get("input")
    if given is None:
        raise missing("input")
    if isinstance(given, str):
        return [given]
    if not isinstance(given, list) or not given:
        raise wrong_type("input", "a string or an array")
    if all(isinstance(text, str) for text in given):
        return given
    return ["\n".join(_read_parts(given))]


def _read_parts(parts: list[Any]) -> list[str]:
    texts = []
    images = 0
    for part in parts:
        if not isinstance(part, dict):
            raise wrong_type("input", "an array of strings, or one of objects")
        kind = string(part, "type", "input.type")
        if kind == "text":
            texts.append(string(part, "text", "input.text"))
        elif kind == "image_url":
            string(json_object(part, "image_url", "input.image_url"), "url", "input.image_url.url")
            images += 1
        else:
            raise invalid_value("input.type", "'text' or 'image_url'")
    if images > 1:
        raise InvalidRequestError(
            f"Number of images ({images}) exceeds maximum of 1", param="input", code="too_many_images"
        )
    return texts
