"""The image formats that are accepted, detected by their first bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.media.images import bmff, gif, jpeg, png, webp
from app.media.images.stripped import StrippedImage


@dataclass(frozen=True, slots=True)
class ImageKind:
    """An image format.

    Attributes:
        name: for display.
        size, strip: functions of the format's module. `size` reads a stripped file or its beginning.
        is_sent: whether models accept it; otherwise it becomes a JPEG, or a PNG if it is transparent.
    """

    name: str
    media_type: str
    size: Callable[[bytes], tuple[int, int]]
    strip: Callable[[bytes], StrippedImage]
    is_sent: bool = True

    @property
    def pillow_name(self) -> str:
        """Pillow's name for the format."""
        return "HEIF" if self.name == "HEIC" else self.name.upper()


PNG = ImageKind("PNG", "image/png", png.size, png.strip)
JPEG = ImageKind("JPEG", "image/jpeg", jpeg.size, jpeg.strip)
WEBP = ImageKind("WebP", "image/webp", webp.size, webp.strip)
GIF = ImageKind("GIF", "image/gif", gif.size, gif.strip)
HEIC = ImageKind("HEIC", "image/heic", bmff.size, bmff.strip, is_sent=False)
AVIF = ImageKind("AVIF", "image/avif", bmff.size, bmff.strip, is_sent=False)

ACCEPTED = "PNG, JPEG, WebP, GIF, HEIC or AVIF"

# Source: https://mimesniff.spec.whatwg.org/#matching-an-image-type-pattern
_SIGNATURES = ((b"\x89PNG\r\n\x1a\n", PNG), (b"\xff\xd8\xff", JPEG), (b"GIF87a", GIF), (b"GIF89a", GIF))


def detect_kind(data: bytes) -> ImageKind | None:
    """Return the format of a file, or None."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return WEBP
    if brand := bmff.find_brand(data):
        return AVIF if brand == "AVIF" else HEIC
    return next((kind for start, kind in _SIGNATURES if data.startswith(start)), None)
