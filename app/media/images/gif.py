"""Read and strip GIF files, block by block.

Source: https://www.w3.org/Graphics/GIF/spec-gif89a.txt
"""

from __future__ import annotations

from app.media.images.stripped import CorruptImage, StrippedImage

_EXTENSION, _GRAPHIC_CONTROL, _IMAGE, _TRAILER = 0x21, 0xF9, 0x2C, b";"
_SCREEN_END = 13
_GRAPHIC_CONTROL_BYTES = 8
_DESCRIPTOR_BYTES = 10
# Encoders fill their blocks of 255 bytes. Many small blocks would only waste the parser's time.
_MIN_MEAN_BLOCK_BYTES = 32
_MAX_SMALL_BLOCKS = 1_000


def size(data: bytes) -> tuple[int, int]:
    """Return width and height, including a first frame that is larger than the screen.

    Args:
        data: a stripped file, or its beginning.

    Raises:
        CorruptImage: the size is missing.
    """
    at = _SCREEN_END + _color_table_bytes(data, _SCREEN_END - 3)
    if data[at : at + 2] == bytes((_EXTENSION, _GRAPHIC_CONTROL)):
        at += _GRAPHIC_CONTROL_BYTES
    frame = data[at : at + _DESCRIPTOR_BYTES]
    if len(frame) < _DESCRIPTOR_BYTES or frame[0] != _IMAGE:
        raise CorruptImage
    left, top, width, height = (int.from_bytes(frame[i : i + 2], "little") for i in (1, 3, 5, 7))
    if not width or not height:
        raise CorruptImage
    screen_width, screen_height = (int.from_bytes(data[i : i + 2], "little") for i in (6, 8))
    return max(screen_width, left + width), max(screen_height, top + height)


def strip(data: bytes) -> StrippedImage:
    """Return the file with its first frame only.

    Raises:
        CorruptImage: the file ends before the frame does.
    """
    budget = [_MAX_SMALL_BLOCKS + len(data) // _MIN_MEAN_BLOCK_BYTES]
    start = at = _SCREEN_END + _color_table_bytes(data, _SCREEN_END - 3)
    control = b""
    while data[at : at + 1] == bytes((_EXTENSION,)):
        end = _find_blocks_end(data, at + 2, budget)
        if data[at + 1] == _GRAPHIC_CONTROL and end - at == _GRAPHIC_CONTROL_BYTES:
            control = data[at:end]
        at = end
    pixels = at + _DESCRIPTOR_BYTES + _color_table_bytes(data, at + _DESCRIPTOR_BYTES - 1) + 1
    end = _find_blocks_end(data, pixels, budget)
    still = data[:start] + control + data[at:end] + _TRAILER
    return StrippedImage(still, *size(still))


def _color_table_bytes(data: bytes, flags_at: int) -> int:
    """Return the length in bytes of the color table that these flags announce."""
    if flags_at >= len(data):
        raise CorruptImage
    flags = data[flags_at]
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _find_blocks_end(data: bytes, at: int, budget: list[int]) -> int:
    """Return the offset after a row of blocks. Each begins with its length; an empty one ends the row."""
    length = len(data)
    while at < length and budget[0] > 0:
        budget[0] -= 1
        if not data[at]:
            return at + 1
        at += 1 + data[at]
    raise CorruptImage
