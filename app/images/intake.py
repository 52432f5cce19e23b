"""ImageIntake: what becomes of an image between a request and the model."""

from __future__ import annotations

import base64
import threading
import time
from dataclasses import dataclass

from app.images.kinds import GIF, JPEG, PNG, WEBP, Kind, kind_of
from app.images.sizing import Limit
from app.images.stripped import Damaged, Stripped
from app.in_thread import in_thread
from app.problems import Problem

# Pixels take four bytes each while they are worked on, several times over: at 50 million of them 460 MB for a JPEG, 650
# for a PNG, 830 for a WebP.
_ONE_AT_A_TIME = threading.Semaphore()
_BY_PILLOW_NAME = {kind.name.upper(): kind for kind in (PNG, JPEG, WEBP, GIF)}


class ImagesBusy(Problem):
    """The images of others take so long that this one's turn does not come within 20 seconds."""

    status = 503
    code = "concurrency_limit"
    sentence = "Too many images are being prepared now; try again shortly."
    retry_after_s = 2.0


class UnusableImage(ValueError):
    """An image that is not taken; the message continues a sentence that begins with which one it is."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An image ready to be sent: its width and height are those it is seen with."""

    media_type: str
    data: bytes
    width: int
    height: int

    @property
    def data_url(self) -> str:
        return f"data:{self.media_type};base64,{base64.b64encode(self.data).decode()}"


@dataclass(frozen=True, slots=True)
class ImageIntake:
    """Makes of each image what its model uses, and nothing more.

    Attributes:
        max_bytes: of a file, as it comes.
        max_pixels: of a picture, as it comes. What has more is refused before anything is decoded.
        limit: the largest picture that the model uses; a larger one is scaled down.
        until: when the last picture must have begun to be worked on, by time.monotonic().
    """

    max_bytes: int
    max_pixels: int
    limit: Limit
    until: float

    def take(self, data: bytes) -> Picture:
        """An image without metadata, upright, of the first frame only, and in sRGB.

        It stays as it is, to the byte, where it is so already. Where parts of the file only have to go, they are
        cut out; only what must be turned, scaled or converted is decoded and written anew, in a thread of its own.

        Raises:
            UnusableImage: it is no whole PNG, JPEG, WebP or GIF, or too large.
            ImagesBusy: it would have to wait for longer than it may.
        """
        if len(data) > self.max_bytes:
            raise UnusableImage(f"has {len(data):,} bytes; at most {self.max_bytes:,} are taken.")
        kind = kind_of(data)
        if kind is None:
            raise UnusableImage("must be a PNG, JPEG, WebP or GIF.")
        try:
            stripped = kind.strip(data)
        except Damaged:
            raise UnusableImage("is damaged.") from None
        if stripped.width * stripped.height > self.max_pixels:
            raise UnusableImage(
                f"is a {kind.name} of {stripped.width:,} x {stripped.height:,} pixels; "
                f"at most {self.max_pixels:,} pixels are taken."
            )
        return self._shown(kind, stripped)

    def _shown(self, kind: Kind, stripped: Stripped) -> Picture:
        orientation, icc = 1, None
        if stripped.exif is not None or stripped.icc is not None:
            from app.images import pixels  # here, since Pillow is slow to import and many images do without

            orientation = pixels.orientation_of(stripped.exif)
            icc = None if pixels.is_srgb(stripped.icc) else stripped.icc
        stored = (stripped.width, stripped.height)
        upright = stored if orientation < 5 else stored[::-1]
        size = self.limit.fit(*upright)
        if stripped.is_common and orientation == 1 and icc is None and size == stored:
            return Picture(kind.media_type, stripped.data, *size)
        from app.images import pixels  # as above

        if not _ONE_AT_A_TIME.acquire(timeout=max(0.0, self.until - time.monotonic())):
            raise ImagesBusy
        try:
            written = in_thread(
                lambda: pixels.rendered(stripped, kind.name.upper(), orientation=orientation, size=size, icc=icc)
            )
        finally:
            _ONE_AT_A_TIME.release()
        if written is None:
            raise UnusableImage("is damaged.")
        name, data = written
        return Picture(_BY_PILLOW_NAME[name].media_type, data, *size)
