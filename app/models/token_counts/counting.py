"""TokenCounts: counts and bounds tokens for models, by their encodings; by bytes for models whose encoding is unknown."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from app.models.token_counts.encodings import Effort, Encoding, count_bytes, load_encoding
from app.models.token_counts.kept_reasoning import REASONING_ITEMS, count_spared_reasoning
from app.models.token_counts.model_encodings import find_encoding_name

Count = Callable[[str], int]
"""Counts a text's tokens; never fewer than the model counts."""

BYTES = "bytes"
"""In place of an encoding's name: each byte counts as a token."""

log = logging.getLogger(__name__)

# The worst that this much costs is 30 ms of processor time, and ten times that to trim.
_BOUND_EFFORT, _TRIM_EFFORT = 20_000, 200_000
# Held for more than was counted: the encodings of the newest models are inferred.
_MARGIN = 1.2
_MAX_TEXTS = 4_000
# A message takes 4 tokens besides its texts: 3, and its role.
# Source: https://developers.openai.com/cookbook/examples/how_to_count_tokens_with_tiktoken
_MESSAGE_TOKENS = 4
_MESSAGE_BYTES = len('{"role":"","content":""},')
# What a request has in its JSON, or in the bound of its frame, that is not input: it takes 3 tokens.
_REQUEST_BYTES = len('{"messages":[],"max_tokens":}') + 60
_STREAM_BYTES = len('"stream":true,"stream_options":{"include_usage":true},')


class TokenCounts:
    """Counts and bounds tokens for models."""

    def __init__(self, default_encoding: str = BYTES, *, folder: Path | None = None) -> None:
        """Set up counting.

        Args:
            default_encoding: for models that the table does not know: an encoding's name, or "bytes".
            folder: where tables are kept that all processes of this machine share.
        """
        self._default = default_encoding
        self._folder = folder
        self._by_model: dict[str, Encoding | None] = {}
        # By the hash of the text, which nobody can foresee: a conversation comes again with each of its turns.
        self._spared: dict[Encoding, dict[int, int]] = {}

    def load(self, models: Iterable[str]) -> None:
        """Load the encodings of these models before requests arrive: the first time ever, it takes 0.15 s."""
        for model in models:
            self.find_encoding(model)

    def find_encoding(self, model: str) -> Encoding | None:
        """Return a model's encoding; None if its tokens are bounded by bytes."""
        try:
            return self._by_model[model]
        except KeyError:
            encoding = self._by_model[model] = self._load(find_encoding_name(model) or self._default)
            return encoding

    def counter(self, models: Iterable[str]) -> Count:
        """Return a counter that is valid for each of these models. It may work for long, and gives others their turn."""
        encodings = {self.find_encoding(model) for model in models}
        effort = Effort(_TRIM_EFFORT)

        def count(text: str) -> int:
            return max(count_bytes(text) if each is None else each.count(text, effort) for each in encodings)

        return count

    def count_spared(self, body: Mapping[str, Any], model: str, effort: Effort | None = None) -> int:
        """Return by how much the tokens of a chat's body are surely fewer than the bytes of its JSON.

        Only its messages' texts and reasoning, and their frame, are looked at: how tools and schemas are written into the prompt is not
        documented.

        Args:
            body: the request's.
            model: that may serve it.
            effort: for all texts together; None for that of one request.
        """
        messages = body.get("messages")
        if not messages or (encoding := self.find_encoding(model)) is None:
            return 0
        effort = effort or Effort(_BOUND_EFFORT)
        known = self._spared.setdefault(encoding, {})
        spared = _REQUEST_BYTES + (_STREAM_BYTES if "stream_options" in body else 0)
        for message in messages:
            spared += _MESSAGE_BYTES - _MESSAGE_TOKENS
            if REASONING_ITEMS in message:
                spared += count_spared_reasoning(message[REASONING_ITEMS])
            content = message.get("content")
            texts = (content,) if type(content) is str else _find_texts(content)
            for text in texts:
                of_text = known.get(hash(text))
                spared += _count_spared_bytes(text, encoding, effort, known) if of_text is None else of_text
        return spared

    def _load(self, name: str) -> Encoding | None:
        if name == BYTES:
            return None
        try:
            return load_encoding(name, self._folder)
        except (OSError, ValueError) as error:
            log.warning("encoding.unusable", extra={"encoding": name, "why": str(error)})
            return None


def _find_texts(content: Sequence[Mapping[str, Any]] | None) -> list[str]:
    return [part["text"] for part in content or () if part.get("type") == "text"]


def _count_spared_bytes(text: str, encoding: Encoding, effort: Effort, known: dict[int, int]) -> int:
    """Return how many of a text's bytes are surely not tokens, and remember it. JSON has the same bytes, or more."""
    tokens = math.ceil(encoding.count(text, effort) * _MARGIN)
    spared = max(0, count_bytes(text) - tokens)
    if effort.bytes_left > 0:
        if len(known) >= _MAX_TEXTS:
            known.clear()
        known[hash(text)] = spared
    return spared


BY_NAME = TokenCounts()
"""Counts for models whose names tell their encoding."""
