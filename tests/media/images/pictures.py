"""Photographs, what cameras and editors write into them, and files that unpack to a thousand times their size."""

from __future__ import annotations

import io
import struct
import zlib

from PIL import Image, ImageChops, ImageCms, ImageStat

CANARY = "CANARY-59.9116-10.7545"
XMP = f"<x:xmpmeta xmlns:x='adobe:ns:meta/'>{CANARY}</x:xmpmeta>".encode()
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
# Says that red is green, and green red.
SWAPPED = (
    SRGB.replace(b"rXYZ", b"----")
    .replace(b"gXYZ", b"rXYZ")
    .replace(b"----", b"gXYZ")
    .replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))
)


def photo(width=64, height=48, mode="RGB"):
    """Smooth and different in each corner, so that a turned one is not taken for an upright one."""
    ramp = Image.linear_gradient("L")
    bands = (ramp, ramp.transpose(Image.Transpose.ROTATE_90), Image.radial_gradient("L"))
    return Image.merge("RGB", [band.resize((width, height)) for band in bands]).convert(mode)


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(data):
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def exif(orientation=1):
    """What a phone writes: who made it, which way up it was held, and where."""
    tags = Image.Exif()
    tags[0x010F] = CANARY
    tags[0x0112] = orientation
    place = tags.get_ifd(0x8825)
    place[1], place[2] = "N", (59.0, 54.0, 42.0)
    place[3], place[4] = "E", (10.0, 45.0, 16.0)
    place[29] = CANARY
    return tags


def apart(one, other):
    """The mean difference of two images' levels, of 255."""
    assert one.size == other.size
    means = ImageStat.Stat(ImageChops.difference(one.convert("RGB"), other.convert("RGB"))).mean
    return sum(means) / len(means)


def chunk(name, payload=b""):
    body = name + payload
    return struct.pack(">I", len(payload)) + body + struct.pack(">I", zlib.crc32(body))


def png(width, height, *more, bits=1, pixels=None):
    """A PNG of one grey, with further chunks before its pixels."""
    deflate = zlib.compressobj(9)
    if pixels is None:
        row = b"\0" * (1 + (width * bits + 7) // 8)
        pixels = b"".join(deflate.compress(row) for _ in range(height)) + deflate.flush()
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + b"".join(more) + chunk(b"IDAT", pixels) + chunk(b"IEND")
    return b"\x89PNG\r\n\x1a\n" + body


def webp(width, height):
    """A lossless WebP of one colour: with a single symbol in each of its five codes, no pixel takes a bit."""
    bits, count = 0, 0
    for value, size in [(0x2F, 8), (width - 1, 14), (height - 1, 14), (0, 1), (0, 3), (0, 3), *[(1, 4)] * 5]:
        bits |= value << count
        count += size
    payload = bits.to_bytes((count + 7) // 8, "little")
    payload += b"\0" * (len(payload) % 2)
    body = b"WEBPVP8L" + len(payload).to_bytes(4, "little") + payload
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def gif(width, height, *, screen=None):
    """A GIF of one colour: each code of a row of them stands for one pixel more than the code before."""
    bits, count, left, longest, size = 0, 0, width * height, 0, 9
    codes = [256]
    while left > 0:
        longest = min(longest + 1, 3_838)
        codes.append(1 if longest == 1 else 256 + longest)
        left -= longest
    for at, code in enumerate([*codes, 257]):
        bits |= code << count
        count += size
        size = min(12, max(9, (at + 257).bit_length()))
    data = bits.to_bytes((count + 7) // 8, "little")
    blocks = b"".join(bytes([len(data[i : i + 255])]) + data[i : i + 255] for i in range(0, len(data), 255))
    start = b"GIF89a" + struct.pack("<HHBBB", *(screen or (width, height)), 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return start + b"," + struct.pack("<HHHHBB", 0, 0, width, height, 0, 8) + blocks + b"\0;"
