"""Bound and estimate the tokens of a request that the upstream has not counted.

A bound is never below the upstream's count, so a hold of it cannot be overspent. An estimate is close to it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import orjson

from app.media.documents import PdfUrl, max_file_tokens, typical_file_tokens
from app.media.images import max_image_tokens, max_page_tokens, read_size, typical_image_tokens
from app.models.token_counts.counting import BY_NAME, TokenCounts
from app.models.token_counts.encodings import WorkBudget
from app.models.token_counts.usage import Usage
from app.runtime.turns import in_turns

# Added to each request for the upstream's framing, in addition to the bytes of its JSON.
_FRAME_TOKENS = 64
# An approximation of the encodings for ASCII: words of up to eight letters, three digits, two signs. Mixed case, as in
# Base64, makes short tokens. Each alternative starts with a set of its own and never backtracks, which takes half the
# time.
_ASCII_TOKEN = re.compile(r"[a-z]{1,8}+|[A-Z](?:[a-z]{1,8}+|[A-Z]{0,3}+)|[0-9]{1,3}+|[^\sA-Za-z0-9]{1,2}+|\n++")

# The maximum rate of tokens that do not arrive. OpenAI advertises "more than 1,000" tokens a second for its fastest
# model. Source: https://openai.com/index/introducing-gpt-5-3-codex-spark/
_MAX_TOKENS_PER_S = 2_000
# A model writes its reasoning about as fast as its text. After a second of text, this multiple of its rate is the
# bound.
_MAX_TIMES_SEEN_PACE = 4
_SEEN_PACE_AFTER_S = 1.0
NOTICES_CLOSE_S = 0.05
"""How long an upstream continues to generate after the connection was closed."""
_PIECE_BYTES = 65_536
# A block of a text is weighed in some milliseconds.
_BLOCK_CHARS = 32_768
UNREAD_FIELDS = ("safety_identifier", "prompt_cache_key", "prompt_cache_options", "store")
"""Fields of a request that are not part of the model's input."""
_UNREAD = frozenset(UNREAD_FIELDS)
# A table for bytes.translate(): white space becomes " ", any other byte "x".
_AS_WORDS = bytes(ord(" ") if chr(byte).isspace() and byte < 128 else ord("x") for byte in range(256))


@dataclass(frozen=True, slots=True)
class ImageInput:
    """An image in a message.

    Attributes:
        size: width and height in pixels; None if the URL does not contain the image.
    """

    url: str
    detail: str
    size: tuple[int, int] | None

    def max_tokens(self, model: str) -> int:
        """Return an upper bound of its tokens."""
        return max_image_tokens(self.size, self.detail, model)

    def typical_tokens(self) -> int:
        """Return an estimate of its tokens."""
        return typical_image_tokens(self.size, self.detail)


@dataclass(frozen=True, slots=True)
class FileInput:
    """A PDF file in a message."""

    url: PdfUrl

    def max_tokens(self, model: str) -> int:
        """Return an upper bound of its tokens."""
        return max_file_tokens(self.url.pages, self.url.text_bytes, max_page_tokens(model))

    def typical_tokens(self) -> int:
        """Return an estimate of its tokens."""
        return typical_file_tokens(self.url.pages, self.url.text_bytes, typical_image_tokens(None, "high"))


MediaInput = ImageInput | FileInput
_get_content = itemgetter("content")


def find_media(body: Mapping[str, Any]) -> list[MediaInput]:
    """Return the images and files of a request's messages, in order."""
    messages = body.get("messages")
    if not isinstance(messages, list) or _have_no_parts(messages):
        return []
    media: list[MediaInput] = []
    for message in messages:
        if type(message) is not dict or type(message.get("content")) is not list:
            continue
        for part in message["content"]:
            if not isinstance(part, dict):
                continue
            image, file = part.get("image_url"), part.get("file")
            if isinstance(image, dict):
                url = image.get("url")
                text = url if isinstance(url, str) else ""
                media.append(ImageInput(text, str(image.get("detail") or "auto"), read_size(text)))
            elif isinstance(file, dict) and isinstance(url := file.get("file_data"), PdfUrl):
                media.append(FileInput(url))
    return media


def _have_no_parts(messages: list[Any]) -> bool:
    """Return whether no message has parts, as in most conversations. A loop over them would take twice as long."""
    try:
        return list not in set(map(type, map(_get_content, messages)))
    except (KeyError, TypeError):  # tool calls alone; or no message at all
        return False


def without_unread(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a body without the fields that are not part of the model's input."""
    return {name: value for name, value in body.items() if name not in UNREAD_FIELDS}


def count_unread_bytes(body: Mapping[str, Any]) -> int:
    """Return how many bytes of a body's JSON are fields that are not part of the model's input."""
    if _UNREAD.isdisjoint(body):
        return 0
    return len(orjson.dumps({name: body[name] for name in UNREAD_FIELDS if name in body})) - 1


def bound_input(
    body: Mapping[str, Any], model: str, counts: TokenCounts = BY_NAME, work: WorkBudget | None = None
) -> int:
    """Return an upper bound of the input tokens of a chat or embeddings request.

    Args:
        body: the body without the model.
        model: a model that may serve it.
        counts: counts the tokens of texts.
        work: the work budget for several requests; None means a new one for this request.
    """
    bound = bound_input_bytes(len(orjson.dumps(body)) - count_unread_bytes(body), find_media(body), model)
    return bound - counts.count_spared(body, model, work)


def bound_input_bytes(json_bytes: int, media: Sequence[MediaInput], model: str) -> int:
    """Return an upper bound of the input tokens, for every encoding, from the length of the body's JSON.

    No token is shorter than a byte, so the bytes of the JSON, including tools and schemas, bound its tokens. Instead
    of the bytes of its URL, an image counts the maximum for its size and detail, and a file that for its pages and
    their text.
    """
    tokens = json_bytes + _FRAME_TOKENS
    for one in media:
        tokens += one.max_tokens(model) - len(one.url.encode())
    return tokens


def min_tokens(text: bytes) -> int:
    """Return a lower bound of a text's tokens: one for each word, as no token is longer than a word and a space."""
    pieces = (text[at : at + _PIECE_BYTES] for at in range(0, len(text), _PIECE_BYTES))
    return sum(piece.translate(_AS_WORDS).count(b"x ") for piece in pieces)


def max_output_tokens(body: Mapping[str, Any]) -> int:
    """Return the ceiling of the output tokens; 0 for embeddings."""
    return int(body.get("max_completion_tokens") or body.get("max_tokens") or 0)


def estimate_input(body: Mapping[str, Any]) -> int:
    """Return an estimate of the input tokens."""
    media = find_media(body)
    text = orjson.dumps(without_unread(body)).decode()
    for one in media:
        text = text.replace(orjson.dumps(one.url).decode(), "")
    return estimate_text(text) + sum(one.typical_tokens() for one in media)


def estimate_text(text: str) -> int:
    """Return an estimate of a text's tokens: words and signs, at least one token for four characters.

    Texts in other scripts than Latin are overestimated.
    """
    return math.ceil(weigh_text(text))


def weigh_text(text: str) -> float:
    """Return the estimate as a fraction, to add up the pieces of a text: rounded, " word" would count as two."""
    if len(text) > _BLOCK_CHARS:
        blocks = (text[at : at + _BLOCK_CHARS] for at in range(0, len(text), _BLOCK_CHARS))
        return sum(map(weigh_text, in_turns(blocks)))
    if text.isascii():
        return max(len(_ASCII_TOKEN.findall(text)), len(text) / 4)
    ascii_part = text.encode("ascii", "ignore").decode()
    others = len(text) - len(ascii_part)
    beyond_ascii = len(text.encode("utf-8", "surrogatepass")) - len(text)
    return weigh_text(ascii_part) + (others + 2 * beyond_ascii) / 4


def estimate_usage(
    body: Mapping[str, Any], received: float = 0, *, unseen: int = 0, ceiling: int | None = None
) -> Usage:
    """Return an estimated usage of an answer that ended before the upstream reported one.

    Args:
        body: the body of the request.
        received: the estimated tokens that arrived, including tool calls and reasoning.
        unseen: the maximum number of tokens that were generated and did not arrive.
        ceiling: the maximum number of output tokens, if any.
    """
    completion = math.ceil(received) + unseen
    if ceiling is not None:
        completion = min(completion, ceiling)
    return Usage(prompt_tokens=estimate_input(body), completion_tokens=completion)


def bound_unseen(sent_at: float, first_at: float | None, last_at: float, ended_at: float, received: float) -> int:
    """Return the maximum number of a streamed answer's tokens that did not arrive: reasoning, and text in transit.

    It is the time in which nothing arrived, multiplied by a maximum rate. Times are seconds of a monotonic clock.

    Args:
        sent_at: when the request was sent.
        first_at: when the first text arrived, if any did.
        last_at: when the last text arrived.
        ended_at: when the connection was closed.
        received: the number of tokens that arrived.
    """
    ended_at += NOTICES_CLOSE_S
    if first_at is None:
        return round((ended_at - sent_at) * _MAX_TOKENS_PER_S)
    pace, seen_s = float(_MAX_TOKENS_PER_S), last_at - first_at
    if seen_s >= _SEEN_PACE_AFTER_S:
        pace = min(pace, _MAX_TIMES_SEEN_PACE * received / seen_s)
    return round((ended_at - last_at + first_at - sent_at) * pace)
