"""Looking at an image: opened with Pillow, described by format, size, orientation and main colours."""

from __future__ import annotations

import base64
import binascii
import io
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.offline_model.colours import name_of
from app.offline_model.requests.errors import InvalidRequestError
from app.offline_model.requests.fields import JsonObject, invalid_value, string

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")

# A few kilobytes can unpack to gigabytes; no photo of a phone or camera in use comes near 50 million pixels.
MAX_PIXELS = 50_000_000

_DATA_URL = re.compile(r"data:image/[\w.+-]+(?:;[\w=.-]+)*;base64,", re.IGNORECASE)


@dataclass(frozen=True)
class SeenImage:
    """What the offline model says of an image, and what it costs."""

    description: str
    tokens: int


def look_at(image_url: JsonObject) -> SeenImage:
    """Describe the image of an `image_url` part, `{"url", "detail"?}`.

    Raises:
        InvalidRequestError: the URL is of no kind OpenAI takes, or what is behind it is no whole image.
    """
    url = string(image_url, "url", "messages")
    detail = image_url.get("detail") or "auto"
    if detail not in ("low", "high", "auto"):
        raise invalid_value("messages", "an image detail of 'low', 'high' or 'auto'")
    if re.match(r"https?://", url, re.IGNORECASE):
        description = "an image by URL, which the offline model cannot see: it makes no network calls"
        return SeenImage(description, tokens_for(1, 1, "low"))
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
    return _describe(data, detail)


def tokens_for(width: int, height: int, detail: str) -> int:
    """Count an image as OpenAI does: 85 tokens, and in high detail 170 more for each tile of 512 pixels.

    Source: https://platform.openai.com/docs/guides/images-vision#calculating-costs
    """
    if detail == "low":
        return 85
    scale = min(1.0, 2048 / max(width, height))
    scale = min(scale, 768 / min(width, height))
    return 85 + 170 * math.ceil(width * scale / 512) * math.ceil(height * scale / 512)


def _describe(data: bytes, detail: str) -> SeenImage:
    from PIL import Image  # here, since it is slow to import and most requests hold no image

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
        colours = ", ".join(f"{name} {percent}%" for name, percent in main_colours(image))
    except InvalidRequestError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise too_large from error
    except Exception as error:  # Pillow's decoders raise a dozen kinds for a broken file
        raise _unreadable("cannot be opened as PNG, JPEG, WebP or GIF") from error
    shape = "square" if width == height else "landscape" if width > height else "portrait"
    description = f"a {image_format} image, {width}×{height} pixels, {shape}; main colours: {colours}"
    return SeenImage(description, tokens_for(width, height, detail))


def main_colours(image: Image.Image) -> list[tuple[str, int]]:
    """Name the colours that fill the most of an image: up to five of `(name, percent of the area)`."""
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
            name = name_of(palette[3 * index], palette[3 * index + 1], palette[3 * index + 2])
            areas[name] = areas.get(name, 0) + area
    # What fills less is often only the mixture along an edge between two colours.
    shares = [(name, round(100 * area / total)) for name, area in areas.items()]
    return sorted((share for share in shares if share[1] >= 3), key=lambda share: -share[1])[:5]


def _unreadable(why: str) -> InvalidRequestError:
    return InvalidRequestError(f"The image {why}.", param="messages", code="invalid_image_format")
