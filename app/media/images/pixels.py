"""Decode a picture, turn it upright, scale it, convert it to sRGB, and encode it again."""

from __future__ import annotations

import io
import warnings
from typing import Any

from PIL import Image, ImageCms, WebPImagePlugin

from app.media.images.stripped import StrippedImage

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
# Pillow warns of data that it ignores in a file; only the sender could change that.
warnings.filterwarnings("ignore", module=r"PIL\.")
# The size is checked before anything is opened. Pillow's own limit could only contradict the site's.
Image.MAX_IMAGE_PIXELS = None
# Image.open() itself knows WebP only once it has loaded forty other formats.
_ = WebPImagePlugin
_PHOTOS = ("HEIF", "AVIF")
_MAX_EXIF_BYTES = 65_536
_SRGB = ImageCms.createProfile("sRGB")


def read_orientation(exif: bytes | None) -> int:
    """Return EXIF's orientation, 1 to 8. From 5 on, the picture lies on its side. Unreadable data means 1, upright."""
    if exif is None:
        return 1
    try:
        tags = Image.Exif()
        tags.load(exif[:_MAX_EXIF_BYTES])
        value = tags.get(_ORIENTATION)
    except Exception:  # Pillow raises a dozen kinds of errors; unreadable data counts as none
        return 1
    return value if value in _TURNS else 1


def is_srgb(icc: bytes | None) -> bool:
    """Return whether a color profile is sRGB. One that cannot be read counts as sRGB."""
    if icc is None:
        return True
    try:
        name: str = ImageCms.ImageCmsProfile(io.BytesIO(icc)).profile.profile_description or ""
    except Exception:  # as above
        return True
    return name.startswith("sRGB")


def open_upright(data: bytes, kind: str) -> StrippedImage | None:
    """Return the size, orientation and profile of a HEIC or AVIF as its decoder reads them; None if it cannot.

    Nothing is decoded yet. The decoder already rotates a HEIC; the orientation of an AVIF is returned as EXIF.

    Raises:
        MemoryError: it needs more memory than this process may have.
    """
    try:
        image = _open(data, kind)
        icc = image.info.get("icc_profile")
        exif = image.getexif()
        tags = Image.Exif()
        tags[_ORIENTATION] = exif.get(_ORIENTATION, 1)
        return StrippedImage(data, *image.size, tags.tobytes(), icc or None, is_common=False, is_lossy=True)
    except MemoryError:
        raise
    except Exception:  # as in render()
        return None


def render(
    picture: StrippedImage, kind: str, *, orientation: int, size: tuple[int, int], icc: bytes | None
) -> tuple[str, bytes] | None:
    """Return Pillow's name of the format, and the encoded picture as it is displayed; None if it cannot be decoded.

    JPEG and WebP do not change their format; HEIC and AVIF become JPEG unless they are transparent; others become PNG.

    Raises:
        MemoryError: it needs more memory than this process may have.

    Args:
        picture: the stripped file.
        kind: Pillow's name of the only format to try.
        orientation: EXIF's orientation of the stored picture.
        size: of the upright result; never larger than the stored picture.
        icc: the profile to convert from; None keeps the colors.
    """
    stored = size if orientation < 5 else size[::-1]
    try:
        image = _decode(picture, kind, min_size=stored)
        if image is None:
            return None
        if image.size != stored:
            image = image.resize(stored, Image.Resampling.LANCZOS, reducing_gap=3.0)
        image = _convert_to_srgb(image, icc)
        if orientation in _TURNS:
            image = image.transpose(_TURNS[orientation])
        return _encode(image, kind, is_lossy=picture.is_lossy)
    except MemoryError:
        raise
    except Exception:  # Pillow raises a dozen kinds of errors for a broken file
        return None


def _open(data: bytes, kind: str) -> Image.Image:
    # Both are slow to import. Threads would need additional memory.
    if kind == "HEIF":
        import pillow_heif

        pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)
    elif kind == "AVIF":
        from PIL import AvifImagePlugin

        AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    return Image.open(io.BytesIO(data), formats=(kind,))


def _decode(picture: StrippedImage, kind: str, *, min_size: tuple[int, int]) -> Image.Image | None:
    """Decode to pixels that can be scaled: true color instead of a palette, 8 bits per channel."""
    image = _open(picture.data, kind)
    if image.size != (picture.width, picture.height):
        return None
    # Decodes a JPEG at 1/2, 1/4 or 1/8 of its size, which is still twice as large as needed.
    image.draft(None, (2 * min_size[0], 2 * min_size[1]))
    image.load()
    if image.mode.startswith("I"):  # 16 bits of grey, which a plain conversion would clip to white
        return image.convert("F").point(lambda level: level * (1 / 256)).convert("L")
    if "transparency" in image.info or image.mode == "PA":
        return image.convert("RGBA")
    if image.mode == "1":
        return image.convert("L")
    return image if image.mode in ("L", "LA", "RGB", "RGBA", "CMYK") else image.convert("RGB")


def _convert_to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    mode = "RGBA" if image.mode == "RGBA" else "RGB"
    if icc is not None:
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            converted = ImageCms.profileToProfile(image, profile, _SRGB, outputMode=mode)
        except Exception:  # the profile does not match the picture; without it the colors are close enough
            converted = None
        if converted is not None:
            return converted
    return image.convert("RGB") if image.mode == "CMYK" else image


def _encode(image: Image.Image, kind: str, *, is_lossy: bool) -> tuple[str, bytes]:
    image.info.clear()  # otherwise Pillow would write its content, such as a profile
    options: dict[str, Any] = {}
    if kind in _PHOTOS and "A" not in image.mode:
        kind = "JPEG"
    if kind == "JPEG":
        options = {"quality": 90}
    elif kind == "WEBP":
        options = {"quality": 90, "method": 2} if is_lossy else {"lossless": True, "quality": 0, "method": 0}
    else:
        kind = "PNG"
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return kind, buffer.getvalue()
