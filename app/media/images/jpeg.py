"""Read and strip JPEG files, segment by segment.

Source: https://www.w3.org/Graphics/JPEG/itu-t81.pdf, annex B
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.media.images.stripped import CorruptImage, StrippedImage

_START, _END = b"\xff\xd8", b"\xff\xd9"
# Bytes of 0xFF may be padding, of which the last counts. In a scan, 0xFF00 and the restart markers are data.
_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd7\xff])")
_EOI, _SOS, _APP0, _APP1, _APP2, _ADOBE = 0xD9, 0xDA, 0xE0, 0xE1, 0xE2, 0xEE
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_COPIED = _FRAMES | {0xC4, 0xCC, 0xDB, 0xDD, _SOS}
_JFIF, _EXIF, _ICC = b"JFIF\0", b"Exif\0\0", b"ICC_PROFILE\0"
_JFIF_BYTES = 14
_ADOBE_BYTES = 12
# Cameras write a few dozen, and 160 where extended XMP has 10 MB.
_MAX_SEGMENTS = 5_000
# A progressive file has about 10. Each costs a pass over all pixels, however little it holds.
_MAX_SCANS = 100


def size(data: bytes) -> tuple[int, int]:
    """Return width and height. The beginning of the file is enough.

    Raises:
        CorruptImage: the size is missing.
    """
    for marker, _, payload in _iter_segments(data):
        if marker in _FRAMES:
            return _read_frame_size(payload)
    raise CorruptImage


def strip(data: bytes) -> StrippedImage:
    """Return what a decoder needs: tables, frame, scans, and the color space.

    Raises:
        CorruptImage: it is not a JPEG with a picture.
    """
    copied, profile = [_START], []
    exif: bytes | None = None
    frame, scans = b"", 0
    for marker, segment, payload in _iter_segments(data):
        if marker in _COPIED:
            copied.append(segment)
            scans += marker == _SOS
            if marker in _FRAMES:
                if frame:
                    raise CorruptImage
                frame = payload
        elif marker == _APP0 and payload.startswith(_JFIF) and len(payload) >= _JFIF_BYTES:
            # Drop the thumbnail: it may show what the picture does not.
            copied.append(_make_segment(marker, payload[: _JFIF_BYTES - 2] + b"\0\0"))
        elif marker == _ADOBE and payload.startswith(b"Adobe"):
            copied.append(_make_segment(marker, payload[:_ADOBE_BYTES]))
        elif marker == _APP1 and payload.startswith(_EXIF):
            exif = exif or payload
        elif marker == _APP2 and payload.startswith(_ICC):
            profile.append(payload)
    if not scans or scans > _MAX_SCANS:
        raise CorruptImage
    width, height = _read_frame_size(frame)
    # Each part begins with its number and the number of parts.
    icc = b"".join(part[len(_ICC) + 2 :] for part in sorted(profile)) or None
    return StrippedImage(
        b"".join([*copied, _END]), width, height, exif, icc, is_common=frame[5] in (1, 3), is_lossy=True
    )


def _iter_segments(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield each segment's marker, its bytes (with the scan that follows its header), and its payload.

    The end of the file ends the last scan like the end marker, which some cameras and programs omit and viewers do not
    require.

    Raises:
        CorruptImage: the file ends before its first scan, or within a segment.
    """
    at, scanned = len(_START), False
    for _ in range(_MAX_SEGMENTS):
        found = _MARKER.search(data, at)
        if found is None:
            if scanned:
                return
            raise CorruptImage
        marker, start = found[1][0], found.end() - 2
        if marker == _EOI:
            return
        length = int.from_bytes(data[start + 2 : start + 4])
        at = start + 2 + length
        if length < 2:
            raise CorruptImage
        payload = data[start + 4 : at]
        if marker == _SOS:
            end = _MARKER.search(data, at)
            at = len(data) - data.endswith(b"\xff") if end is None else end.start()
            scanned = True
        yield marker, data[start:at], payload
    raise CorruptImage


def _read_frame_size(payload: bytes) -> tuple[int, int]:
    width, height = int.from_bytes(payload[3:5]), int.from_bytes(payload[1:3])
    if len(payload) < 6 or not width or not height:
        raise CorruptImage
    return width, height


def _make_segment(marker: int, payload: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(payload) + 2).to_bytes(2) + payload
