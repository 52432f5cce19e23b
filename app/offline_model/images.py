"""Describe an image by format, size, orientation and main colours; a PDF by its name and size only."""

from __future__ import annotations

import atexit
import base64
import binascii
import io
import math
import re
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from app.offline_model.colours import name_colour
from app.offline_model.requests.errors import InvalidRequestError
from app.offline_model.requests.fields import JsonObject, invalid_value, string
from app.runtime.side_process import Claim, JobKilled, PoolBusy, ProcessLimits, SideProcessPool

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")

# A few kilobytes can unpack to gigabytes. Photos of phones and cameras have fewer than 50 million pixels.
MAX_PIXELS = 50_000_000

_MAX_S = 20.0
_PROCESSES = SideProcessPool(f"{__name__}:run", ProcessLimits(memory_bytes=2 * 1024**3, cpu_s=10), size=1)
atexit.register(_PROCESSES.close)

_DATA_URL = re.compile(r"data:image/[\w.+-]+(?:;[\w=.-]+)*;base64,", re.IGNORECASE)

_PDF_URL = "data:application/pdf;base64,"
# Of one page that is mostly text.
_PDF_TOKENS = 1_500


@dataclass(frozen=True)
class DescribedImage:
    """The description of an image, and its tokens."""

    description: str
    tokens: int


def describe_image(image_url: JsonObject) -> DescribedImage:
    """Describe the image of an `image_url` part, `{"url", "detail"?}`.

    Raises:
        InvalidRequestError: OpenAI would not accept the URL, or the image is incomplete.
    """
    url = string(image_url, "url", "messages")
    detail = image_url.get("detail") or "auto"
    if detail not in ("low", "high", "auto", "original"):
        raise invalid_value("messages", "an image detail of 'low', 'high', 'auto' or 'original'")
    if re.match(r"https?://", url, re.IGNORECASE):
        description = "an image by URL, which the offline model cannot see: it makes no network calls"
        return DescribedImage(description, count_tokens(1, 1, "low"))
    if not (header := _DATA_URL.match(url)):
        raise InvalidRequestError(
            "Expected an http(s) URL or a base64 data URL of an image.",
            param="messages",
            code="invalid_image_url",
        )
    try:
        data = base64.b64decode(url[header.end() :], validate=True)
    except binascii.Error as error:
        raise _unreadable("is not valid base64") from error
    return _describe_elsewhere(data, detail)


def run(fields: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    """Describe an image. This runs in a side process: decoding it here would delay the server's other requests."""
    try:
        described = _describe(data, fields["detail"])
    except InvalidRequestError as error:
        return {"error": str(error)}, b""
    return asdict(described), b""


def _describe_elsewhere(data: bytes, detail: str) -> DescribedImage:
    claim = Claim("offline", time.monotonic() + _MAX_S, lambda: None)
    try:
        answer, _ = _PROCESSES.run({"detail": detail}, data, claim)
    except (JobKilled, PoolBusy) as error:
        raise _unreadable("takes too much work to decode") from error
    if "error" in answer:
        raise InvalidRequestError(answer["error"], param="messages", code="invalid_image_format")
    return DescribedImage(**answer)


def count_tokens(width: int, height: int, detail: str) -> int:
    """Return the tokens of an image as OpenAI counts them: 85, and 170 per tile of 512 pixels unless detail is low.

    Source: https://platform.openai.com/docs/guides/images-vision#calculating-costs
    """
    if detail == "low":
        return 85
    scale = min(1.0, 2048 / max(width, height))
    scale = min(scale, 768 / min(width, height))
    return 85 + 170 * math.ceil(width * scale / 512) * math.ceil(height * scale / 512)


def _describe(data: bytes, detail: str) -> DescribedImage:
    from PIL import Image  # slow to import, and most requests have no image

    too_large = _unreadable(f"has more than {MAX_PIXELS} pixels")
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise too_large
        width, height, image_format = image.width, image.height, image.format
        if not width or not height:
            raise _unreadable("has no pixels")
        if image.getexif().get(0x0112, 1) >= 5:  # EXIF orientation: the photo is stored lying on its side
            width, height = height, width
        image.draft("RGB", (256, 256))  # lets a JPEG be decoded at an eighth of its size
        image.thumbnail((64, 64), Image.Resampling.BOX)
        colours = ", ".join(f"{name} {percent}%" for name, percent in find_main_colours(image))
    except InvalidRequestError:
        raise
    except MemoryError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise too_large from error
    except Exception as error:  # Pillow's decoders raise a dozen kinds for a broken file
        raise _unreadable("cannot be opened as PNG, JPEG, WebP or GIF") from error
    shape = "square" if width == height else "landscape" if width > height else "portrait"
    description = f"a {image_format} image, {width}×{height} pixels, {shape}; main colours: {colours}"
    return DescribedImage(description, count_tokens(width, height, detail))


def find_main_colours(image: Image.Image) -> list[tuple[str, int]]:
    """Return up to five colours with the largest areas, as `(name, percent of the area)`."""
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits of grey, which a plain conversion would clip to white
        image = image.convert("F").point(lambda level: level * (1 / 256)).convert("L")
    pixels = image.convert("RGBA").tobytes()
    opaque = b"".join(pixels[at : at + 3] for at in range(0, len(pixels), 4) if pixels[at + 3] >= 128)
    total = len(pixels) // 4
    areas = {"transparent": total - len(opaque) // 3}
    if opaque:
        strip = Image.frombytes("RGB", (len(opaque) // 3, 1), opaque).quantize(16)
        palette = strip.getpalette() or []
        for index, area in enumerate(strip.histogram()[: len(palette) // 3]):
            name = name_colour(palette[3 * index], palette[3 * index + 1], palette[3 * index + 2])
            areas[name] = areas.get(name, 0) + area
    # Smaller areas are often only mixtures along the edges between two colours.
    shares = [(name, round(100 * area / total)) for name, area in areas.items()]
    return sorted((share for share in shares if share[1] >= 3), key=lambda share: -share[1])[:5]


def _unreadable(why: str) -> InvalidRequestError:
    return InvalidRequestError(f"The image {why}.", param="messages", code="invalid_image_format")


def describe_file(file: JsonObject) -> DescribedImage:
    """Describe the file of a `file` part, `{"filename", "file_data"}`.

    Raises:
        InvalidRequestError: OpenAI would not accept the file.
    """
    name, url = string(file, "filename", "messages"), string(file, "file_data", "messages")
    try:
        data = base64.b64decode(url.removeprefix(_PDF_URL), validate=True)
    except binascii.Error:
        data = b""
    if not url.startswith(_PDF_URL) or not data.startswith(b"%PDF-"):
        raise InvalidRequestError(
            "Expected a base64 data URL of a PDF.", param="messages", code="invalid_file_format"
        )
    return DescribedImage(
        f"the PDF {name}, {len(data):,} bytes, whose pages the offline model does not read", _PDF_TOKENS
    )
