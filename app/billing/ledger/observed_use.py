"""The most that complete answers of each kind have used, which is what a killed call has most likely used at most.

What an answer in one piece used that a killed worker was waiting for, the upstream tells nobody. Its ceiling is the only
bound that is certain, and often forty times what an answer uses.
"""

from __future__ import annotations

import fcntl
import math
import mmap
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from struct import Struct

# A kind's digest; how many answers were seen, the most output tokens of one, the largest part of an input's bound. How many
# of them were streamed, the most output tokens of one that were no text, its most tokens in a second, and the largest
# part of its text's estimate.
_KIND = Struct("<16sqqdqddd")
_KINDS = 56
TABLE_SIZE = _KINDS * _KIND.size
# Of the processes that have ended. The number is that of the form above.
_KEPT_FILE = "observed-use.2"

# Fewer answers tell too little: of so many, a further one uses more than all before with a chance of one in a hundred.
_MIN_ANSWERS = 100
# On top of the most that n answers have used: a tenth of it for a hundred. The more are known, the less is left to see.
_MARGIN_OF_ONE = 10.0
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
        text_share: part of the estimate of its text; 1 likewise.
    """

    output_tokens: float
    input_share: float
    hidden_tokens: float
    tokens_per_s: float
    text_share: float

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
        self._answers = self._output_tokens = self._streams = 0
        self._input_share = self._hidden_tokens = self._tokens_per_s = self._text_share = 0.0

    def add(
        self, output_tokens: int, input_share: float, text: tuple[float, float] | None = None, reasoning: int = 0
    ) -> None:
        """Note what a complete answer has used.

        Args:
            output_tokens: those of its reasoning included.
            input_share: part of the bound of its input.
            text: if it was streamed, the estimated tokens of its text, and how many seconds they took.
            reasoning: how many tokens of it the upstream says that were no text.
        """
        self._answers += 1
        self._output_tokens = max(self._output_tokens, output_tokens)
        self._input_share = max(self._input_share, input_share)
        if text is not None and text[1] >= _PACE_AFTER_S:
            self._streams += 1
            self._hidden_tokens = max(self._hidden_tokens, output_tokens - text[0], reasoning)
            self._tokens_per_s = max(self._tokens_per_s, output_tokens / text[1])
            self._text_share = max(self._text_share, min(1.0, (output_tokens - reasoning) / max(1.0, text[0])))
        if self._at is not None:
            most = (self._answers, self._output_tokens, self._input_share)
            hidden = (self._streams, self._hidden_tokens, self._tokens_per_s, self._text_share)
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
    answers, streams = (sum(seen[column] for seen in found) for column in (1, 4))
    if answers < _MIN_ANSWERS:
        return None
    output_tokens, input_share, hidden_tokens, tokens_per_s, text_share = (
        max(seen[column] for seen in found) for column in (2, 3, 5, 6, 7)
    )
    margin = 1 + _MARGIN_OF_ONE / answers
    if streams < _MIN_ANSWERS:
        hidden_tokens = tokens_per_s = math.inf
        text_share = 1.0
    else:
        of_streams = 1 + _MARGIN_OF_ONE / streams
        hidden_tokens, tokens_per_s = hidden_tokens * of_streams, tokens_per_s * of_streams
    return UsualUse(
        output_tokens * margin, min(1.0, input_share * margin), hidden_tokens, tokens_per_s, text_share
    )


def keep_use(folder: Path, table: bytes) -> None:
    """Add what a process that ends has seen to what is kept in a folder, so that a restart forgets nothing."""
    if not any(table):
        return
    with suppress(OSError):  # it costs accuracy only
        file = os.open(folder / _KEPT_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)  # several processes end at once
            os.pwrite(file, _add_up(os.pread(file, TABLE_SIZE, 0), table), 0)
        finally:
            os.close(file)


def read_kept_use(folder: Path) -> bytes:
    """Return the table of what is kept in a folder; empty if there is none."""
    try:
        return (folder / _KEPT_FILE).read_bytes()
    except OSError:
        return b""


def _add_up(*tables: bytes) -> bytes:
    """Return one table for several: of each kind how many answers there were, and the most of all else."""
    kinds: dict[bytes, tuple[float, ...]] = {}
    for table in tables:
        for kind, answers, output, share, streams, *of_streams in _KIND.iter_unpack(
            table[: len(table) // _KIND.size * _KIND.size]
        ):
            had = kinds.get(kind, (0, 0, 0.0, 0, 0.0, 0.0, 0.0))
            most = (max(pair) for pair in zip(had[4:], of_streams, strict=True))
            kinds[kind] = (answers + had[0], max(output, had[1]), max(share, had[2]), streams + had[3], *most)
    kinds.pop(bytes(16), None)
    best_known = sorted(kinds.items(), key=lambda item: -item[1][0])[:_KINDS]
    return b"".join(_KIND.pack(kind, *seen) for kind, seen in best_known).ljust(TABLE_SIZE, b"\0")
