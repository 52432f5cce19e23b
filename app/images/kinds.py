"""The image formats that are accepted, detected by their first bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.images import gif, jpeg, png, webp
from app.images.stripped import StrippedImage


@dataclass(frozen=True, slots=True)
class ImageKind:
    """An image format.

    Attributes:
        name: for display; in upper case, Pillow's name.
        size, strip: functions of the format's module. `size` reads a stripped file or its beginning.
    """

    name: str
    media_type: str
    size: Callable[[bytes], tuple[int, int]]
    strip: Callable[[bytes], StrippedImage]


PNG = ImageKind("PNG", "image/png", png.size, png.strip)
JPEG = ImageKind("JPEG", "image/jpeg", jpeg.size, jpeg.strip)
WEBP = ImageKind("WebP", "image/webp", webp.size, webp.strip)
GIF = ImageKind("GIF", "image/gif", gif.size, gif.strip)

# Source: https://mimesniff.spec.whatwg.org/#matching-an-image-type-pattern
_SIGNATURES = ((b"\x89PNG\r\n\x1a\n", PNG), (b"\xff\xd8\xff", JPEG), (b"GIF87a", GIF), (b"GIF89a", GIF))


def detect_kind(data: bytes) -> ImageKind | None:
    """Return the format of a file, or None."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return WEBP
    return next((kind for start, kind in _SIGNATURES if data.startswith(start)), None)
