"""Count a text's tokens for a model with tiktoken if its data is on disk, else return an upper bound."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from app.runtime.turns import give_turn
from app.token_counts.encodings import encoding_name, fetch_encoding, read_encoding

if TYPE_CHECKING:
    from tiktoken import Encoding

Count = Callable[[str], int]
"""Counts a text's tokens; never fewer than the model counts."""

log = logging.getLogger(__name__)

# Every encoding splits a text between a letter or digit and one of these. So the counts of the two parts add up to
# the count of the whole.
_CUT = r"(?<=[^\W_])(?=[\s.,:;!?(){}\[\]…。、，：；！？）」』])"
_PIECE_CHARS = 16_000
_PIECE = re.compile(rf".{{1,{_PIECE_CHARS}}}(?:{_CUT}|\Z)", re.DOTALL)
_NEXT_CUT = re.compile(_CUT)


class TokenCounts:
    """Counters of tokens for the configured models."""

    def __init__(self, directory: Path, models: Iterable[str]) -> None:
        """Set up counting.

        Args:
            directory: where tiktoken's files may be.
            models: those whose tokens will be counted.
        """
        self._directory = directory
        self._models = tuple(dict.fromkeys(models))
        self._loaded: dict[str, Encoding] = {}

    def load(self) -> None:
        """Load the encodings that are on disk. Call it before requests arrive, since it takes time."""
        if not self._directory.is_dir():
            return
        for name in sorted({name for model in self._models if (name := encoding_name(model))}):
            try:
                self._loaded[name] = read_encoding(name, self._directory)
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                log.warning("encoding.unusable", extra={"encoding": name, "why": str(error)})

    def fetch(self, download: Callable[[str], bytes]) -> tuple[list[Path], list[str]]:
        """Download tiktoken's files for the models.

        Returns:
            the files, and the models for which tiktoken has no encoding.

        Raises:
            OSError, ValueError: as fetch_encoding(), and the errors of `download`.
        """
        names = {model: encoding_name(model) for model in self._models}
        files = [
            fetch_encoding(name, self._directory, download) for name in sorted(set(filter(None, names.values())))
        ]
        return files, [model for model, name in names.items() if name is None]

    def counter(self, models: Iterable[str]) -> Count:
        """Return a counter that is valid for each of these models."""
        if not self._loaded:
            return count_bytes
        names = {encoding_name(model) for model in models}
        encodings = [self._loaded[name] for name in names if name in self._loaded]
        if len(encodings) < len(names):
            return count_bytes
        return lambda text: max(count_exactly(encoding, text) for encoding in encodings)


def count_bytes(text: str) -> int:
    """Return the length in bytes, an upper bound: no token is shorter than one byte."""
    return len(text.encode("utf-8", "surrogatepass"))


def count_exactly(encoding: Encoding, text: str) -> int:
    """Return the number of tokens. A run of over 16,000 characters without a space or full stop counts its bytes.

    The text is counted in pieces of 1 to 3 ms each.
    """
    tokens, start = 0, 0
    while start < len(text):
        if piece := _PIECE.match(text, start):
            tokens += len(encoding.encode_ordinary(piece[0]))
            start = piece.end()
        else:
            cut = _NEXT_CUT.search(text, start + _PIECE_CHARS)
            end = cut.end() if cut else len(text)
            tokens += count_bytes(text[start:end])
            start = end
        give_turn()
    return tokens
