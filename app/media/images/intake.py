"""Normalize an uploaded image: a large one in a side process, so that other requests do not wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.media.data_urls import InvalidBase64, decode_base64
from app.media.images import job
from app.media.images.normalizing import ImageRules, NormalizedImage, UnusableImage, strip, take_as_it_is
from app.problems import Problem
from app.runtime.side_process import Claim, JobKilled, PoolBusy, ProcessLimits, SideProcessPool

# Reading a file of this size part by part takes 5 ms at most, and ten may come in a request.
_SMALL_BYTES = 65_536
# The memory of Python and Pillow, and that of each pixel: 24 bytes in a WebP that is scaled, half as much in others.
_BASE_BYTES, _BYTES_PER_PIXEL = 320 * 1024 * 1024, 26
# The slowest picture of 25 million pixels that is not hostile takes 1.3 s.
_BASE_CPU_S, _PIXELS_PER_CPU_S = 3, 5_000_000


class ImagesBusy(Problem):
    """Other images took so long that this one could not start within 20 seconds, or be ready within the deadline."""

    status = 503
    code = "concurrency_limit"
    sentence = "Too many images are being prepared now; try again shortly."
    retry_after_s = 2.0


def make_image_processes(max_pixels: int) -> SideProcessPool:
    """Return the pool of processes that normalize images of up to this size. No process is started yet."""
    limits = ProcessLimits(
        memory_bytes=_BASE_BYTES + _BYTES_PER_PIXEL * max_pixels,
        cpu_s=_BASE_CPU_S + max_pixels // _PIXELS_PER_CPU_S,
    )
    return SideProcessPool(job.TARGET, limits)


@dataclass(frozen=True, slots=True)
class ImageNormalizer:
    """Normalizes the images of a request to the size and format that the model uses.

    Attributes:
        rules: the limits of accepted images, and the size that the model uses.
        processes: the side processes that read large files, and decode pictures.
        claim: the request that waits for them.
    """

    rules: ImageRules
    processes: SideProcessPool
    claim: Claim

    def normalize(self, data: bytes) -> NormalizedImage:
        """Return the image without metadata, upright, with its first frame only, in sRGB.

        A file that needs no change is returned byte for byte. Metadata is cut out without decoding. An image is decoded
        and encoded again only to rotate, scale or convert it.

        Raises:
            UnusableImage: its format is not accepted, or it is damaged or too large.
            ImagesBusy: it was not ready in time.
            Exception: any error that the claim's check raises.
        """
        self.rules.check_length(len(data))
        return self._try_here(data) or self._run_job(data, job.make_fields(self.rules, is_base64=False))

    def normalize_base64(self, text: bytes | memoryview, *, is_escaped: bool = False) -> NormalizedImage:
        """Return the image of a text in base64, which may be escaped as in JSON. Raises the same errors as normalize()."""
        if not is_escaped:
            self.rules.check_length(len(text) // 4 * 3 - bytes(text[-2:]).count(b"="))
            if len(text) <= _SMALL_BYTES and (image := self._try_here(_decode(text))):
                return image
        return self._run_job(text, job.make_fields(self.rules, is_base64=True, is_escaped=is_escaped))

    def _try_here(self, data: bytes) -> NormalizedImage | None:
        """Return the image if it is small and needs no change."""
        if len(data) > _SMALL_BYTES:
            return None
        kind, stripped = strip(data, self.rules)
        return take_as_it_is(kind, stripped, self.rules)

    def _run_job(self, data: bytes | memoryview, fields: dict[str, Any]) -> NormalizedImage:
        try:
            answer, encoded = self.processes.run(fields, data, self.claim)
        except PoolBusy:
            raise ImagesBusy from None
        except JobKilled:
            raise UnusableImage("takes too much work to prepare.") from None
        return job.read_answer(answer, encoded, data)


def _decode(text: bytes | memoryview) -> bytes:
    try:
        return decode_base64(text)
    except InvalidBase64 as error:
        raise UnusableImage(str(error)) from None
