"""Remove large images and files from a JSON text before it is parsed: parsing would copy and scan them many times."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from app.runtime.turns import give_turn, in_turns

# A data URL; and the bare base64 of a PDF, which OpenAI accepts as well.
_BEGINS = (b'"data:', b'"JVBERi')
# Bare base64 of PNG, JPEG (the second as PHP escapes it), WebP, GIF, HEIC and AVIF, as AG-UI sends it.
_BARE_IMAGES = (b'"iVBOR', b'"/9j/', b'"\\/9j', b'"UklGR', b'"R0lGOD', b'"AAAA')
# Smaller ones are cheap to parse, and a request without its files is small.
LARGE_URL_BYTES, _MAX_URLS = 65_536, 20_000
_MAX_HEAD_BYTES = 2_048
# Searching this much of a text that was crafted to be slow takes 12 ms.
_STEP_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class EmbeddedUrl:
    """A data URL, or a file in base64, in a JSON text, without its quotes: a view of the text, not a copy.

    Attributes:
        content: only its beginning was checked; the rest may be anything without a quote.
        is_escaped: whether it contains a backslash. PHP escapes each slash, and .NET each plus.
    """

    content: memoryview
    is_escaped: bool

    def find_base64(self) -> memoryview | None:
        """Return the base64 of the file, which is still escaped; None if the URL has another encoding."""
        head, comma, _ = bytes(self.content[:_MAX_HEAD_BYTES]).partition(b",")
        if not head.lower().startswith(b"data:"):
            return self.content
        return self.content[len(head) + 1 :] if comma and head.lower().endswith(b";base64") else None


def cut_data_urls(text: bytes, *, bare_images: bool = False) -> tuple[bytes, dict[str, EmbeddedUrl]]:
    """Replace each large data URL or PDF in base64 with a short name. Return the new JSON text, and the URLs by name.

    Invalid JSON remains invalid, except for errors within such a URL. In valid JSON, a quote without a backslash before
    it and with `data:` after it begins a string.

    Args:
        text: JSON.
        bare_images: whether images in bare base64 are replaced as well, which takes six more searches.
    """
    urls: dict[str, EmbeddedUrl] = {}
    secret = secrets.token_hex(8)  # so that a client cannot forge a name
    for begin in (*_BEGINS, *(_BARE_IMAGES if bare_images else ())):
        text = _cut(text, begin, f"data:{secret}-", urls)
    return text, urls


def _cut(text: bytes, pattern: bytes, prefix: str, urls: dict[str, EmbeddedUrl]) -> bytes:
    """Return the text with names in place of the strings that begin with the pattern, and add those to `urls`."""
    view, count_before = memoryview(text), len(urls)
    copied: list[bytes | memoryview] = []
    copied_to = at = 0
    for _ in in_turns(range(_MAX_URLS)):
        begin = _find_begin(text, pattern, at)
        end = at = text.find(b'"', begin)
        if begin < 0 or end < 0:
            break
        if end - begin < LARGE_URL_BYTES or b"\\" in (text[begin - 2 : begin - 1], text[end - 1 : end]):
            continue
        name = f"{prefix}{len(urls)}"
        urls[name] = EmbeddedUrl(view[begin:end], text.find(b"\\", begin, end) >= 0)
        copied += [view[copied_to:begin], name.encode()]
        copied_to = end
    return b"".join([*copied, view[copied_to:]]) if len(urls) > count_before else text


def _find_begin(text: bytes, pattern: bytes, at: int) -> int:
    """Return the offset of the next string that begins with the pattern; -1 if there is none."""
    while at < len(text):
        found = text.find(pattern, at, at + _STEP_BYTES)
        if found >= 0:
            return found + 1
        at += _STEP_BYTES - len(pattern) + 1
        if at < len(text):
            give_turn()
    return -1


def put_back(text: bytes, urls: Mapping[str, EmbeddedUrl], names: Iterable[str]) -> bytes:
    """Return the text with the URLs of these names restored."""
    for name in names:
        text = text.replace(name.encode(), urls[name].content)
    return text
