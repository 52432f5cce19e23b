"""Count and bound tokens for models: by their encodings, or by bytes if the encoding is unknown."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from app.models.token_counts.encodings import Encoding, WorkBudget, count_bytes, load_encoding
from app.models.token_counts.model_encodings import find_encoding_name
from app.models.token_counts.reasoning_bounds import REASONING_ITEMS, count_spared_reasoning

Count = Callable[[str], int]
"""Counts a text's tokens, never fewer than the model does."""

BYTES = "bytes"
"""Used instead of an encoding's name: each byte counts as a token."""

log = logging.getLogger(__name__)

# Work budgets in bytes. In the worst case, a bound takes 30 ms of processor time, and trimming ten times that.
_BOUND_WORK, _TRIM_WORK = 20_000, 200_000
# The bound is higher than the counted tokens, as the encodings of the newest models are inferred.
_MARGIN = 1.2
_MAX_TEXTS = 4_000
# A message takes 4 tokens in addition to its texts: 3, and its role.
# Source: https://developers.openai.com/cookbook/examples/how_to_count_tokens_with_tiktoken
_MESSAGE_TOKENS = 4
_MESSAGE_BYTES = len('{"role":"","content":""},')
# Bytes of a request's JSON, and of the bound for its frame, that are not input: the frame takes 3 tokens.
_REQUEST_BYTES = len('{"messages":[],"max_tokens":}') + 60
_STREAM_BYTES = len('"stream":true,"stream_options":{"include_usage":true},')


class TokenCounts:
    """Counts and bounds tokens for models."""

    def __init__(self, default_encoding: str = BYTES, *, folder: Path | None = None) -> None:
        """Create it; encodings are loaded when they are needed.

        Args:
            default_encoding: for models that model_encodings.py does not have: an encoding's name, or "bytes".
            folder: where the tables are stored that all processes of this machine share.
        """
        self._default = default_encoding
        self._folder = folder
        self._by_model: dict[str, Encoding | None] = {}
        # A conversation is sent again with each of its turns. By the hash of the text, which is random in each process.
        self._spared: dict[Encoding, dict[int, int]] = {}

    def load(self, models: Iterable[str]) -> None:
        """Load the encodings of these models before requests arrive. Without a stored table, each takes 0.15 s."""
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
        """Return a counter that is valid for all of these models. It may take long, and lets other greenlets run."""
        encodings = {self.find_encoding(model) for model in models}
        work = WorkBudget(_TRIM_WORK)

        def count(text: str) -> int:
            return max(count_bytes(text) if each is None else each.count(text, work) for each in encodings)

        return count

    def count_spared(self, body: Mapping[str, Any], model: str, work: WorkBudget | None = None) -> int:
        """Return how many bytes of a chat body's JSON are certainly not tokens.

        Only the texts and reasoning of messages, and their frame, are considered: it is not documented how tools and
            schemas
        are written into the prompt.

        Args:
            body: the body of the request.
            model: a model that may serve it.
            work: the budget for all texts; None means a new one of the size for one request.
        """
        messages = body.get("messages")
        if not messages or (encoding := self.find_encoding(model)) is None:
            return 0
        work = work or WorkBudget(_BOUND_WORK)
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
                spared += _count_spared_bytes(text, encoding, work, known) if of_text is None else of_text
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


def _count_spared_bytes(text: str, encoding: Encoding, work: WorkBudget, known: dict[int, int]) -> int:
    """Return how many bytes of a text are certainly not tokens, and cache it. Its JSON has at least these bytes."""
    tokens = math.ceil(encoding.count(text, work) * _MARGIN)
    spared = max(0, count_bytes(text) - tokens)
    if work.bytes_left > 0:
        if len(known) >= _MAX_TEXTS:
            known.clear()
        known[hash(text)] = spared
    return spared


BY_NAME = TokenCounts()
"""Counts tokens of models whose encoding is known by their names; of all others by bytes."""
