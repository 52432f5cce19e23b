"""HEIC, as iPhones write it, and AVIF: what comes of them, and of files that only look like them."""

from __future__ import annotations

import base64
import struct
import time

import pillow_heif
import pytest
from PIL import Image

from app.media.images import ImageNormalizer, ImageRules, UnusableImage, find_bounds, make_image_processes
from app.media.images.normalizing import render, strip, take_as_it_is
from app.runtime.side_process import Claim
from tests.fakes.tables import crossed
from tests.media.images.pictures import CANARY, XMP, apart, decoded, encoded, exif, photo

pillow_heif.register_heif_opener()
RULES = ImageRules(10_000_000, 25_000_000, find_bounds("gpt-6.1-terra", "auto"))


def normalized(data, rules=RULES):
    kind, stripped = strip(data, rules)
    assert take_as_it_is(kind, stripped, rules) is None
    return render(kind, stripped, rules)


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_a_photo_becomes_a_jpeg_without_its_metadata(kind):
    data = encoded(photo(160, 120), kind, exif=exif(1), xmp=XMP)
    assert CANARY.encode() in data

    image = normalized(data)

    written = base64.b64decode(image.base64)
    assert (image.media_type, image.width, image.height) == ("image/jpeg", 160, 120)
    assert CANARY.encode() not in written
    assert apart(decoded(written), photo(160, 120)) < 6


def test_an_avif_that_lies_on_its_side_is_turned_upright():
    image = normalized(encoded(photo(160, 120), "AVIF", exif=exif(6)))

    assert (image.width, image.height) == (120, 160)
    assert (
        apart(decoded(base64.b64decode(image.base64)), photo(160, 120).transpose(Image.Transpose.ROTATE_270)) < 6
    )


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_what_is_transparent_becomes_a_png(kind):
    image = photo(64, 48).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))

    assert normalized(encoded(image, kind)).media_type == "image/png"


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_it_is_scaled_to_what_the_model_uses(kind):
    rules = ImageRules(10_000_000, 25_000_000, find_bounds("gpt-6.1-terra", "low"))

    assert normalized(encoded(photo(1_024, 64), kind), rules).width == 512


@pytest.mark.parametrize(("at", "kind"), crossed([200, 12, 40, 400, -1], ["HEIF", "AVIF"]))
def test_a_file_that_breaks_off_is_damaged(kind, at):
    data = encoded(photo(64, 48), kind)

    with pytest.raises(UnusableImage, match=r"is damaged\.|must be a "):
        normalized(data[: len(data) // 2 if at == -1 else at])


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_too_many_pixels_are_refused_before_anything_is_decoded(kind):
    data = encoded(photo(64, 48), kind)
    size = data.index(b"ispe") + 8
    huge = data[:size] + struct.pack(">II", 60_000, 60_000) + data[size + 8 :]

    with pytest.raises(UnusableImage, match=r"3,600,000,000|60,000 x 60,000"):
        strip(huge, RULES)


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0\0\x1cftypheic",
        b"\0\0\0\x18ftypavif\0\0\0\0avifmif1" + b"\0\0\0\x08meta" * 5_000,
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0\0\0\0meta\0\0\0\0" + b"\0\0\0\x01iprp" + b"\xff" * 8,
    ],
    ids=["head", "many", "endless"],
)
def test_rubbish_in_boxes_is_damaged(data):
    with pytest.raises(UnusableImage, match=r"is damaged\."):
        strip(data, RULES)


def test_other_files_of_boxes_are_no_images():
    with pytest.raises(UnusableImage, match="must be a PNG, JPEG, WebP, GIF, HEIC or AVIF"):
        strip(b"\0\0\0\x18ftypisom\0\0\0\0isomiso2" + b"\0" * 100, RULES)


def test_both_are_decoded_in_a_side_process_only():
    processes = make_image_processes(25_000_000)
    normalizer = ImageNormalizer(RULES, processes, Claim("me", time.monotonic() + 60, lambda: None))
    try:
        for kind in ("HEIF", "AVIF"):
            assert normalizer.normalize(encoded(photo(64, 48), kind)).media_type == "image/jpeg"
    finally:
        processes.close()
