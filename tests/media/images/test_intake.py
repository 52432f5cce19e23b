"""What comes out of the intake, for each format and each thing that a file may hold."""

from __future__ import annotations

import base64
import random
import resource
import struct
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass

import pytest
from PIL import Image, ImageOps, PngImagePlugin

from app.media.images import ImageNormalizer, ImageRules, ImagesBusy, UnusableImage, find_bounds, job, read_size
from app.media.images.intake import make_image_processes
from app.media.images.sizing import ImageBounds
from app.runtime.side_process import Claim, JobKilled, ProcessLimits, SideProcessPool
from tests.fakes.tables import crossed, each_row
from tests.media.images.pictures import (
    CANARY,
    SRGB,
    SWAPPED,
    XMP,
    apart,
    chunk,
    decoded,
    encoded,
    exif,
    gif,
    photo,
    png,
    webp,
)

MODEL = "gpt-6.1-terra"
KINDS = ["JPEG", "PNG", "WEBP", "GIF"]
each_kind = pytest.mark.parametrize("kind", KINDS)


PROCESSES = make_image_processes(50_000_000)
PATIENT = Claim("anyone", float("inf"), lambda: None)


@pytest.fixture(scope="module", autouse=True)
def _no_process_is_left():
    yield
    PROCESSES.close()


def intake(
    detail="auto", *, model=MODEL, max_bytes=10_000_000, max_pixels=50_000_000, processes=PROCESSES, claim=PATIENT
):
    return ImageNormalizer(ImageRules(max_bytes, max_pixels, find_bounds(model, detail)), processes, claim)


@dataclass
class Taken:
    """An image as it is sent, out of base64."""

    data: bytes
    media_type: str
    width: int
    height: int


def children_cpu_s():
    """What the processes that have ended took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def taken(data, detail="auto", **settings):
    """What comes out, whether the file or its base64 goes in."""
    image = intake(detail, **settings).normalize(data)
    assert intake(detail, **settings).normalize_base64(base64.b64encode(data)) == image
    picture = Taken(base64.b64decode(image.base64), image.media_type, image.width, image.height)
    result = decoded(picture.data)
    assert result.size == (picture.width, picture.height) == read_size(image.data_url)
    assert Image.MIME[result.format] == picture.media_type
    assert CANARY.encode() not in picture.data
    assert not set(result.info) & {
        "exif",
        "xmp",
        "icc_profile",
        "comment",
        "Comment",
        "photoshop",
        "mp",
        "dpi",
    } - {"dpi" if result.format == "JPEG" else ""}
    assert not result.getexif()
    assert getattr(result, "n_frames", 1) == 1
    return picture


def refusal(data, **settings):
    with pytest.raises(UnusableImage) as refused:
        taken(data, **settings)
    return str(refused.value)


PLAIN = {
    "jpeg": encoded(photo(), "JPEG"),
    "progressive": encoded(photo(), "JPEG", progressive=True),
    "restarts": encoded(photo(), "JPEG", restart_marker_blocks=2),
    "rgb in a jpeg, as Adobe's segment says": encoded(photo(), "JPEG", keep_rgb=True),
    "grey jpeg": encoded(photo(mode="L"), "JPEG"),
    "png": encoded(photo(), "PNG"),
    "one bit": encoded(photo(mode="1"), "PNG"),
    "16 bits": encoded(Image.new("I;16", (9, 9), 40_000), "PNG"),
    "grey and alpha": encoded(photo(mode="LA"), "PNG"),
    "palette and alpha": encoded(photo(mode="P"), "PNG", transparency=3),
    "webp": encoded(photo(), "WEBP"),
    "webp and alpha": encoded(photo(mode="RGBA"), "WEBP"),
    "webp and half alpha": encoded(Image.new("RGBA", (20, 20), (9, 99, 200, 120)), "WEBP"),
    "lossless webp": encoded(photo(), "WEBP", lossless=True),
    "gif": encoded(photo(mode="P"), "GIF"),
    "clear gif": encoded(photo(mode="P"), "GIF", transparency=photo(mode="P").getpixel((0, 0))),
    "one pixel": encoded(photo(1, 1), "PNG"),
    "one pixel jpeg": encoded(photo(1, 1), "JPEG"),
    "colours": png(8, 8, chunk(b"sRGB", b"\0"), chunk(b"gAMA", struct.pack(">I", 45455))),
}


@each_row("name", PLAIN)
@each_row("detail", ["low", "high", "auto"])
def test_what_needs_no_change_passes_to_the_byte(name, detail):
    assert taken(PLAIN[name], detail).data == PLAIN[name]


def with_everything(kind, image):
    """A file with all that its format can hold beside its picture."""
    if kind == "JPEG":
        thumbnail = b"JFIF\0\1\1\0\0\1\0\1\2\1" + CANARY.encode()[:6]
        data = encoded(image, kind, exif=exif(), xmp=XMP, comment=CANARY, icc_profile=SRGB)
        iptc = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\x18" + CANARY.encode()
        more = b"".join(
            bytes((0xFF, marker)) + struct.pack(">H", len(payload) + 2) + payload
            for marker, payload in [(0xE0, thumbnail), (0xED, iptc), (0xEF, CANARY.encode())]
        )
        return data[:2] + more + data[2:]
    if kind == "PNG":
        texts = PngImagePlugin.PngInfo()
        texts.add_text("Comment", CANARY)
        texts.add_text("Place", CANARY, zip=True)
        texts.add_itxt("XML:com.adobe.xmp", XMP.decode(), zip=True)
        data = encoded(image, kind, exif=exif(), icc_profile=SRGB, dpi=(300, 300), pnginfo=texts)
        return data[:33] + chunk(b"tIME", b"\x07\xea\x0b\x14\0\0\0") + chunk(b"prIv", CANARY.encode()) + data[33:]
    if kind == "WEBP":
        return encoded(image, kind, exif=exif(), xmp=XMP, icc_profile=SRGB)
    return encoded(image, kind, comment=CANARY, xmp=XMP)


@each_kind
def test_metadata_goes_and_no_pixel_changes(kind):
    image = photo(mode="P") if kind == "GIF" else photo()
    data = with_everything(kind, image)
    assert CANARY.encode() in data

    picture = taken(data)

    assert decoded(picture.data).tobytes() == decoded(data).tobytes()
    assert picture.media_type == f"image/{kind.lower()}"
    assert len(picture.data) <= len(data) - len(CANARY)


def test_gps_of_a_phone_is_there_before_and_gone_after():
    data = encoded(photo(), "JPEG", exif=exif())
    assert decoded(data).getexif().get_ifd(0x8825)[2] == (59.0, 54.0, 42.0)

    assert not decoded(taken(data).data).getexif().get_ifd(0x8825)


@pytest.mark.parametrize(("kind", "detail"), crossed(KINDS, ["auto", "low"]))
@pytest.mark.parametrize(
    "trailer",
    [
        b"\xff\xd9;IEND" + CANARY.encode(),
        pytest.param(CANARY.encode(), marks=pytest.mark.thorough),
        pytest.param(b"PK\3\4" + CANARY.encode() * 99, marks=pytest.mark.thorough),
    ],
    ids=["ends", "text", "archive"],
)
def test_what_follows_the_end_of_an_image_goes(kind, detail, trailer):
    plain = encoded(photo(800, 60), kind)

    assert taken(plain + trailer, detail).data == taken(plain, detail).data


@pytest.mark.parametrize(
    ("kind", "orientation"),
    [
        *[("JPEG", orientation) for orientation in range(1, 9)],
        *[("PNG", 1), ("PNG", 6), ("WEBP", 1), ("WEBP", 6)],
        *[
            pytest.param(kind, orientation, marks=pytest.mark.thorough)
            for kind in ("PNG", "WEBP")
            for orientation in (2, 3, 4, 5, 7, 8)
        ],
    ],
)
@pytest.mark.parametrize("detail", ["low", "auto"])
def test_a_photo_is_turned_upright(kind, orientation, detail):
    data = encoded(photo(640, 40), kind, exif=exif(orientation))
    upright = ImageOps.exif_transpose(decoded(data)).convert("RGB")

    picture = taken(data, detail)

    width, height = (640, 40) if orientation < 5 else (40, 640)
    assert upright.size == (width, height)
    scale = 0.8 if detail == "low" else 1
    assert (picture.width, picture.height) == (width * scale, height * scale)
    assert apart(decoded(picture.data), upright.resize((picture.width, picture.height))) < 2


@pytest.mark.parametrize(
    "tags", [exif(0), exif(9), exif(65_535), b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0x"]
)
def test_an_orientation_that_is_none_counts_as_upright(tags):
    data = encoded(photo(), "JPEG")
    tags = tags if isinstance(tags, bytes) else tags.tobytes()
    tagged = data[:2] + b"\xff\xe1" + struct.pack(">H", len(tags) + 2) + tags + data[2:]

    assert taken(tagged).data == data


@pytest.mark.parametrize(("kind", "detail"), crossed(["GIF", "WEBP", "PNG"], ["auto", "low"]))
def test_an_animation_becomes_its_first_frame(kind, detail):
    frames = [photo(800, 75), Image.new("RGB", (800, 75), "red"), Image.new("RGB", (800, 75), "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=50, loop=0, **options)
    assert decoded(data).n_frames == 3

    picture = taken(data, detail)

    size = (512, 48) if detail == "low" else (800, 75)
    assert (picture.width, picture.height) == size
    assert apart(decoded(picture.data), decoded(data).convert("RGB").resize(size)) < 2


def test_a_lossy_animation_with_alpha_keeps_it():
    frames = [Image.new("RGBA", (60, 40), (200, 10, 10, alpha)) for alpha in (120, 255)]
    data = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], duration=50)

    assert decoded(taken(data).data).getpixel((9, 9))[3] == 120


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_colours_of_another_profile_become_srgb(kind):
    red = Image.new("RGB", (40, 40), (220, 20, 20))
    data = encoded(red, kind, icc_profile=SWAPPED, **({"lossless": True} if kind == "WEBP" else {}))

    seen = decoded(taken(data).data).convert("RGB").getpixel((20, 20))

    assert seen[1] > 200 and seen[0] < 60
    same = taken(encoded(red, kind, icc_profile=SRGB, quality=95)).data
    assert decoded(same).convert("RGB").getpixel((20, 20))[0] > 200


def test_a_profile_converts_transparent_pictures_too():
    data = encoded(Image.new("RGBA", (40, 40), (220, 20, 20, 77)), "PNG", icc_profile=SWAPPED)

    red, green, _, alpha = decoded(taken(data).data).getpixel((20, 20))

    assert green > 200 > red and alpha == 77


@pytest.mark.parametrize("icc", [b"not a profile", b"\0" * 200, SWAPPED[:300], SWAPPED.replace(b"RGB ", b"CMYK")])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_profile_that_cannot_be_used_is_left_out(icc, kind):
    data = encoded(photo(), kind, icc_profile=icc)

    assert apart(decoded(taken(data).data), decoded(data)) < 2


@pytest.mark.parametrize("icc", [None, SRGB])
def test_cmyk_becomes_rgb(icc):
    """Those of Adobe, as Pillow writes them, are stored inverted."""
    image = Image.merge("CMYK", [Image.new("L", (40, 40), level) for level in (255, 0, 0, 0)])
    white = Image.new("CMYK", (40, 40))

    for data, colour in ((encoded(image, "JPEG"), (0, 255, 255)), (encoded(white, "JPEG"), (255, 255, 255))):
        seen = decoded(taken(data if icc is None else encoded(decoded(data), "JPEG", icc_profile=icc)).data)
        assert seen.mode == "RGB"
        assert all(abs(a - b) < 6 for a, b in zip(seen.getpixel((9, 9)), colour, strict=True))


def test_a_file_of_many_bytes_is_read_elsewhere_and_comes_out_the_same():
    data = encoded(photo(), "PNG")

    assert taken(data[:33] + chunk(b"prIv", bytes(100_000)) + data[33:]).data == data


@each_kind
def test_a_large_image_is_scaled_and_keeps_its_kind(kind):
    data = encoded(photo(1_500, 100), kind)

    picture = taken(data, "low")

    assert (picture.width, picture.height) == (512, 34)
    assert picture.media_type == ("image/png" if kind == "GIF" else f"image/{kind.lower()}")
    assert apart(decoded(picture.data), decoded(data).convert("RGB").resize((512, 34))) < 2


def test_lossless_webp_stays_lossless():
    data = encoded(photo(1_000, 60), "WEBP", lossless=True)

    assert taken(data, "low").data[12:16] == b"VP8L"
    assert taken(encoded(photo(1_000, 60), "WEBP"), "low").data[12:16] == b"VP8 "


MODES = {
    "16 bits": (Image.new("I;16", (1_000, 80), 40_000), {}, (156, 156, 156, 255)),
    "grey and alpha": (Image.new("LA", (1_000, 80), (90, 60)), {}, (90, 90, 90, 60)),
    "one bit": (Image.new("1", (1_000, 80), 1), {}, (255, 255, 255, 255)),
    "palette": (photo(1_000, 80, "P"), {"transparency": photo(1_000, 80, "P").getpixel((0, 0))}, (0, 0, 0, 0)),
    "key colour": (Image.new("RGB", (1_000, 80), (9, 8, 7)), {"transparency": (9, 8, 7)}, (0, 0, 0, 0)),
    "key grey": (Image.new("L", (1_000, 80), 50), {"transparency": 50}, (0, 0, 0, 0)),
    "rgba": (Image.new("RGBA", (1_000, 80), (90, 20, 30, 60)), {}, (90, 20, 30, 60)),
}


@pytest.mark.parametrize("name", MODES)
def test_odd_modes_can_be_scaled(name):
    image, options, corner = MODES[name]

    picture = decoded(taken(encoded(image, "PNG", **options), "low").data)

    assert picture.size == (512, 40)
    seen = picture.convert("RGBA").getpixel((0, 0))
    # What cannot be seen has any colour; rounding in what hardly can be seen is coarse.
    assert seen[3] == corner[3]
    assert not seen[3] or all(abs(a - b) < 3 for a, b in zip(seen, corner, strict=True))


@pytest.mark.parametrize(
    ("size", "result"), [((1, 20_000), (1, 512)), ((20_000, 1), (512, 1)), ((30_000, 90), (512, 1))]
)
def test_extreme_shapes_keep_a_pixel(size, result):
    picture = taken(png(*size), "low")

    assert (picture.width, picture.height) == result


@each_kind
def test_a_file_that_ends_too_early_is_damaged(kind):
    data = encoded(photo(), kind)
    # A GIF's last byte only says that nothing follows, and so does the one that fills up a WebP.
    # Nor does a viewer miss the last chunk of a PNG, or what follows the header of a JPEG's scan.
    last = {"PNG": len(data) - 13, "JPEG": data.rfind(b"\xff\xda")}.get(kind, len(data) - 2)
    for end in sorted({*range(12, 60), *range(60, last, 41), last}):
        assert refusal(data[:end]) == "is damaged."


@pytest.mark.parametrize(
    ("kind", "missing"), [("JPEG", 1), ("JPEG", 2), ("PNG", 4), ("PNG", 12), ("GIF", 1), ("WEBP", 0)]
)
def test_a_file_without_its_end_mark_is_taken_as_every_viewer_takes_it(kind, missing):
    data = encoded(photo(33, 21), kind)

    assert taken(data[: len(data) - missing]).data == data
    assert taken(data + b"\0\r\nrest").data == data


def test_a_webp_may_leave_out_the_padding_that_it_counts():
    data = encoded(photo(), "WEBP")
    counted = data[:4] + struct.pack("<I", len(data) - 8 + 10) + data[8:] + b"junk\1\0\0\0x"

    assert taken(counted).data == data


@pytest.mark.parametrize(
    "write",
    [
        base64.encodebytes,
        lambda data: base64.b64encode(data).rstrip(b"="),
        base64.urlsafe_b64encode,
        lambda data: b" " + base64.b64encode(data) + b"\r\n",
    ],
    ids=["lines", "no padding", "for URLs", "blanks around"],
)
def test_base64_is_read_in_each_of_its_forms(write):
    data = PLAIN["jpeg"]

    assert intake().normalize_base64(write(data)) == intake().normalize(data)


@pytest.mark.parametrize("is_escaped", [False, True])
@pytest.mark.parametrize("size", [8, 100_000])
def test_what_is_no_base64_is_refused_where_it_is_read_here_and_where_it_is_not(size, is_escaped):
    with pytest.raises(UnusableImage, match=r"^is not valid base64\.$"):
        intake().normalize_base64(b"%" * size, is_escaped=is_escaped)


@pytest.mark.parametrize(
    "data", [b"", b"\x89PNG", b"GIF89", b"RIFF\0\0\0\0WEB", b"<svg/>", b"BM" + b"\0" * 60, b"II*\0", b"%PDF"]
)
def test_any_other_file_is_refused(data):
    assert refusal(data) == "must be a PNG, JPEG, WebP, GIF, HEIC or AVIF."


@pytest.mark.parametrize(("kind", "detail"), crossed(KINDS, ["auto", "low"]))
@pytest.mark.parametrize("files", [40, pytest.param(250, marks=pytest.mark.thorough)])
def test_whatever_is_wrong_with_a_file_it_is_taken_or_refused(kind, detail, files):
    """Bytes changed, cut out and doubled at random; the outcome is always one of two."""
    chance = random.Random(f"{kind} {detail}")
    whole = with_everything(kind, photo(600, 20, "P" if kind == "GIF" else "RGB"))
    normalizer = intake(detail, max_pixels=1_000_000)
    outcomes = set()
    for _ in range(files):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            at, length = chance.randrange(min(len(data), 2_000)), chance.randint(1, 30)
            data[at : at + length] = chance.choice([chance.randbytes(length), b"", data[at : at + 2 * length]])
        try:
            outcomes.add(type(normalizer.normalize(bytes(data))))
        except UnusableImage as refused:
            outcomes.add(type(refused))
    assert len(outcomes) == 2


def test_too_many_bytes_are_refused_and_counted():
    data = encoded(photo(), "PNG")

    assert taken(data, max_bytes=len(data)).data == data
    assert (
        refusal(data + b"x", max_bytes=len(data))
        == f"has {len(data) + 1:,} bytes; at most {len(data):,} are accepted."
    )


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("PNG", png(300, 200)),
        ("WebP", webp(300, 200)),
        ("GIF", gif(300, 200)),
        ("JPEG", encoded(photo(300, 200), "JPEG")),
    ],
)
def test_too_many_pixels_are_refused_and_counted(name, data):
    assert taken(data, max_pixels=60_000).width == 300
    assert (
        refusal(data, max_pixels=59_999) == f"is a {name} of 300 x 200 pixels; at most 59,999 pixels are accepted."
    )


def test_a_frame_larger_than_its_screen_counts_in_full():
    data = gif(300, 200, screen=(1, 1))

    assert decoded(data).size == (300, 200)
    assert "300 x 200" in refusal(data, max_pixels=59_999)
    assert taken(data, "low").data == data


def test_what_would_only_keep_the_decoder_busy_is_damaged():
    jpeg = encoded(photo(), "JPEG", progressive=True)
    scan = jpeg.rindex(b"\xff\xda")
    blocks = bytes([1, 0]) * 500_000 + b"\0"
    small = gif(2, 2)

    assert refusal(jpeg[:-2] + jpeg[scan:-2] * 100 + b"\xff\xd9") == "is damaged."
    assert refusal(jpeg[:2] + b"\xff\xfe\0\2" * 5_000 + jpeg[2:]) == "is damaged."
    assert refusal(png(2, 2, chunk(b"prIv") * 20_000)) == "is damaged."
    assert refusal(small[:19] + b"!\xfe" + blocks + small[19:]) == "is damaged."
    assert refusal(webp(2, 2)[:12] + b"junk\0\0\0\0" * 1_000 + webp(2, 2)[12:]) == "is damaged."


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8" + b"\xff" * 1_000_000 + b"\0",
        pytest.param(b"\xff\xd8" + b"\xff" * 1_000_000 + b"\xd9", marks=pytest.mark.thorough),
        pytest.param(encoded(photo(8, 8), "JPEG")[:-2] + b"\xff" * 1_000_000 + b"\0", marks=pytest.mark.thorough),
        pytest.param(encoded(photo(8, 8), "JPEG")[:-2] + b"\xff\xff\0" * 300_000, marks=pytest.mark.thorough),
        png(8, 8, chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(1 << 20))) * 4_000),
    ],
    ids=["fill, no marker", "fill, end", "fill in a scan", "pieces of fill in a scan", "profiles"],
)
def test_no_file_takes_long_to_be_read(data):
    normalizer = intake("low")
    begun, spent = time.process_time(), children_cpu_s()
    with suppress(UnusableImage):
        normalizer.normalize(data)
    assert time.process_time() - begun < 0.05
    PROCESSES.close()
    assert children_cpu_s() - spent < 1


def test_fill_before_a_marker_is_no_part_of_a_segment():
    data = encoded(photo(8, 8), "JPEG")
    filled = data[:2] + b"\xff" * 5 + data[2:-2] + b"\xff" * 5 + data[-2:]

    assert decoded(taken(filled).data).tobytes() == decoded(data).tobytes()


def test_who_waits_for_too_long_is_told_so():
    late = Claim("anyone", 0.0, lambda: None)
    small, large = encoded(photo(8, 8), "PNG"), encoded(photo(3_000, 20), "PNG")

    with PROCESSES._turns.take(Claim("one", float("inf"), print)), PROCESSES._turns.take(Claim("two", 0.0, print)):
        with pytest.raises(ImagesBusy):
            intake("low", claim=late).normalize(large)
        assert intake("low", claim=late).normalize(small).width == 8  # nothing of it has to wait
    assert intake("low").normalize(large).width < 3_000


def test_what_ends_its_side_process_is_refused(monkeypatch):
    def fail(*_):
        raise JobKilled

    monkeypatch.setattr(SideProcessPool, "run", fail)

    with pytest.raises(UnusableImage, match=r"takes too much work to prepare\."):
        taken(encoded(photo(3_000, 20), "PNG"), "low")


@pytest.mark.thorough
def test_what_takes_too_much_memory_is_refused():
    """In a process with half of the memory that any has, so that the picture need not be as large."""
    processes = SideProcessPool(job.TARGET, ProcessLimits(memory_bytes=160 * 1024 * 1024, cpu_s=3))
    large = encoded(Image.new("RGB", (3_000, 3_000)), "WEBP", method=0, exif=exif(6))
    assert intake(processes=processes).normalize(encoded(photo(), "WEBP", exif=exif(6))).width == 48

    with pytest.raises(UnusableImage, match=r"takes too much work to prepare\."):
        intake(processes=processes).normalize(large)
    processes.close()


@pytest.mark.neighbours
def test_the_largest_picture_that_is_accepted_fits_into_the_limits():
    """25 million pixels, as by default, in the format that takes the most; rotated and scaled."""
    noise = Image.frombytes("RGBA", (250, 250), random.Random(1).randbytes(250_000))
    large = encoded(noise.resize((5_000, 5_000)), "WEBP", method=0, quality=10, exif=exif(6))
    processes = make_image_processes(25_000_000)

    assert intake("high", max_pixels=25_000_000, processes=processes).normalize(large).width < 5_000
    processes.close()


def test_a_png_whose_checksums_or_order_are_off_is_damaged():
    data = encoded(photo(), "PNG")
    header = data[8:33]

    assert refusal(data[:60] + bytes([data[60] ^ 1]) + data[61:]) == "is damaged."
    assert refusal(data[:33] + header + data[33:]) == "is damaged."
    assert refusal(data[:8] + chunk(b"gAMA", b"\0\0\0\1") + data[8:]) == "is damaged."
    assert refusal(data[:33] + chunk(b"CgBI", b"\0") + data[33:]) == "is damaged."
    assert refusal(data[:33] + chunk(b"IEND")) == "is damaged."


@pytest.mark.parametrize(
    "damaged",
    [chunk(b"gAMA", b"\0\0\xb1\x8f")[:-1] + b"\0", chunk(b"gAMA", b"xx"), chunk(b"cHRM"), chunk(b"tEXt", b"a\0b")[:-4] + bytes(4)],
)  # fmt: skip
def test_a_png_whose_lesser_chunks_are_damaged_is_taken_without_them(damaged):
    data = encoded(photo(), "PNG")

    assert taken(data[:33] + damaged + data[33:]).data == data
    assert taken(data[:-4] + bytes(4)).data == data


def test_a_jpeg_that_says_its_size_twice_or_not_is_damaged():
    data = encoded(photo(), "JPEG")
    at = data.index(b"\xff\xc0")
    frame = data[at : at + 19]

    assert refusal(data[:at] + frame + data[at:]) == "is damaged."
    assert refusal(data[: at + 5] + b"\0\0" + data[at + 7 :]) == "is damaged."
    assert refusal(data[:at] + data[at + 19 :]) == "is damaged."


def test_pixels_that_cannot_be_decoded_are_damaged_where_they_must_be():
    """NullContext looks at them otherwise: the model does, and refuses them."""
    broken = png(600, 600, pixels=zlib.compress(b"\0" * 50))

    assert refusal(broken, detail="low") == "is damaged."
    rules = ImageRules(10**6, 10**6, ImageBounds())
    assert base64.b64decode(ImageNormalizer(rules, PROCESSES, PATIENT).normalize(broken).base64) == broken


def test_rubbish_between_the_segments_of_a_jpeg_is_passed_over():
    data = encoded(photo(), "JPEG", exif=exif())
    at = data.index(b"\xff\xdb")

    assert taken(data[:at] + b"\0\0\0" + data[at:]).data == taken(data).data


def test_a_thumbnail_in_the_first_segment_goes():
    data = encoded(photo(), "JPEG")
    assert data[2:11] == b"\xff\xe0\0\x10JFIF\0"
    thumbnail = data[:4] + b"\0\x13" + data[6:18] + b"\1\1" + b"\x11\x22\x33" + data[20:]
    assert decoded(thumbnail).size == (64, 48)

    assert taken(thumbnail).data == data


@pytest.mark.parametrize(
    "url", ["https://example.com/a.png", "data:image/png;base64,", "data:image/png;base64,####", "data:x,y"]
)
def test_the_size_of_what_the_intake_did_not_make_is_not_known(url):
    assert read_size(url) is None
