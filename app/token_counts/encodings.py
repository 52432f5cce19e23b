"""Load tiktoken's encodings from files on disk only.

tiktoken's own loader downloads a missing file of several megabytes while a client waits.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tiktoken import Encoding

Ranks = dict[bytes, int]

# Encodings of chat models.
_NAMES = {"cl100k_base", "o200k_base", "o200k_harmony"}


def encoding_name(model: str) -> str | None:
    """Return the name of a model's encoding; None if tiktoken does not know it."""
    import tiktoken  # takes 30 ms to import, and many sites never need it

    try:
        name = tiktoken.encoding_name_for_model(model)
    except KeyError:
        return None
    return name if name in _NAMES else None


def read_encoding(name: str, directory: Path) -> Encoding:
    """Load an encoding. It takes 0.3 s and 90 MB of memory.

    Raises:
        OSError: its file cannot be read.
        ValueError: the file is not the one that OpenAI published.
    """
    import tiktoken

    def read(url: str, expected_hash: str) -> Ranks:
        content = _verify((directory / _file_name(url)).read_bytes(), expected_hash)
        pairs = (line.split() for line in content.splitlines())
        return {base64.b64decode(token): int(rank) for token, rank in pairs}

    return tiktoken.Encoding(**_find_definition(name, read))


def fetch_encoding(name: str, directory: Path, download: Callable[[str], bytes]) -> Path:
    """Download an encoding's file to where read_encoding() looks for it.

    Raises:
        OSError: it cannot be written.
        ValueError: the download is not what OpenAI published.
    """
    files: list[Path] = []

    def fetch(url: str, expected_hash: str) -> Ranks:
        content = _verify(download(url), expected_hash)
        file = directory / _file_name(url)
        directory.mkdir(parents=True, exist_ok=True)
        new = file.with_suffix(".new")
        new.write_bytes(content)
        new.replace(file)
        files.append(file)
        return {}

    _find_definition(name, fetch)
    return files[0]


def _find_definition(name: str, ranks_at: Callable[[str, str], Ranks]) -> dict[str, Any]:
    """Return tiktoken's definition of an encoding, with its ranks loaded by `ranks_at` instead of from a URL."""
    from tiktoken_ext import openai_public  # type: ignore[import-untyped]

    load = openai_public.load_tiktoken_bpe
    openai_public.load_tiktoken_bpe = ranks_at
    try:
        definition: dict[str, Any] = openai_public.ENCODING_CONSTRUCTORS[name]()
    finally:
        openai_public.load_tiktoken_bpe = load
    return definition


def _file_name(url: str) -> str:
    return url.rpartition("/")[2]


def _verify(content: bytes, expected_hash: str) -> bytes:
    if hashlib.sha256(content).hexdigest() != expected_hash:
        raise ValueError("it is not the file that OpenAI published")
    return content
