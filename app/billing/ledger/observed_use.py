"""Record the maximum use of complete answers of each kind: a killed call has most likely used no more.

If a worker is killed while it waits for an answer in one piece, the usage of that answer is lost. The request's output
ceiling is the only certain bound, and often forty times what an answer uses.
"""

from __future__ import annotations

import fcntl
import math
import mmap
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from struct import Struct

# One row: the kind's digest; the number of answers, and the maxima of their output tokens and of the share of the
# input's bound that they used. Then the number of streamed answers, and the maxima of their output tokens without
# text, of their tokens per second, and of the share of the text's estimate that they used.
_KIND = Struct("<16sqqdqddd")
_KINDS = 56
TABLE_SIZE = _KINDS * _KIND.size
_NO_KIND = bytes(16)
# The use seen by ended processes. The number is the version of the format above.
_SAVED_FILE = "observed-use.2"

# With fewer answers the maxima say too little. After this many, the next answer exceeds all others with a probability
# of 1 %.
_MIN_ANSWERS = 100
# Added to the maximum of n answers: this divided by n, so a tenth for a hundred answers.
_MARGIN_OF_ONE = 10.0
# A shorter stream measures how fast the network delivered it, rather than how fast the model wrote it.
_PACE_AFTER_S = 0.5


@dataclass(frozen=True, slots=True)
class LikelyMaxima:
    """What an answer of a kind uses at most, judging by earlier answers.

    Attributes:
        output_tokens: output tokens of one answer.
        input_share: share of the input's bound that is used.
        hidden_tokens: output tokens without text, such as reasoning; infinite if too few streams were seen.
        tokens_per_s: output tokens per second; infinite if too few streams were seen.
        text_share: share of the text's estimate that is used; 1 if too few streams were seen.
    """

    output_tokens: float
    input_share: float
    hidden_tokens: float
    tokens_per_s: float
    text_share: float

    def bound_unseen(self, silent_s: float) -> float:
        """Return the maximum number of tokens that were generated and did not arrive, after a silence of `silent_s`."""
        return self.hidden_tokens + self.tokens_per_s * silent_s


class KindMaxima:
    """The maximum use of the answers of one kind in this process."""

    def __init__(self, digest: bytes, memory: mmap.mmap, at: int | None) -> None:
        """Create it for a row in the memory at offset `at`; None if the table is full."""
        self.digest = digest
        self._memory = memory
        self._at = at
        self._answers = self._output_tokens = self._streams = 0
        self._input_share = self._hidden_tokens = self._tokens_per_s = self._text_share = 0.0

    def add(
        self, output_tokens: int, input_share: float, text: tuple[float, float] | None = None, reasoning: int = 0
    ) -> None:
        """Record what a complete answer has used.

        Args:
            output_tokens: its output tokens, including those of reasoning.
            input_share: the share of its input's bound that it used.
            text: for a streamed answer, the estimated tokens of its text, and the seconds that it took.
            reasoning: the number of reasoning tokens that the upstream reported.
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
            of_answers = (self._answers, self._output_tokens, self._input_share)
            of_streams = (self._streams, self._hidden_tokens, self._tokens_per_s, self._text_share)
            _KIND.pack_into(self._memory, self._at, self.digest, *of_answers, *of_streams)


class ObservedUse:
    """The maximum use of each kind in this process. Its table is a part of the file of call notes."""

    def __init__(self, memory: mmap.mmap, at: int, ledger: str) -> None:
        self._memory = memory
        self._at = at
        self._ledger = ledger
        self._kinds: dict[str, KindMaxima] = {}

    def get(self, kind: str) -> KindMaxima:
        """Return the maxima of a kind, for this ledger only: other ledgers on this machine have their own."""
        try:
            return self._kinds[kind]
        except KeyError:
            digest = blake2b(f"{self._ledger}\n{kind}".encode(), digest_size=16).digest()
            number = len(self._kinds)
            at = self._at + number * _KIND.size if number < _KINDS else None
            maxima = self._kinds[kind] = KindMaxima(digest, self._memory, at)
            return maxima


def find_likely_maxima(tables: Iterable[bytes], kind: bytes) -> LikelyMaxima | None:
    """Return the maxima of a kind over the tables of all processes; None if too few answers were seen."""
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
    return LikelyMaxima(
        output_tokens * margin, min(1.0, input_share * margin), hidden_tokens, tokens_per_s, text_share
    )


def save_use(folder: Path, table: bytes) -> None:
    """Merge the table of a process that ends into the file in a folder, so that it outlives a restart."""
    if not any(table):
        return
    with suppress(OSError):  # a lost table only makes later charges less accurate
        file = os.open(folder / _SAVED_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)  # several processes may end at once
            os.pwrite(file, _add_up(os.pread(file, TABLE_SIZE, 0), table), 0)
        finally:
            os.close(file)


def read_saved_use(folder: Path) -> bytes:
    """Return the table that is saved in a folder; empty if there is none."""
    try:
        return (folder / _SAVED_FILE).read_bytes()
    except OSError:
        return b""


def _add_up(*tables: bytes) -> bytes:
    """Merge tables into one: for each kind, the sum of the counts and the maximum of each other value."""
    kinds: dict[bytes, tuple[float, ...]] = {}
    for table in tables:
        for kind, *seen in _KIND.iter_unpack(table[: len(table) // _KIND.size * _KIND.size]):
            if kind != _NO_KIND:
                before = kinds.get(kind)
                kinds[kind] = tuple(seen) if before is None else _merge(before, seen)
    best_known = sorted(kinds.items(), key=lambda item: -item[1][0])[:_KINDS]
    return b"".join(_KIND.pack(kind, *seen) for kind, seen in best_known).ljust(TABLE_SIZE, b"\0")


def _merge(one: Sequence[float], other: Sequence[float]) -> tuple[float, ...]:
    answers, streams = one[0] + other[0], one[3] + other[3]
    maxima = [max(pair) for pair in zip(one, other, strict=True)]
    return answers, *maxima[1:3], streams, *maxima[4:]
