"""Normalize an image: remove all but the picture, and render it again if the model needs another size or format.

The file determines how long this takes. So outside of a side process, `intake` does only the first half, for small files.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from app.media.images.kinds import ACCEPTED, GIF, JPEG, PNG, WEBP, ImageKind, detect_kind
from app.media.images.sizing import ImageBounds
from app.media.images.stripped import CorruptImage, StrippedImage

_BY_PILLOW_NAME = {kind.pillow_name: kind for kind in (PNG, JPEG, WEBP, GIF)}


class UnusableImage(ValueError):
    """An image is refused. The message completes a sentence that begins with the image's name."""


@dataclass(frozen=True, slots=True)
class NormalizedImage:
    """An image ready to be sent, in base64, with the width and height it is displayed at."""

    media_type: str
    base64: str
    width: int
    height: int

    @property
    def data_url(self) -> str:
        """The image as a data URL."""
        return f"data:{self.media_type};base64,{self.base64}"


@dataclass(frozen=True, slots=True)
class ImageRules:
    """The limits of accepted images, and the size that the model uses.

    Attributes:
        max_bytes: of an accepted file.
        max_pixels: of an accepted picture, checked before anything is decoded.
        limit: the largest picture that the model uses; larger ones are scaled down.
    """

    max_bytes: int
    max_pixels: int
    limit: ImageBounds

    def check_length(self, length: int) -> None:
        """Raise UnusableImage if a file has too many bytes."""
        if length > self.max_bytes:
            raise UnusableImage(f"has {length:,} bytes; at most {self.max_bytes:,} are accepted.")


def strip(data: bytes, rules: ImageRules) -> tuple[ImageKind, StrippedImage]:
    """Return the format of a file and its still picture, without decoding anything.

    Raises:
        UnusableImage: its format is not accepted, or it is damaged or too large.
    """
    rules.check_length(len(data))
    kind = detect_kind(data)
    if kind is None:
        raise UnusableImage(f"must be a {ACCEPTED}.")
    try:
        stripped = kind.strip(data)
    except CorruptImage:
        raise UnusableImage("is damaged.") from None
    _check_pixels(kind, stripped, rules)
    return kind, stripped


def take_as_it_is(kind: ImageKind, stripped: StrippedImage, rules: ImageRules) -> NormalizedImage | None:
    """Return a picture that is sent unchanged; None if it must be rendered, or Pillow must read more of it."""
    size = (stripped.width, stripped.height)
    if stripped.exif or stripped.icc or not stripped.is_common or rules.limit.fit(*size) != size:
        return None
    return _encode(kind, stripped.data, size)


def render(kind: ImageKind, stripped: StrippedImage, rules: ImageRules) -> NormalizedImage:
    """Return a picture upright, in sRGB, and no larger than the model uses.

    Raises:
        UnusableImage: it cannot be decoded.
        MemoryError: decoding it takes too much memory.
    """
    from app.media.images import pixels  # slow to import, and many images do not need it

    if not kind.is_sent:
        opened = pixels.open_upright(stripped.data, kind.pillow_name)
        if opened is None:
            raise UnusableImage("is damaged.")
        stripped = opened
        _check_pixels(kind, stripped, rules)  # the size that the file states may be wrong
    orientation = pixels.read_orientation(stripped.exif)
    icc = None if pixels.is_srgb(stripped.icc) else stripped.icc
    stored = (stripped.width, stripped.height)
    size = rules.limit.fit(*(stored if orientation < 5 else stored[::-1]))
    if stripped.is_common and orientation == 1 and icc is None and size == stored:
        return _encode(kind, stripped.data, size)
    written = pixels.render(stripped, kind.pillow_name, orientation=orientation, size=size, icc=icc)
    if written is None:
        raise UnusableImage("is damaged.")
    name, data = written
    return _encode(_BY_PILLOW_NAME[name], data, size)


def _check_pixels(kind: ImageKind, stripped: StrippedImage, rules: ImageRules) -> None:
    if stripped.width * stripped.height > rules.max_pixels:
        raise UnusableImage(
            f"is a {kind.name} of {stripped.width:,} x {stripped.height:,} pixels; "
            f"at most {rules.max_pixels:,} pixels are accepted."
        )


def _encode(kind: ImageKind, data: bytes, size: tuple[int, int]) -> NormalizedImage:
    return NormalizedImage(kind.media_type, base64.b64encode(data).decode(), *size)
