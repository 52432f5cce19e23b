"""Normalize an uploaded image into the bytes that are sent to a model."""

from __future__ import annotations

import base64
import threading
import time
from dataclasses import dataclass

from app.images.kinds import GIF, JPEG, PNG, WEBP, ImageKind, detect_kind
from app.images.sizing import ImageBounds
from app.images.stripped import CorruptImage, StrippedImage
from app.problems import Problem
from app.runtime.blocking import run_blocking

# While it is processed, a pixel takes four bytes several times over. 50 million pixels take 460 MB for a JPEG, 650
# for a PNG, 830 for a WebP.
_ONE_AT_A_TIME = threading.Semaphore()
_BY_PILLOW_NAME = {kind.name.upper(): kind for kind in (PNG, JPEG, WEBP, GIF)}


class ImagesBusy(Problem):
    """Other images took so long that this one could not start within 20 seconds."""

    status = 503
    code = "concurrency_limit"
    sentence = "Too many images are being prepared now; try again shortly."
    retry_after_s = 2.0


class UnusableImage(ValueError):
    """An image is refused. The message completes a sentence that begins with the image's name."""


@dataclass(frozen=True, slots=True)
class NormalizedImage:
    """An image ready to be sent, with the width and height it is displayed at."""

    media_type: str
    data: bytes
    width: int
    height: int

    @property
    def data_url(self) -> str:
        """The image as a base64 data URL."""
        return f"data:{self.media_type};base64,{base64.b64encode(self.data).decode()}"


@dataclass(frozen=True, slots=True)
class ImageNormalizer:
    """Normalizes images to what the model uses.

    Attributes:
        max_bytes: the largest file that is accepted.
        max_pixels: the largest picture that is accepted, checked before anything is decoded.
        limit: the largest picture that the model uses; larger ones are scaled down.
        until: the latest time at which work on a picture may start, in time.monotonic() seconds.
    """

    max_bytes: int
    max_pixels: int
    limit: ImageBounds
    until: float

    def normalize(self, data: bytes) -> NormalizedImage:
        """Return the image without metadata, upright, with its first frame only, in sRGB.

        A file that needs no change is returned byte for byte. Metadata is cut out without decoding. An image is decoded
        and encoded again, in a separate thread, only to rotate, scale or convert it.

        Raises:
            UnusableImage: it is not a complete PNG, JPEG, WebP or GIF, or it is too large.
            ImagesBusy: it could not start before `until`.
        """
        if len(data) > self.max_bytes:
            raise UnusableImage(f"has {len(data):,} bytes; at most {self.max_bytes:,} are accepted.")
        kind = detect_kind(data)
        if kind is None:
            raise UnusableImage("must be a PNG, JPEG, WebP or GIF.")
        try:
            stripped = kind.strip(data)
        except CorruptImage:
            raise UnusableImage("is damaged.") from None
        if stripped.width * stripped.height > self.max_pixels:
            raise UnusableImage(
                f"is a {kind.name} of {stripped.width:,} x {stripped.height:,} pixels; "
                f"at most {self.max_pixels:,} pixels are accepted."
            )
        return self._render(kind, stripped)

    def _render(self, kind: ImageKind, stripped: StrippedImage) -> NormalizedImage:
        orientation, icc = 1, None
        if stripped.exif is not None or stripped.icc is not None:
            from app.images import pixels  # slow to import, and many images do not need it

            orientation = pixels.read_orientation(stripped.exif)
            icc = None if pixels.is_srgb(stripped.icc) else stripped.icc
        stored = (stripped.width, stripped.height)
        upright = stored if orientation < 5 else stored[::-1]
        size = self.limit.fit(*upright)
        if stripped.is_common and orientation == 1 and icc is None and size == stored:
            return NormalizedImage(kind.media_type, stripped.data, *size)
        from app.images import pixels  # as above

        if not _ONE_AT_A_TIME.acquire(timeout=max(0.0, self.until - time.monotonic())):
            raise ImagesBusy
        try:
            written = run_blocking(
                lambda: pixels.render(stripped, kind.name.upper(), orientation=orientation, size=size, icc=icc)
            )
        finally:
            _ONE_AT_A_TIME.release()
        if written is None:
            raise UnusableImage("is damaged.")
        name, data = written
        return NormalizedImage(_BY_PILLOW_NAME[name].media_type, data, *size)
