import base64

import openai
import pytest
from PIL import Image

from app.offline_model.images import count_tokens
from tests.fakes.tables import further


@pytest.fixture
def look(ask):
    def look(*urls, detail="auto"):
        images = [{"type": "image_url", "image_url": {"url": url, "detail": detail}} for url in urls]
        return ask([{"type": "text", "text": "What is this?"}, *images])

    return look


def flag(*colours, size=(300, 200), mode="RGB"):
    image = Image.new(mode, size)
    width = size[0] // len(colours)
    for at, colour in enumerate(colours):
        image.paste(colour, (at * width, 0, (at + 1) * width, size[1]))
    return image


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP", "GIF"])
def test_image_is_described_by_format_size_and_colours(look, data_url, image_format):
    reply = look(data_url(flag("red", "blue"), image_format)).choices[0].message.content
    assert f"a {image_format} image, 300×200 pixels, landscape" in reply
    assert "red 50%" in reply
    assert "blue 50%" in reply


@pytest.mark.parametrize(
    ("size", "shape"),
    [((50, 50), "square"), ((50, 51), "portrait"), ((1, 1), "square"), ((3000, 1), "landscape")],
)
def test_orientation_is_told(look, data_url, size, shape):
    assert f"pixels, {shape};" in look(data_url(Image.new("RGB", size, "green"))).choices[0].message.content


def test_photo_stored_on_its_side_is_told_upright(look, data_url):
    exif = Image.Exif()
    exif[0x0112] = 6
    url = data_url(Image.new("RGB", (400, 300)), "JPEG", exif=exif)
    assert "300×400 pixels, portrait" in look(url).choices[0].message.content


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_every_kind_of_pixel_is_understood(look, data_url, mode):
    assert "main colours: " in look(data_url(Image.new(mode, (20, 10)))).choices[0].message.content


def test_transparent_part_has_no_colour(look, data_url):
    picture = flag((0, 0, 0, 0), (255, 165, 0, 255), mode="RGBA")
    reply = look(data_url(picture)).choices[0].message.content
    assert "transparent 50%" in reply
    assert "orange 50%" in reply
    assert "black" not in reply


def test_several_images_are_described_in_order(look, data_url):
    reply = look(data_url(Image.new("RGB", (9, 9), "yellow")), data_url(Image.new("RGB", (9, 9), "white")))
    text = reply.choices[0].message.content
    assert text.index("image 1: a PNG image, 9×9 pixels, square; main colours: yellow 100%") < text.index(
        "image 2"
    )


def test_remote_image_is_admitted_to_be_unseen(look):
    reply = look("https://example.com/cat.png").choices[0].message.content
    assert "cannot see: it makes no network calls" in reply


@pytest.mark.parametrize(
    ("size", "detail", "tokens"),
    [
        ((4000, 4000), "low", 85),
        ((1024, 1024), "high", 765),
        ((2048, 4096), "high", 1105),
        ((10, 10), "high", 255),
    ],
)
def test_image_tokens_follow_openais_tile_rule(size, detail, tokens):
    assert count_tokens(*size, detail) == tokens


def test_image_tokens_are_in_the_usage(look, data_url):
    url = data_url(Image.new("RGB", (1024, 1024)))
    high, low = (look(url, detail=detail).usage.prompt_tokens for detail in ("high", "low"))
    assert high - low == 765 - 85


def refusal(look, url):
    with pytest.raises(openai.BadRequestError) as refused:
        look(url)
    assert refused.value.param == "messages"
    return refused.value.code


def test_broken_image_is_refused(look, data_url):
    whole = base64.b64decode(data_url(Image.effect_noise((200, 200), 50), "JPEG").partition(",")[2])
    for data in (
        b"",
        b"not an image",
        whole[:20],
        whole[: len(whole) // 2],
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    ):
        url = "data:image/jpeg;base64," + base64.b64encode(data).decode()
        assert refusal(look, url) == "invalid_image_format"
    assert refusal(look, "data:image/png;base64,@@@") == "invalid_image_format"


def test_image_of_a_format_openai_does_not_take_is_refused(look, data_url):
    assert refusal(look, data_url(Image.new("RGB", (9, 9)), "BMP")) == "invalid_image_format"


@pytest.mark.parametrize("side", [7_100, *further(12_000, 14_000)])
def test_image_that_would_unpack_to_gigabytes_is_refused_unopened(look, data_url, side):
    assert refusal(look, data_url(Image.new("1", (side, side)), compress_level=1)) == "invalid_image_format"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "cat.png", "", "data:text/plain;base64,AAAA"])
def test_url_of_another_kind_is_refused(look, url):
    assert refusal(look, url) == "invalid_image_url"


def test_a_file_is_described_without_its_pages(ask):
    def look(data, **fields):
        file = {"filename": "bill.pdf", "file_data": f"data:application/pdf;base64,{data}", **fields}
        return ask([{"type": "text", "text": "What?"}, {"type": "file", "file": file}])

    assert "the PDF bill.pdf, 5 bytes" in look("JVBERi0=").choices[0].message.content
    for fields in (
        {"file_data": "JVBERi0="},
        {"file_data": "data:application/pdf;base64,R0lG"},
        {"filename": None},
    ):
        with pytest.raises(openai.BadRequestError):
            look("JVBERi0=", **fields)
