"""What one visitor's images leave the others of their worker: by upload and by data URL, whole and streamed."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from tests.fakes.neighbour import Neighbour, neighbour, table
from tests.fakes.servers import exchange
from tests.media.images.pictures import encoded, exif, gif, photo, png, webp

_LARGE = 9_900_000


def _write_scans() -> bytes:
    progressive = encoded(photo(5_000, 4_900), "JPEG", progressive=True)
    last_scan = progressive[progressive.rindex(b"\xff\xda") : -2]
    return progressive[:-2] + last_scan * 20 + b"\xff\xd9"


def _write_tiny() -> bytes:
    return encoded(photo(8, 8), "JPEG")[:-2]


HOSTILE: dict[str, tuple[Callable[[], bytes], int]] = {
    "WebP of 28 bytes": (lambda: webp(5_000, 5_000), 200),
    "WebP of 34 bytes, too large": (lambda: webp(7_000, 7_000), 400),
    "WebP on its side": (
        lambda: encoded(Image.new("RGB", (5_000, 2_000)), "WEBP", method=0, exif=exif(6)),
        200,
    ),
    "PNG of 16 bits on its side": (lambda: encoded(Image.new("I;16", (3_000, 3_000)), "PNG", exif=exif(6)), 200),
    "GIF of a huge frame": (lambda: gif(5_000, 4_900), 200),
    "JPEG of many scans": (_write_scans, 200),
    "JPEG of fill": (lambda: _write_tiny() + b"\xff" * _LARGE + b"\0", 200),
    "JPEG of stuffed bytes": (lambda: _write_tiny() + b"\xff\0" * (_LARGE // 2) + b"\xff\xd9", 200),
    "GIF of small blocks": (lambda: gif(8, 8)[:-2] + (b"\x20" + b"\1" * 32) * (_LARGE // 34) + b"\0;", 200),
    "PNG of 10 MB": (lambda: png(8, 8, pixels=zlib.compress(bytes(16)) + bytes(_LARGE)), 200),
}
_BY_DEFAULT = {"WebP of 28 bytes", "JPEG of stuffed bytes", "PNG of 10 MB"}


@pytest.fixture(scope="module", params=["gevent", pytest.param("gthread", marks=pytest.mark.neighbours)])
def near(request: pytest.FixtureRequest) -> Iterator[Neighbour]:
    with neighbour(WORKER_CLASS=request.param) as started:
        yield started


def as_form(*images: bytes) -> tuple[bytes, str]:
    part = b'--x\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
    parts = [part % (b"image", b'; filename="a"', image) for image in images]
    return b"".join(
        [*parts, part % (b"prompt", b"", b"What is it?"), b"--x--\r\n"]
    ), "multipart/form-data; boundary=x"


def as_json(*images: bytes) -> tuple[bytes, str]:
    urls = [f"data:image/png;base64,{base64.b64encode(image).decode()}" for image in images]
    return json.dumps({"prompt": "What is it?", "images": urls}).encode(), "application/json"


def ask(near: Neighbour, body: bytes, content_type: str, path: str = "/api/vision") -> int:
    with exchange(near.port, "POST", path, body, headers={"Content-Type": content_type}) as response:
        response.read()
        return response.status


@pytest.mark.parametrize("name", table(HOSTILE, by_default=_BY_DEFAULT))
def test_no_image_costs_others_time_or_memory(near: Neighbour, name: str) -> None:
    write, status = HOSTILE[name]
    image = write()
    requests = [as_form(image), as_json(image)]

    with near.watch(sent_bytes=max(len(body) for body, _ in requests)) as harm:
        statuses = [ask(near, *request) for request in requests]

    assert statuses == [status, status]
    harm.assert_bearable()


def test_a_full_body_of_plain_images_is_streamed(near: Neighbour) -> None:
    image = png(8, 8, pixels=zlib.compress(bytes(16)) + bytes(7_000_000))
    body, content_type = as_json(image, image)

    with near.watch(sent_bytes=len(body)) as harm:
        assert ask(near, body, content_type, "/api/vision/stream") == 200

    harm.assert_bearable()


def test_one_address_does_not_keep_another_waiting(near: Neighbour) -> None:
    """Six requests with an expensive picture at once, and one of another address among them."""
    greedy, content_type = as_form(encoded(Image.new("RGB", (1_500, 1_500)), "WEBP", method=0, exif=exif(6)))
    modest = as_form(encoded(photo(600, 400), "PNG", exif=exif(6)))

    with near.watch(sent_bytes=6 * len(greedy)) as harm, ThreadPoolExecutor(10) as others:
        asked = [others.submit(ask, near, greedy, content_type) for _ in range(6)]
        with exchange(
            near.port,
            "POST",
            "/api/vision",
            modest[0],
            headers={"Content-Type": modest[1]},
            from_address="127.0.0.2",
        ) as response:
            response.read()
        unfinished = sum(not one.done() for one in asked)

    assert response.status == 200
    assert unfinished >= 2
    assert {one.result() for one in asked} <= {200, 503}
    harm.assert_bearable()
