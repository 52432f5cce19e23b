"""The most that complete answers of each kind have used, which is what a killed call has most likely used at most.

What an answer in one piece used that a killed worker was waiting for, the upstream tells nobody. Its ceiling is the only
bound that is certain, and often forty times what an answer uses.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from struct import Struct

_KINDS = 64
# A kind's digest; how many answers were seen, the most output tokens of one, the largest part of an input's bound. How many
# of them were streamed, the most output tokens of one that were no text, and its most tokens of text in a second.
_KIND = Struct("<16sqqdqqd")
TABLE_SIZE = _KINDS * _KIND.size

# Fewer answers tell too little: of so many, a further one uses more than all before with a chance of one in a hundred.
_MIN_ANSWERS = 100
_MARGIN = 1.1
# The pace of a shorter answer tells how the network delivers it, rather than how fast it was written.
_PACE_AFTER_S = 0.5


@dataclass(frozen=True, slots=True)
class UsualUse:
    """What an answer uses at most, as far as experience goes.

    Attributes:
        output_tokens: of one answer.
        input_share: part of the bound of its input.
        hidden_tokens: of them, those that no text comes of, such as reasoning; infinite if too few streams were seen.
        tokens_per_s: of text; infinite likewise.
    """

    output_tokens: float
    input_share: float
    hidden_tokens: float
    tokens_per_s: float

    def bound_unseen(self, silent_s: float) -> float:
        """Return how many tokens of a stream can have been written that did not arrive, as nothing has for so long."""
        return self.hidden_tokens + self.tokens_per_s * silent_s


class SeenUse:
    """The most that answers of one kind have used, as this process has seen."""

    def __init__(self, digest: bytes, memory: mmap.mmap, at: int | None) -> None:
        """Create it for a place in the memory, if there is one."""
        self.digest = digest
        self._memory = memory
        self._at = at
        self._answers = self._output_tokens = self._streams = self._hidden_tokens = 0
        self._input_share = self._tokens_per_s = 0.0

    def add(self, output_tokens: int, input_share: float, text: tuple[int, float] | None = None) -> None:
        """Note what a complete answer has used.

        Args:
            output_tokens: those of its reasoning included.
            input_share: part of the bound of its input.
            text: if it was streamed, its tokens of text, and how many seconds they took.
        """
        self._answers += 1
        self._output_tokens = max(self._output_tokens, output_tokens)
        self._input_share = max(self._input_share, input_share)
        if text is not None and text[1] >= _PACE_AFTER_S:
            self._streams += 1
            self._hidden_tokens = max(self._hidden_tokens, output_tokens - text[0])
            self._tokens_per_s = max(self._tokens_per_s, max(output_tokens, text[0]) / text[1])
        if self._at is not None:
            most = (self._answers, self._output_tokens, self._input_share)
            hidden = (self._streams, self._hidden_tokens, self._tokens_per_s)
            _KIND.pack_into(self._memory, self._at, self.digest, *most, *hidden)


class ObservedUse:
    """What this process has seen of each kind, in a part of its notes."""

    def __init__(self, memory: mmap.mmap, at: int, ledger: str) -> None:
        self._memory = memory
        self._at = at
        self._ledger = ledger
        self._seen: dict[str, SeenUse] = {}

    def get(self, kind: str) -> SeenUse:
        """Return what is seen of a kind. Other ledgers of this machine are others' experience."""
        try:
            return self._seen[kind]
        except KeyError:
            digest = blake2b(f"{self._ledger}\n{kind}".encode(), digest_size=16).digest()
            number = len(self._seen)
            at = self._at + number * _KIND.size if number < _KINDS else None
            seen = self._seen[kind] = SeenUse(digest, self._memory, at)
            return seen


def find_usual_use(tables: Iterable[bytes], kind: bytes) -> UsualUse | None:
    """Return what all processes together have seen of a kind; None if that is too little to tell."""
    found = [
        _KIND.unpack_from(table, at) for table in tables if (at := table.find(kind)) >= 0 and at % _KIND.size == 0
    ]
    if sum(seen[1] for seen in found) < _MIN_ANSWERS:
        return None
    output_tokens, input_share, hidden_tokens, tokens_per_s = (
        _MARGIN * max(seen[column] for seen in found) for column in (2, 3, 5, 6)
    )
    if sum(seen[4] for seen in found) < _MIN_ANSWERS:
        hidden_tokens = tokens_per_s = math.inf
    return UsualUse(output_tokens, min(1.0, input_share), hidden_tokens, tokens_per_s)
