"""Read the size of the picture in a data URL from its beginning."""

from __future__ import annotations

import base64
import binascii

from app.media.images.kinds import detect_kind
from app.media.images.stripped import CorruptImage

# A GIF may have 800 bytes before its first frame, and a JPEG a kilobyte or two of tables. A multiple of four.
_HEAD_CHARS = 8_192


def read_size(url: str) -> tuple[int, int] | None:
    """Return width and height of the image in a normalized data URL; None for other URLs, or if unknown."""
    start = url.find(";base64,", 0, 64)
    if start < 0:
        return None
    start += len(";base64,")
    try:
        head = base64.b64decode(url[start : start + _HEAD_CHARS])
        kind = detect_kind(head)
        return kind.size(head) if kind is not None else None
    except (binascii.Error, CorruptImage):
        return None
