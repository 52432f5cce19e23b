"""Cut the large images and files out of a JSON text before it is parsed, which would copy them and scan them many times."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from app.runtime.turns import give_turn, in_turns

# A data URL; and the base64 of a PDF without one, as OpenAI accepts it too.
_BEGINS = (b'"data:', b'"JVBERi')
# PNG, JPEG (the second as PHP writes it), WebP, GIF, HEIC and AVIF in base64, as AG-UI has them.
_BARE_IMAGES = (b'"iVBOR', b'"/9j/', b'"\\/9j', b'"UklGR', b'"R0lGOD', b'"AAAA')
# Smaller ones cost nothing to parse, and the text of a request has room for few.
LARGE_URL_BYTES, _MAX_URLS = 65_536, 20_000
# Searching a text that was made to be searched slowly takes 12 ms.
_STEP_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class EmbeddedUrl:
    """A data URL, or a file in base64, as it stands in a JSON text, without its quotes: a view of the text, not a copy.

    Attributes:
        content: begins as one of them does, and may be anything else that has no quote in it.
        is_escaped: whether it holds a backslash. PHP escapes each slash, and .NET each plus.
    """

    content: memoryview
    is_escaped: bool


def cut_data_urls(text: bytes, *, bare_images: bool = False) -> tuple[bytes, dict[str, EmbeddedUrl]]:
    """Return a JSON text with a short name in place of each large data URL or PDF in base64, and these by their names.

    Invalid JSON remains invalid, except for what is wrong within such a URL. In valid JSON a quote that has no backslash
    before it and `data:` behind it begins a string.

    Args:
        text: JSON.
        bare_images: whether images in base64 without a data URL are cut out too, which takes six more searches.
    """
    urls: dict[str, EmbeddedUrl] = {}
    secret = secrets.token_hex(8)  # nobody else can write a name
    for begin in (*_BEGINS, *(_BARE_IMAGES if bare_images else ())):
        text = _cut(text, begin, f"data:{secret}-", urls)
    return text, urls


def _cut(text: bytes, pattern: bytes, prefix: str, urls: dict[str, EmbeddedUrl]) -> bytes:
    """Return the text without the strings that begin so, and add these to the others that were cut out."""
    view, count_before = memoryview(text), len(urls)
    kept: list[bytes | memoryview] = []
    kept_to = at = 0
    for _ in in_turns(range(_MAX_URLS)):
        begin = _find_begin(text, pattern, at)
        end = at = text.find(b'"', begin)
        if begin < 0 or end < 0:
            break
        if end - begin < LARGE_URL_BYTES or b"\\" in (text[begin - 2 : begin - 1], text[end - 1 : end]):
            continue
        name = f"{prefix}{len(urls)}"
        urls[name] = EmbeddedUrl(view[begin:end], text.find(b"\\", begin, end) >= 0)
        kept += [view[kept_to:begin], name.encode()]
        kept_to = end
    return b"".join([*kept, view[kept_to:]]) if len(urls) > count_before else text


def _find_begin(text: bytes, pattern: bytes, at: int) -> int:
    """Return where the next string with such a beginning begins; -1 if there is none."""
    while at < len(text):
        found = text.find(pattern, at, at + _STEP_BYTES)
        if found >= 0:
            return found + 1
        at += _STEP_BYTES - len(pattern) + 1
        if at < len(text):
            give_turn()
    return -1


def put_back(text: bytes, urls: Mapping[str, EmbeddedUrl], names: Iterable[str]) -> bytes:
    """Return the text with some of its URLs in their places again."""
    for name in names:
        text = text.replace(name.encode(), urls[name].content)
    return text
