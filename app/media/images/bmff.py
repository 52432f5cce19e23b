"""Find the size of HEIC and AVIF files, box by box. Only their decoders read what else is in them.

Source: ISO/IEC 14496-12 and 23008-12; https://aomediacodec.github.io/av1-avif/
"""

from __future__ import annotations

from collections.abc import Iterator

from app.media.images.stripped import CorruptImage, StrippedImage

_AVIF = frozenset((b"avif", b"avis"))
_HEIC = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"))
_MAX_BOXES = 1_000


def find_brand(data: bytes) -> str:
    """Return "AVIF" or "HEIC" by a file's first box; an empty string if it is neither."""
    if data[4:8] != b"ftyp":
        return ""
    end = min(int.from_bytes(data[:4], "big"), len(data), 256)
    brands = {data[8:12], *(data[at : at + 4] for at in range(16, end, 4))}
    if brands & _AVIF:
        return "AVIF"
    return "HEIC" if brands & _HEIC else ""


def size(data: bytes) -> tuple[int, int]:
    """Return the largest width and height that the file states: those of the picture, as a thumbnail is smaller.

    Raises:
        CorruptImage: it states no size.
    """
    properties = _find(data, (b"meta", b"iprp", b"ipco"))
    sizes = [
        (int.from_bytes(data[at + 4 : at + 8], "big"), int.from_bytes(data[at + 8 : at + 12], "big"))
        for name, at, _ in _iter_boxes(data, *properties)
        if name == b"ispe"
    ]
    width, height = max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))
    if not width or not height:
        raise CorruptImage
    return width, height


def strip(data: bytes) -> StrippedImage:
    """Return the file unchanged. It is always rendered later, which removes its metadata.

    Raises:
        CorruptImage: the file ends before its size is stated.
    """
    return StrippedImage(data, *size(data), is_common=False, is_lossy=True)


def _find(data: bytes, path: tuple[bytes, ...]) -> tuple[int, int]:
    """Return the begin and end of the content of a nested box."""
    begin, end = 0, len(data)
    for wanted in path:
        begin, end = next(((at, to) for name, at, to in _iter_boxes(data, begin, end) if name == wanted), (0, 0))
        if not end:
            raise CorruptImage
        if wanted == b"meta":
            begin += 4  # its version and flags
    return begin, end


def _iter_boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name of each box with the begin and end of its content."""
    for _ in range(_MAX_BOXES):
        if at + 8 > end:
            return
        length, head = int.from_bytes(data[at : at + 4], "big"), 8
        if length == 1:
            length, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        to = end if length == 0 else at + length
        if to > end or to < at + head:
            return
        yield data[at + 4 : at + 8], at + head, to
        at = to
