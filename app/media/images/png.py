"""Read and strip PNG files, chunk by chunk.

Source: https://www.w3.org/TR/png-3/
"""

from __future__ import annotations

import zlib

from app.media.images.stripped import CorruptImage, StrippedImage

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END = b"\0\0\0\0IEND\xaeB`\x82"
_CHUNK_BYTES = len(_END)  # of an empty chunk
# Pixels, and the meaning of their colors. An animation's first frame, or its fallback, is in IDAT as well.
_COPIED = {
    *(b"IHDR", b"PLTE", b"tRNS", b"IDAT"),
    *(b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"bKGD", b"cICP"),
}
# The required length of chunks that only describe colors. Viewers ignore a damaged one.
_LENGTHS = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"cICP": 4}
# Encoders that write 4 KB at a time need 2,560 for 10 MB.
_MAX_CHUNKS = 20_000
_MAX_PROFILE_BYTES = 1 << 20


def size(data: bytes) -> tuple[int, int]:
    """Return width and height. The beginning of the file is enough.

    Raises:
        CorruptImage: the size is missing.
    """
    width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    if data[12:16] != b"IHDR" or len(data) < 24 or not width or not height:
        raise CorruptImage
    return width, height


def strip(data: bytes) -> StrippedImage:
    """Return the file with the chunks of one still picture.

    Raises:
        CorruptImage: it is not a complete PNG, or the checksum of a chunk that every viewer needs is wrong.
    """
    width, height = size(data)
    copied, exif, icc = [_SIGNATURE], None, None
    seen: set[bytes] = set()
    at = len(_SIGNATURE)
    for _ in range(_MAX_CHUNKS):
        if b"IDAT" in seen and len(data) - at < _CHUNK_BYTES:  # viewers do not require the end chunk
            copied.append(_END)
            break
        name, end = data[at + 4 : at + 8], at + 12 + int.from_bytes(data[at : at + 4])
        if len(name) < 4 or end > len(data) or (name == b"IHDR") != (not seen):
            raise CorruptImage
        if name == b"IEND":
            copied.append(_END)
            break
        if name in _COPIED:
            is_sound = zlib.crc32(memoryview(data)[at + 4 : end - 4]) == int.from_bytes(data[end - 4 : end])
            if not is_sound and name[:1].isupper():
                raise CorruptImage
            if is_sound and end - at - _CHUNK_BYTES == _LENGTHS.get(name, end - at - _CHUNK_BYTES):
                copied.append(data[at:end])
        elif name == b"eXIf":
            exif = data[at + 8 : end - 4]
        elif name == b"iCCP" and name not in seen:  # only one is allowed, and each would be decompressed
            icc = _read_profile(data[at + 8 : end - 4])
        elif name[:1].isupper():
            raise CorruptImage
        seen.add(name)
        at = end
    else:
        raise CorruptImage
    if b"IDAT" not in seen:
        raise CorruptImage
    return StrippedImage(b"".join(copied), width, height, exif, icc)


def _read_profile(payload: bytes) -> bytes | None:
    """Return the profile in an iCCP chunk: a name, the method 0, and zlib data."""
    _, _, rest = payload.partition(b"\0")
    inflate = zlib.decompressobj()
    try:
        profile = inflate.decompress(rest[1:], _MAX_PROFILE_BYTES)
    except zlib.error:
        return None
    return profile if inflate.eof else None
