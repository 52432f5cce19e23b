"""TokenCounts: how many tokens a text is for a model, by tiktoken where its data is at hand, else by a bound."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from app.token_counts.encodings import encoding_name, fetch_encoding, read_encoding

if TYPE_CHECKING:
    from tiktoken import Encoding

Count = Callable[[str], int]
"""How many tokens a text is. Never less than the model counts."""

log = logging.getLogger(__name__)

# Between a letter or digit and one of these, every encoding cuts a text, whatever else is in it: the counts of the
# two parts add up to that of the whole.
_CUT = r"(?<=[^\W_])(?=[\s.,:;!?(){}\[\]…。、，：；！？）」』])"
_PIECE_CHARS = 16_000
_PIECE = re.compile(rf".{{1,{_PIECE_CHARS}}}(?:{_CUT}|\Z)", re.DOTALL)
_NEXT_CUT = re.compile(_CUT)


class TokenCounts:
    def __init__(self, directory: Path, models: Iterable[str]) -> None:
        """Take the directory in which tiktoken's files may be, and the models whose tokens will be counted."""
        self._directory = directory
        self._models = tuple(dict.fromkeys(models))
        self._loaded: dict[str, Encoding] = {}

    def load(self) -> None:
        """Load what is at hand for the models: before requests come, since it would make them wait."""
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
        """Put tiktoken's files for the models at hand.

        Returns:
            the files, and the models that tiktoken knows no encoding of.
        Raises:
            OSError, ValueError: see fetch_encoding(). And what `download` does.
        """
        names = {model: encoding_name(model) for model in self._models}
        files = [
            fetch_encoding(name, self._directory, download) for name in sorted(set(filter(None, names.values())))
        ]
        return files, [model for model, name in names.items() if name is None]

    def counter(self, models: Iterable[str]) -> Count:
        """A count that holds for each of these models."""
        if not self._loaded:
            return byte_count
        names = {encoding_name(model) for model in models}
        encodings = [self._loaded[name] for name in names if name in self._loaded]
        if len(encodings) < len(names):
            return byte_count
        return lambda text: max(exact_count(encoding, text) for encoding in encodings)


def byte_count(text: str) -> int:
    """The bytes of a text: no token is shorter than one."""
    return len(text.encode("utf-8", "surrogatepass"))


def exact_count(encoding: Encoding, text: str) -> int:
    """The tokens of a text. A stretch of more than 16,000 characters without a space or a stop counts by its bytes.

    It is counted piece by piece, each of which takes 1 to 3 ms.
    """
    tokens, start = 0, 0
    while start < len(text):
        if piece := _PIECE.match(text, start):
            tokens += len(encoding.encode_ordinary(piece[0]))
            start = piece.end()
        else:
            cut = _NEXT_CUT.search(text, start + _PIECE_CHARS)
            end = cut.end() if cut else len(text)
            tokens += byte_count(text[start:end])
            start = end
        time.sleep(0)  # lets the other answers of this worker go on, which gevent runs in the same thread
    return tokens
