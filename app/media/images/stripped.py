"""The still picture of an image file, without metadata."""

from __future__ import annotations

from dataclasses import dataclass


class CorruptImage(ValueError):
    """A file that breaks the rules of its own format, or ends too early."""


@dataclass(frozen=True, slots=True)
class StrippedImage:
    """A still picture and how to display it.

    Attributes:
        data: the file without metadata, further frames, and trailing bytes; pixels are unchanged.
        width, height: in pixels, as stored.
        exif: holds the orientation; None if the file has none.
        icc: the color profile; None means sRGB.
        is_common: whether all decoders display it the same way.
        is_lossy: whether its format is lossy.
    """

    data: bytes
    width: int
    height: int
    exif: bytes | None = None
    icc: bytes | None = None
    is_common: bool = True
    is_lossy: bool = False
