"""Embed texts by hashing their words and letter trigrams.

Texts with similar wording are near each other, texts with similar meaning are not: "car" and "automobile" are far apart.
"""

from __future__ import annotations

import base64
import math
import re
import sys
from array import array
from collections.abc import Iterator
from hashlib import blake2b

from app.offline_model import tokens
from app.offline_model.instances.common_words import COMMON_WORDS
from app.offline_model.requests.fields import JsonObject, integer, invalid_value, missing, string, wrong_type

DEFAULT_DIMENSIONS = 1536
MAX_DIMENSIONS = 3072
MAX_TEXTS = 2048


def create(body: JsonObject) -> JsonObject:
    """Answer `POST /embeddings`.

    Raises:
        InvalidRequestError: `input` is empty or too long, or another field is invalid.
    """
    string(body, "model")
    texts = _read_texts(body)
    dimensions = integer(body, "dimensions", low=1, high=MAX_DIMENSIONS) or DEFAULT_DIMENSIONS
    encoding = body.get("encoding_format") or "float"
    if encoding not in ("float", "base64"):
        raise invalid_value("encoding_format", "'float' or 'base64'")
    vectors = [embed(text, dimensions) for text in texts]
    prompt_tokens = sum(map(tokens.count, texts))
    return {
        "object": "list",
        "data": [
            {
                "object": "embedding",
                "index": index,
                "embedding": vector.tolist() if encoding == "float" else _encode_base64(vector),
            }
            for index, vector in enumerate(vectors)
        ],
        "model": "offline",
        "usage": {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens},
    }


def embed(text: str, dimensions: int) -> array[float]:
    """Turn a text into a vector of float32 with length 1."""
    vector = [0.0] * dimensions
    for feature, weight in _iter_features(text):
        digest = int.from_bytes(blake2b(feature.encode(), digest_size=8).digest(), "little")
        vector[(digest >> 1) % dimensions] += weight if digest & 1 else -weight
    length = math.sqrt(sum(value * value for value in vector))
    if not length:  # all features cancelled out, which can happen with few dimensions
        vector[0] = length = 1.0
    return array("f", [value / length for value in vector])


def _iter_features(text: str) -> Iterator[tuple[str, float]]:
    words = re.findall(r"\w+", text.casefold())
    if not words:
        yield text, 1.0
    for word in words:
        weight = 0.2 if word in COMMON_WORDS else 1.0
        yield word, weight
        padded = f" {word} "
        for at in range(len(padded) - 2):
            yield padded[at : at + 3], weight / 2


def _read_texts(body: JsonObject) -> list[str]:
    given = body.get("input")
    if given is None:
        raise missing("input")
    texts = [given] if isinstance(given, str) or _are_tokens(given) else given
    if not isinstance(texts, list):
        raise wrong_type("input", "a string or an array of strings")
    if not 1 <= len(texts) <= MAX_TEXTS:
        raise invalid_value("input", f"1 to {MAX_TEXTS} strings")
    # The words behind the numbers of tokens are not known here, but the same numbers give the same vector.
    texts = [" ".join(map(str, text)) if _are_tokens(text) else text for text in texts]
    if not all(isinstance(text, str) for text in texts):
        raise wrong_type("input", "a string, an array of strings, or arrays of tokens")
    if not all(texts):
        raise invalid_value("input", "no empty string")
    return texts


def _are_tokens(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(type(each) is int for each in value)


def _encode_base64(vector: array[float]) -> str:
    if sys.byteorder == "big":
        vector.byteswap()
    return base64.b64encode(vector.tobytes()).decode()
