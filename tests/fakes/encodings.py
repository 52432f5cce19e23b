"""A small encoding in the place of tiktoken's o200k_base, whose own file is nowhere without a download."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import pytest
import tiktoken
from tiktoken_ext import openai_public

URL = "https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken"
WORDS = ["the", "conversation", "goes", "on", "and", "with", "words", "that", "were", "learnt,", "你好", "世界"]
# What a text must not be cut inside of.
UNITS = ["goes's", "  ", " \n", "\n\n", "..", "?!", "。。", " ."]


def _ranks() -> dict[bytes, int]:
    """Every byte, and every beginning of the words, alone and after a space, and of the units."""
    ranks = {bytes([byte]): byte for byte in range(256)}
    for word in [*WORDS, *(f" {word}" for word in WORDS), *UNITS]:
        for length in range(2, len(word.encode()) + 1):
            ranks.setdefault(word.encode()[:length], len(ranks))
    return ranks


CONTENT = b"".join(b"%b %d\n" % (base64.b64encode(token), rank) for token, rank in _ranks().items())


def _pattern() -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openai_public, "load_tiktoken_bpe", lambda url, expected_hash: {})
        return str(openai_public.o200k_base()["pat_str"])


PATTERN = _pattern()


def encoding() -> tiktoken.Encoding:
    return tiktoken.Encoding("small", pat_str=PATTERN, mergeable_ranks=_ranks(), special_tokens={})


def publish(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have tiktoken take it for the one that OpenAI has published."""

    def o200k_base() -> dict[str, Any]:
        ranks = openai_public.load_tiktoken_bpe(URL, expected_hash=hashlib.sha256(CONTENT).hexdigest())
        return {"name": "o200k_base", "pat_str": PATTERN, "mergeable_ranks": ranks, "special_tokens": {}}

    monkeypatch.setitem(openai_public.ENCODING_CONSTRUCTORS, "o200k_base", o200k_base)


def put(directory: Path, content: bytes = CONTENT) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "o200k_base.tiktoken").write_bytes(content)
