"""Pixels: a picture turned upright, scaled, in sRGB, and written anew."""

from __future__ import annotations

import io
import warnings
from typing import Any

from PIL import Image, ImageCms, WebPImagePlugin

from app.images.stripped import Stripped

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Pillow warns of what it passes over in a file; its sender is the only one who could do something about it.
warnings.filterwarnings("ignore", module=r"PIL\.")
# The size is known before anything is opened; Pillow's own limit would only say otherwise than the site's.
Image.MAX_IMAGE_PIXELS = None
# Image.open() itself knows WebP only once it has loaded forty other formats.
_ = WebPImagePlugin
_LARGEST_EXIF_BYTES = 65_536
_SRGB = ImageCms.createProfile("sRGB")


def orientation_of(exif: bytes | None) -> int:
    """1 to 8 as EXIF has it: from 5 on, the picture lies on its side. 1, upright, where nothing can be read."""
    if exif is None:
        return 1
    try:
        tags = Image.Exif()
        tags.load(exif[:_LARGEST_EXIF_BYTES])
        value = tags.get(_ORIENTATION)
    except Exception:  # Pillow raises a dozen kinds; what cannot be read says nothing
        return 1
    return value if value in _TURNS else 1


def is_srgb(icc: bytes | None) -> bool:
    """Whether a profile says what is taken for granted without one; so does one that cannot be read."""
    if icc is None:
        return True
    try:
        name: str = ImageCms.ImageCmsProfile(io.BytesIO(icc)).profile.profile_description or ""
    except Exception:  # as above
        return True
    return name.startswith("sRGB")


def rendered(
    picture: Stripped, kind: str, *, orientation: int, size: tuple[int, int], icc: bytes | None
) -> tuple[str, bytes] | None:
    """A picture as it is to be seen, and Pillow's name of its format; None if it cannot be decoded.

    JPEG stays JPEG and WebP WebP; the others become PNG.

    Args:
        kind: Pillow's name of the only format to try.
        orientation: how it is stored.
        size: of the result, upright; no larger than it is stored.
        icc: the profile to convert from; None leaves the colours alone.
    """
    stored = size if orientation < 5 else size[::-1]
    try:
        image = _decoded(picture, kind, least=stored)
        if image is None:
            return None
        if image.size != stored:
            image = image.resize(stored, Image.Resampling.LANCZOS, reducing_gap=3.0)
        image = _in_srgb(image, icc)
        if orientation in _TURNS:
            image = image.transpose(_TURNS[orientation])
        return _written(image, kind, is_lossy=picture.is_lossy)
    except Exception:  # Pillow raises a dozen kinds for a broken file, MemoryError among them
        return None


def _decoded(picture: Stripped, kind: str, *, least: tuple[int, int]) -> Image.Image | None:
    """Pixels that can be scaled: colours instead of numbers of colours, and 8 bits of each."""
    image: Image.Image = Image.open(io.BytesIO(picture.data), formats=(kind,))
    if image.size != (picture.width, picture.height):
        return None
    # Lets a JPEG be decoded at a half, a quarter or an eighth of its size, still twice as large as needed.
    image.draft(None, (2 * least[0], 2 * least[1]))
    image.load()
    if image.mode.startswith("I"):  # 16 bits of grey, which a plain conversion would clip to white
        return image.convert("F").point(lambda level: level * (1 / 256)).convert("L")
    if "transparency" in image.info or image.mode == "PA":
        return image.convert("RGBA")
    if image.mode == "1":
        return image.convert("L")
    return image if image.mode in ("L", "LA", "RGB", "RGBA", "CMYK") else image.convert("RGB")


def _in_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    mode = "RGBA" if image.mode == "RGBA" else "RGB"
    if icc is not None:
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            converted = ImageCms.profileToProfile(image, profile, _SRGB, outputMode=mode)
        except Exception:  # a profile that does not fit its picture; without it the colours are near enough
            converted = None
        if converted is not None:
            return converted
    return image.convert("RGB") if image.mode == "CMYK" else image


def _written(image: Image.Image, kind: str, *, is_lossy: bool) -> tuple[str, bytes]:
    image.info.clear()  # Pillow would write what it finds there, such as a profile
    options: dict[str, Any] = {}
    if kind == "JPEG":
        options = {"quality": 90}
    elif kind == "WEBP":
        options = {"quality": 90, "method": 2} if is_lossy else {"lossless": True, "quality": 0, "method": 0}
    else:
        kind = "PNG"
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return kind, buffer.getvalue()
