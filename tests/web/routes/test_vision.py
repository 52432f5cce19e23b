from __future__ import annotations

import base64
import functools
import io
import itertools
import json
import zlib

import pytest
from PIL import Image

from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import USAGE, stream_of
from tests.fakes.wire.bodies import IMAGE_URL
from tests.fakes.wire.reading import events_of
from tests.media.images.pictures import CANARY, exif, gif, photo, png, webp
from tests.media.images.pictures import encoded as written

pytestmark = pytest.mark.usefixtures("kept_side_processes")

KINDS = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}
ANSWER = {
    "reply": "Hello there",
    "finishReason": "stop",
    "usage": USAGE,
    "model": "gpt-6.1-terra-2026-10-01",
    "id": "chatcmpl-1",
}


def picture(kind="PNG", size=(4, 3)):
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, kind)
    return buffer.getvalue()


def data_url(content, declared="image/png"):
    return f"data:{declared};base64,{base64.b64encode(content).decode()}"


def asked(upstream):
    """The content of the one message that was sent: the text, and the images."""
    [message] = upstream.sent[-1].body["messages"]
    text, *images = message["content"]
    assert all(image["type"] == "image_url" for image in images)
    return text["text"], [(image["image_url"]["url"], image["image_url"]["detail"]) for image in images]


def opened(url):
    """The declared type of a data URL, and its content as an image."""
    head, _, body = url.partition(";base64,")
    return head.removeprefix("data:"), Image.open(io.BytesIO(base64.b64decode(body, validate=True)))


def form(*contents, name="a.png", declared="image/png", **fields):
    return {"prompt": "What?", "image": [(io.BytesIO(content), name, declared) for content in contents], **fields}


@pytest.mark.chat_form
def test_an_image_by_url_is_passed_on_and_answered_like_a_chat(client, upstream):
    answer = client.post("/api/vision", json={"prompt": "What?", "imageUrl": IMAGE_URL})

    assert (answer.status_code, answer.json) == (200, ANSWER)
    assert asked(upstream) == ("What?", [(IMAGE_URL, "auto")])
    assert upstream.sent[0].body["model"] == "gpt-6.1-terra"
    assert upstream.sent[0].path == "/v1/chat/completions"
    assert answer.headers["X-Model"] == "gpt-6.1-terra-2026-10-01"


def test_several_images_keep_their_order_and_their_detail(client, upstream):
    urls = [f"https://example.com/{number}.png" for number in range(10)]

    client.post("/api/vision", json={"prompt": "Which?", "images": urls, "detail": "low"})

    assert asked(upstream) == ("Which?", [(url, "low") for url in urls])


@pytest.mark.chat_form
def test_settings_of_the_call_are_sent_on(make_app, upstream):
    client = make_app(vision_model="eye", allowed_models=("other",), system_prompt="Be brief.").test_client()
    body = {"prompt": "What?", "imageUrl": IMAGE_URL, "maxTokens": 7}

    client.post("/api/vision", json=body)
    client.post("/api/vision", json={**body, "model": "other"})
    client.post("/api/vision", data=form(picture(), maxTokens="7", model="other", detail="high"))

    assert [sent.body["model"] for sent in upstream.sent] == ["eye", "other", "other"]
    assert [sent.body["max_completion_tokens"] for sent in upstream.sent] == [7, 7, 7]
    assert [sent.body["messages"][0]["content"] for sent in upstream.sent] == ["Be brief."] * 3
    assert upstream.sent[2].body["messages"][1]["content"][1]["image_url"]["detail"] == "high"


def test_a_chat_model_is_not_offered_for_images_unless_it_is_named(make_app, upstream):
    client = make_app(vision_model="eye").test_client()

    answer = client.post("/api/vision", json={"prompt": "x", "imageUrl": IMAGE_URL, "model": "gpt-6-luna"})

    assert (answer.status_code, upstream.sent) == (403, [])


@each_row(
    ("kind", "declared"),
    itertools.product(KINDS, ["image/png", "text/html", "application/octet-stream", "image/svg+xml", ""]),
    quickly=lambda kind, declared: kind == "JPEG" or declared == "text/html",
)
def test_an_image_is_told_by_its_content_not_by_its_declared_type(client, upstream, kind, declared):
    content = picture(kind)

    for answer in (
        client.post("/api/vision", json={"prompt": "What?", "imageUrl": data_url(content, declared)}),
        client.post("/api/vision", data=form(content, name="a.txt", declared=declared or None)),
    ):
        assert (answer.status_code, answer.json) == (200, ANSWER)
        text, [(url, detail)] = asked(upstream)
        assert (text, detail) == ("What?", "auto")
        assert opened(url)[0] == KINDS[kind]
        assert opened(url)[1].size == (4, 3)


def test_several_files_keep_their_order(client, upstream):
    sizes = [(1, 1), (2, 1), (3, 1)]

    answer = client.post("/api/vision", data=form(*[picture(size=size) for size in sizes]))

    assert answer.status_code == 200
    assert [opened(url)[1].size for url, _ in asked(upstream)[1]] == sizes


def test_a_question_about_an_image_can_be_streamed(client, upstream):
    for answer in (
        lambda: client.post("/api/vision/stream", json={"prompt": "What?", "imageUrl": IMAGE_URL}),
        lambda: client.post("/api/vision/stream", data=form(picture())),
    ):
        upstream.streams(*stream_of("A ", "cat"))

        *tokens, done = events_of(answer().data)

        assert tokens == [{"token": "A "}, {"token": "cat"}]
        assert (done["done"], done["usage"]) == (True, USAGE)
        assert upstream.sent[-1].body["stream"] is True


@each_row(
    "url",
    [
        "https://example.com/a.png",
        "https://example.com",
        "https://example.com:443/a",
        "https://example.com./a.png",
        "https://a.b-c.example.co.uk/x?y=%20z#f",
        "https://xn--mnchen-3ya.de/a.png",
        "https://EXAMPLE.com/A.PNG",
        "HTTPS://example.com/a",
        "https://127.0.0.1.example.com/",
        "https://example.com/?u=http://127.0.0.1/",
        "https://example.com/@127.0.0.1/",
        "https://example.com/" + "x" * 2_000,
    ],
)
def test_a_public_https_url_is_passed_on_as_it_is(client, upstream, url):
    assert client.post("/api/vision", json={"prompt": "x", "imageUrl": url}).status_code == 200
    assert asked(upstream)[1][0][0] == url


REFUSED = [
    "http://example.com/a.png",
    "HTTP://example.com/a.png",
    "ftp://example.com/a.png",
    "file:///etc/passwd",
    "gopher://example.com/",
    "javascript:alert(1)",
    "blob:https://example.com/x",
    "//example.com/a.png",
    "example.com/a.png",
    "/a.png",
    "https:",
    "https://",
    "https:///a.png",
    "https:/example.com",
    "https:example.com",
    "https://:443/",
    "https://?x",
    "https://user@example.com/",
    "https://user:secret@example.com/",
    "https://@example.com/",
    "https://example.com@127.0.0.1/",
    "https://127.0.0.1/",
    "https://127.1/",
    "https://127.0.0.1./",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://127.0.0.0x1/",
    "https://0X7F.1/",
    "https://0177.0.0.1/",
    "https://0177.0.0.01/",
    "https://1.2.3.4/",
    "https://8.8.8.8/",
    "https://169.254.169.254/latest/meta-data/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[2606:4700:4700::1111]/",
    "https://[fe80::1%25eth0]/",
    "https://[::1",
    "https://::1/",
    "https://%31%32%37.%30.%30.%31/",
    "https://127%2e0%2e0%2e1/",
    "https://127.0.0.1%00.example.com/",
    "https://example.com%2f@127.0.0.1/",
    "https://exa%6dple.com/",
    "https://localhost/",
    "https://LOCALHOST/",
    "https://localhost./",
    "https://a.localhost/",
    "https://printer.local/",
    "https://printer.LOCAL./",
    "https://metadata.google.internal/",
    "https://router.home.arpa/",
    "https://intranet/",
    "https://example.com:8443/",
    "https://example.com:80/",
    "https://example.com:0/",
    "https://example.com:99999/",
    "https://example.com:x/",
    "https://example.com:-1/",
    "https://.example.com/",
    "https://example..com/",
    "https://./",
    "https://münchen.de/",
    "https://１２７.0.0.1/",
    "https://example。com/",
    "https://example.com/ü",
    "https://example.com/a b",
    "https://example.com/a\tb",
    "https://example.com/\r\nHost: x",
    "https://exam\nple.com/",
    " https://example.com/",
    "https://example.com/ ",
    "https://example.com\\@127.0.0.1/",
    "https://example.com/<x>",
    'https://example.com/"',
    "https://exam,ple.com/",
    "https://exam;ple.com/",
    "https://$(id).example.com/",
    "https://example.com/\x7f",
    "https://example.com/" + "x" * 2_048,
    "data:image/png,abc",
    "data:image/png;base64",
    "data:image/png;base64,",
    "data:image/png;base64,####",
    "data:image/png;base64,iVBORw0KGgo",
    "data:image/png;base64,aGVsbG8=",
    "data:text/html;base64,PGh0bWw+",
    "data:,",
    "data:;base64,R0lGOD",
    "DATA:image/png;base64,aGVsbG8=",
]


@each_row("url", REFUSED)
@each_row("many", [False, True], quickly=lambda many: not many)
def test_any_other_address_of_an_image_is_refused_and_named(client, upstream, url, many):
    where = {"images": [IMAGE_URL, url]} if many else {"imageUrl": url}

    answer = client.post("/api/vision", json={"prompt": "x", **where})

    assert (answer.status_code, answer.json["code"]) == (400, "invalid_image")
    assert answer.json["error"].startswith("images.1: " if many else "imageUrl: ")
    assert len(url) < 10 or url not in answer.json["error"]
    assert upstream.sent == []


@each_row("head", ["data:image/png;base64,", "DATA:IMAGE/PNG;BASE64,", "data:;base64,", "data:x;y=z;base64,"])
def test_a_data_url_is_made_anew_from_its_content(client, upstream, head):
    upstream.clear()
    content = picture("GIF")

    client.post("/api/vision", json={"prompt": "x", "imageUrl": head + base64.b64encode(content).decode()})

    assert asked(upstream)[1][0][0].startswith("data:image/gif;base64,")


def both(client, content, **fields):
    """The answers to one image, sent in either form."""
    yield client.post("/api/vision", json={"prompt": "What?", "imageUrl": data_url(content), **fields})
    yield client.post("/api/vision", data=form(content, **fields))


@pytest.fixture(scope="module")
def photo_of():
    """Returns a photograph that was taken with the camera on its side, of a kind."""
    return functools.cache(lambda kind: written(photo(900, 600), kind, exif=exif(orientation=6)))


@each_row(
    ("kind", "detail"),
    itertools.product(["JPEG", "PNG", "WEBP"], ["low", "high", "auto"]),
    quickly=lambda kind, detail: kind == "JPEG" or detail == "low",
)
def test_where_a_photo_was_taken_is_not_told_and_it_is_upright(client, upstream, photo_of, kind, detail):
    content = photo_of(kind)
    assert CANARY.encode() in content

    for answer in both(client, content, detail=detail):
        assert answer.status_code == 200
        [(url, sent_detail)] = asked(upstream)[1]
        declared, image = opened(url)
        assert (declared, sent_detail) == (KINDS[kind], detail)
        assert image.size == ((341, 512) if detail == "low" else (600, 900))
        assert not image.getexif()
        assert CANARY.encode() not in base64.b64decode(url.partition(",")[2])


def test_an_image_is_scaled_to_what_the_model_uses(make_app, upstream):
    client = make_app(vision_model="gpt-4o", allowed_models=("gpt-5.4",)).test_client()
    content = picture("JPEG", (2_200, 1_760))

    sizes = []
    for fields in ({}, {"detail": "low"}, {"model": "gpt-5.4"}, {"model": "gpt-5.4", "detail": "low"}):
        client.post("/api/vision", json={"prompt": "x", "imageUrl": data_url(content), **fields})
        sizes.append(opened(asked(upstream)[1][0][0])[1].size)

    assert sizes == [(960, 768), (512, 409), (1_760, 1_408), (2_048, 1_638)]


@each_row("kind", KINDS)
def test_an_image_that_needs_no_change_is_sent_as_it_is(client, upstream, kind):
    content = picture(kind, (700, 500))

    for _ in both(client, content):
        assert asked(upstream)[1][0][0] == data_url(content, KINDS[kind])


def test_of_an_animation_the_first_frame_is_sent(client, upstream):
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "blue", "green")]

    for _ in both(client, written(frames[0], "GIF", save_all=True, append_images=frames[1:])):
        declared, image = opened(asked(upstream)[1][0][0])
        assert (declared, image.n_frames) == ("image/gif", 1)
        assert image.convert("RGB").getpixel((9, 9)) == (255, 0, 0)


@each_row(
    ("write", "sentence"),
    [
        (
            lambda: png(20_000, 20_000, pixels=zlib.compress(b"")),
            "is a PNG of 20,000 x 20,000 pixels; at most 25,000,000 pixels are accepted.",
        ),
        (
            lambda: webp(16_383, 16_383),
            "is a WebP of 16,383 x 16,383 pixels; at most 25,000,000 pixels are accepted.",
        ),
        (lambda: gif(9_000, 9_000), "is a GIF of 9,000 x 9,000 pixels; at most 25,000,000 pixels are accepted."),
        (lambda: picture("JPEG")[:90], "is damaged."),
        (lambda: b"hello", "must be a PNG, JPEG, WebP, GIF, HEIC or AVIF."),
    ],
    ids=["png", "webp", "gif", "damaged", "other"],
)
def test_an_image_that_is_not_taken_is_named(client, upstream, write, sentence):
    content = write()
    images = [IMAGE_URL, data_url(picture()), data_url(content)]

    for answer, where in (
        (client.post("/api/vision", json={"prompt": "x", "images": images}), "images.2"),
        (client.post("/api/vision", json={"prompt": "x", "imageUrl": images[2]}), "imageUrl"),
        (client.post("/api/vision", data=form(picture(), content)), "image.1"),
        (client.post("/api/vision/stream", data=form(content)), "image.0"),
    ):
        assert (answer.status_code, answer.json["code"]) == (400, "invalid_image")
        assert answer.json["error"] == f"{where}: {sentence}"
    assert upstream.sent == []


def test_the_limits_of_an_image_are_the_sites(make_app, upstream):
    content = written(photo(200, 100), "PNG")
    sizes = {"max_image_bytes": len(content), "max_image_pixels": 20_000}

    for name, value in sizes.items():
        tight = make_app(**{**sizes, name: value - 1}).test_client()
        assert {answer.status_code for answer in both(tight, content)} == {400}
    assert upstream.sent == []
    assert {answer.status_code for answer in both(make_app(**sizes).test_client(), content)} == {200}


def test_no_image_appears_in_the_log(make_app, capfd):
    content = base64.b64encode(picture()).decode()
    client = make_app(log_level="DEBUG").test_client()

    client.post("/api/vision", json={"prompt": "PROMPT-CANARY", "imageUrl": f"data:image/png;base64,{content}"})
    client.post("/api/vision", json={"prompt": "PROMPT-CANARY", "imageUrl": "http://URL-CANARY.example/"})

    written = capfd.readouterr()
    assert "vision" in written.err
    assert "CANARY" not in written.err + written.out
    assert content[:40] not in written.err + written.out


@each_row("escape", ["/", "\\/", "\\u002F", "\\u002f"])
@each_row("field", ["imageUrl", "images"])
def test_a_large_data_url_is_taken_however_its_json_was_written(client, upstream, field, escape):
    content = png(8, 8, pixels=zlib.compress(bytes(16)) + bytes(range(256)) * 400)
    url = data_url(content)
    body = json.dumps({"prompt": "What?", field: [url, url] if field == "images" else url}).replace("/", escape)

    answer = client.post("/api/vision", data=body, content_type="application/json")

    assert answer.status_code == 200
    assert asked(upstream) == ("What?", [(url, "auto")] * (2 if field == "images" else 1))


def test_a_prompt_may_look_like_an_image(client, upstream):
    prompt = "data:image/png;base64," + "A" * 70_000
    image = data_url(png(8, 8, pixels=zlib.compress(bytes(16)) + bytes(range(256)) * 400))

    client.post("/api/vision", json={"prompt": prompt, "imageUrl": image})

    assert asked(upstream) == (prompt, [(image, "auto")])


@pytest.fixture
def brief(make_app):
    """Asks an application that takes little JSON."""
    return make_app(max_json_bytes=700_000).test_client()


@each_row(
    ("extra", "status"),
    [
        ({"prompt": "x" * 500_000, "variables": {"a": "x" * 500_000}}, 413),
        ({"prompt": "data:" + "x" * 2_000_000}, 413),
        ({"prompt": "data:" + "x" * 500_000}, 400),
        ({"imageUrl": "data:image/png;base64," + "é" * 70_000}, 400),
        ({"imageUrl": "data:image/png;base64," + '"' * 70_000}, 400),
        ({"imageUrl": "data:image/png," + "A" * 70_000}, 400),
        ({"imageUrl": "data:" + "A" * 70_000}, 400),
        ({"nobody": "data:image/png;base64," + "A" * 70_000}, 400),
    ],
)
def test_the_text_beside_the_images_has_its_own_bound(brief, upstream, extra, status):
    image = data_url(png(8, 8, pixels=zlib.compress(bytes(16)) + bytes(1_000_000)))

    answer = brief.post("/api/vision", json={"prompt": "What?", "imageUrl": image, **extra})

    assert answer.status_code == status
    assert not upstream.sent
