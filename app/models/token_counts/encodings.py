"""Count the tokens of texts by OpenAI's encodings."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from app.models.token_counts.vocabulary import Vocabulary, load_vocabulary
from app.runtime.turns import give_turn

# The patterns of the encodings: they split a text into pieces, and no token crosses the border of a piece.
# Source: tiktoken_ext/openai_public.py
PATTERNS = {
    "cl100k_base": (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
        r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
    ),
    "o200k_base": (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
}
# The same character classes for ASCII texts. So `re` can split most texts, twice as fast as `regex`.
_IN_ASCII = (
    (r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", "A-Z"),
    (r"\p{Ll}\p{Lm}\p{Lo}\p{M}", "a-z"),
    (r"[^\r\n\p{L}\p{N}]", r"[^\r\nA-Za-z0-9]"),
    (r"[^\s\p{L}\p{N}]", r"[^\sA-Za-z0-9]"),
    (r"\p{L}", "[A-Za-z]"),
    (r"\p{N}", "[0-9]"),
)
# The time to encode a piece grows with the square of its length.
_MAX_PIECE_BYTES = 200
_BLOCK_CHARS = 16_000
# Every encoding splits between a letter or digit and one of these characters. So the counts of both sides add up.
_CUT = r"(?<=[^\W_])(?=[\s.,:;!?(){}\[\]…。、，：；！？）」』])"
_BLOCK = re.compile(rf".{{1,{_BLOCK_CHARS}}}(?:{_CUT}|\Z)", re.DOTALL)
_NEXT_CUT = re.compile(_CUT)
_NO_RANK = 1 << 24
# The sizes of the caches in each worker: together at most 4 MB.
_MAX_PIECES, _MAX_PAIRS, _MAX_TEXTS = 10_000, 20_000, 4_000


class WorkBudget:
    """Bounds the work for a request: the bytes of pieces that are not cached and may still be encoded."""

    __slots__ = ("bytes_left",)

    def __init__(self, max_bytes: int) -> None:
        self.bytes_left = max_bytes


class Encoding:
    """Counts tokens by one of OpenAI's encodings. Cached words are counted in C."""

    def __init__(self, pattern: str, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._pattern = pattern.replace("$", r"\Z")
        ascii_pattern = self._pattern
        for theirs, ours in _IN_ASCII:
            ascii_pattern = ascii_pattern.replace(theirs, ours)
        self._cut_ascii: Callable[[str], list[str]] = re.compile(ascii_pattern, re.ASCII).findall
        self._pieces: dict[str, int] = {}
        self._pairs: dict[bytes, int] = {}
        # By the hash of the text, which is random in each process, so that callers cannot provoke collisions.
        self._texts: dict[int, int] = {}

    def count(self, text: str, work: WorkBudget) -> int:
        """Return the number of a text's tokens. Pieces beyond the work budget count as many tokens as bytes."""
        key = hash(text)
        known = self._texts.get(key)
        if known is not None:
            return known
        tokens = self._count_block(text, work) if len(text) <= _BLOCK_CHARS else self._count_long(text, work)
        if work.bytes_left > 0:
            if len(self._texts) >= _MAX_TEXTS:
                self._texts = {}
            self._texts[key] = tokens
        return tokens

    def _count_long(self, text: str, work: WorkBudget) -> int:
        """Count a text in blocks of some milliseconds each. Over 16,000 characters without a cut count their bytes."""
        tokens, start = 0, 0
        while start < len(text):
            if block := _BLOCK.match(text, start):
                tokens += self._count_block(block[0], work)
                start = block.end()
            else:
                cut = _NEXT_CUT.search(text, start + _BLOCK_CHARS)
                end = cut.end() if cut else len(text)
                tokens += count_bytes(text[start:end])
                start = end
            give_turn()
        return tokens

    def _count_block(self, text: str, work: WorkBudget) -> int:
        pieces = self._cut_ascii(text) if text.isascii() else self._cut(text)
        known = self._pieces
        with suppress(KeyError):
            return sum(map(known.__getitem__, pieces))
        counts = dict.fromkeys(pieces, 0)
        for piece in counts:
            tokens = known.get(piece)
            if tokens is None:
                tokens = count_bytes(piece)
                if tokens > 1:
                    work.bytes_left -= tokens
                if work.bytes_left > 0:
                    tokens = known[piece] = self._count_piece(piece)
            counts[piece] = tokens
        if len(known) > _MAX_PIECES:
            self._pieces = {}
        return sum(map(counts.__getitem__, pieces))

    def _cut(self, text: str) -> list[str]:
        import regex  # type: ignore[import-untyped] # here, as it takes 3 MB and English sites never need it

        pieces: list[str] = regex.compile(self._pattern).findall(text)
        return pieces

    def _count_piece(self, text: str) -> int:
        """Return the number of a piece's tokens, by byte pair encoding: merge pairs until none is in the vocabulary."""
        piece = text.encode("utf-8", "surrogatepass")
        if self._vocabulary.find_rank(piece) is not None:
            return 1
        if len(piece) > _MAX_PIECE_BYTES:
            return len(piece)
        if len(self._pairs) > _MAX_PAIRS:
            self._pairs = {}
        ends = list(range(len(piece) + 1))
        ranks = [self._rank_pair(piece[at : at + 2]) for at in range(len(piece) - 1)]
        while ranks and (lowest := min(ranks)) < _NO_RANK:
            at = ranks.index(lowest)
            del ends[at + 1], ranks[at]
            if at < len(ranks):
                ranks[at] = self._rank_pair(piece[ends[at] : ends[at + 2]])
            if at:
                ranks[at - 1] = self._rank_pair(piece[ends[at - 1] : ends[at + 1]])
        return len(ends) - 1

    def _rank_pair(self, pair: bytes) -> int:
        rank = self._pairs.get(pair)
        if rank is None:
            rank = self._vocabulary.find_rank(pair)
            rank = self._pairs[pair] = _NO_RANK if rank is None else rank
        return rank


def count_bytes(text: str) -> int:
    """Return the length in bytes, an upper bound of the tokens: no token is shorter than one byte."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


_loaded: dict[str, Encoding] = {}


def load_encoding(name: str, folder: Path | None = None) -> Encoding:
    """Return the encoding of one of PATTERNS. It is loaded once a process, with the errors of load_vocabulary()."""
    encoding = _loaded.get(name)
    if encoding is None:
        encoding = _loaded[name] = Encoding(PATTERNS[name], load_vocabulary(name, folder))
    return encoding
