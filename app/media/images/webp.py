"""Read and strip WebP files, chunk by chunk.

Source: https://developers.google.com/speed/webp/docs/riff_container
"""

from __future__ import annotations

from collections.abc import Iterator

from app.media.images.stripped import CorruptImage, StrippedImage

_LOSSY, _LOSSLESS = b"VP8 ", b"VP8L"
_FRAME_HEADER_BYTES = 16
_HAS_ALPHA = 0x10
_MAX_CHUNKS = 1_000


def size(data: bytes) -> tuple[int, int]:
    """Return width and height of a stripped file. Its beginning is enough.

    Raises:
        CorruptImage: the size is missing.
    """
    if data[12:16] == b"VP8X":
        if len(data) < 30:
            raise CorruptImage
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    return _read_picture_size(data[12:16], data[20:30])


def strip(data: bytes) -> StrippedImage:
    """Return the file with its picture, or an animation's first frame, and its transparency.

    Raises:
        CorruptImage: it is not a complete WebP.
    """
    # Some writers count a last padding byte that they do not write. Whether the chunks are complete is checked below.
    end = 8 + int.from_bytes(data[4:8], "little")
    chunks: dict[bytes, bytes] = {}
    for name, payload in _iter_chunks(data[12:end]):
        chunks.setdefault(name, payload)
        if name == b"ANMF":
            chunks |= dict(_iter_chunks(payload[_FRAME_HEADER_BYTES:]))
            break
    name = _LOSSLESS if _LOSSLESS in chunks else _LOSSY
    if name not in chunks:
        raise CorruptImage
    width, height = _read_picture_size(name, chunks[name])
    body = _make_chunk(name, chunks[name])
    if name == _LOSSY and b"ALPH" in chunks:
        sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        body = (
            _make_chunk(b"VP8X", bytes((_HAS_ALPHA, 0, 0, 0)) + sizes)
            + _make_chunk(b"ALPH", chunks[b"ALPH"])
            + body
        )
    still = b"RIFF" + (4 + len(body)).to_bytes(4, "little") + b"WEBP" + body
    return StrippedImage(still, width, height, chunks.get(b"EXIF"), chunks.get(b"ICCP"), is_lossy=name == _LOSSY)


def _iter_chunks(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and payload of each chunk. A chunk of odd length is followed by a padding byte."""
    at = 0
    for _ in range(_MAX_CHUNKS):
        if at + 8 > len(body):
            return
        end = at + 8 + int.from_bytes(body[at + 4 : at + 8], "little")
        if end > len(body):
            raise CorruptImage
        yield body[at : at + 4], body[at + 8 : end]
        at = end + end % 2
    raise CorruptImage


def _make_chunk(name: bytes, payload: bytes) -> bytes:
    return name + len(payload).to_bytes(4, "little") + payload + b"\0" * (len(payload) % 2)


def _read_picture_size(name: bytes, payload: bytes) -> tuple[int, int]:
    """Return the size at the beginning of a picture's data.

    Source: https://datatracker.ietf.org/doc/html/rfc6386#section-9.1 and
    https://developers.google.com/speed/webp/docs/webp_lossless_bitstream_specification#3_riff_header
    """
    if name == _LOSSLESS and len(payload) >= 5 and payload[0] == 0x2F:
        bits = int.from_bytes(payload[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if name == _LOSSY and len(payload) >= 10 and not payload[0] & 1 and payload[3:6] == b"\x9d\x01\x2a":
        width, height = (int.from_bytes(payload[i : i + 2], "little") & 0x3FFF for i in (6, 8))
        if width and height:
            return width, height
    raise CorruptImage
