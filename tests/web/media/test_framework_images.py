"""Images in the messages of the AI SDK and of AG-UI: the model gets them as from any other route."""

from __future__ import annotations

import base64
import functools
import json

import pytest
from PIL import Image

from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import stream_of
from tests.fakes.wire.bodies import IMAGE_URL
from tests.media.documents.pdfs import pdf
from tests.media.images.pictures import encoded, photo
from tests.web.media.test_parts import data_url

pytestmark = pytest.mark.usefixtures("kept_side_processes")

TEXT = {"type": "text", "text": "What is it?"}


def ui_body(*parts, role="user", **fields):
    user = {"id": "1", "role": "user", "parts": [TEXT]}
    return {
        "id": "c",
        "trigger": "submit-message",
        "messages": [{"id": "0", "role": role, "parts": list(parts)}, user],
    }


def agui_body(*parts, role="user"):
    user = {"id": "1", "role": "user", "content": "What is it?"}
    return {"threadId": "t", "runId": "r", "messages": [{"id": "0", "role": role, "content": list(parts)}, user]}


def ui_image(url, media_type="image/png"):
    return {"type": "file", "mediaType": media_type, "url": url, "filename": "a.png"}


def agui_image(url):
    declared, _, data = url.partition(";base64,")
    if not data:
        return {"type": "image", "source": {"type": "url", "value": url}}
    return {"type": "image", "source": {"type": "data", "value": data, "mimeType": declared.removeprefix("data:")}}


FORMATS = each_row(
    ("route", "body", "image"),
    [("/api/chat", ui_body, ui_image), ("/api/agui", agui_body, agui_image)],
    ids=["ui", "agui"],
)


def post(client, route, **fields):
    answer = client.post(route, **fields)
    answer.get_data()  # a stream that nobody reads goes on for a while, and counts
    return answer


def sent_image(upstream):
    return upstream.sent[-1].body["messages"][0]["content"]


@FORMATS
def test_an_image_at_a_url(client, upstream, route, body, image):
    upstream.streams(*stream_of("A cat"))

    answer = post(client, route, json=body(TEXT, image(IMAGE_URL)))

    assert answer.status_code == 200, answer.text
    assert sent_image(upstream) == [TEXT, {"type": "image_url", "image_url": {"url": IMAGE_URL, "detail": "auto"}}]


@FORMATS
def test_an_image_alone_is_checked_and_prepared(client, upstream, route, body, image):
    upstream.streams(*stream_of("A cat"))

    answer = post(client, route, json=body(image(data_url(encoded(photo(), "JPEG")))))

    assert answer.status_code == 200, answer.text
    [part] = sent_image(upstream)
    assert part["image_url"]["url"].startswith("data:image/jpeg;base64,")


@FORMATS
@each_row("url", ["http://example.com/a.png", "https://127.0.0.1/a.png", "data:image/png;base64,AAAA"])
def test_an_image_that_cannot_be_used_is_refused(client, upstream, route, body, image, url):
    answer = post(client, route, json=body(TEXT, image(url)))

    assert answer.status_code == 400, answer.text
    assert f"messages.0.{'parts' if route == '/api/chat' else 'content'}.1: " in answer.text
    assert not upstream.sent


def test_other_files_are_refused(client):
    for answer in [
        post(client, "/api/chat", json=ui_body(TEXT, ui_image("data:text/plain;base64,AAAA", "text/plain"))),
        post(
            client,
            "/api/agui",
            json=agui_body(TEXT, {"type": "audio", "source": {"type": "url", "value": "https://x.example/a"}}),
        ),
    ]:
        assert answer.status_code == 400
        assert "only images and PDF files are accepted." in answer.text


def test_images_of_an_answer_are_not_sent_back(client, upstream):
    upstream.streams(*stream_of("A cat"))

    answer = post(
        client, "/api/chat", json=ui_body(TEXT, ui_image("data:image/png;base64,AAAA"), role="assistant")
    )

    assert answer.status_code == 200, answer.text
    assert sent_image(upstream) == "What is it?"


def test_an_image_of_agui_before_version_1(client, upstream):
    upstream.streams(*stream_of("A cat"))
    url = data_url(encoded(photo(), "JPEG"))
    part = {"type": "binary", "mimeType": "image/jpeg", "data": url.partition(",")[2]}

    post(client, "/api/agui", json=agui_body(TEXT, part))

    assert sent_image(upstream)[1]["image_url"]["url"].startswith("data:image/jpeg;base64,")


@functools.cache
def noise(kind):
    """Return a large image of a kind."""
    return encoded(Image.effect_noise((400, 400), 64).convert("RGB"), kind, quality=100)


@pytest.fixture
def brief(make_app):
    """Asks an application that takes little JSON."""
    return make_app(max_json_bytes=2_000, max_body_bytes=4_000_000).test_client()


@FORMATS
@each_row("kind", ["PNG", "JPEG", "WEBP"], quickly=lambda kind: kind == "PNG")
def test_a_large_image_does_not_count_towards_the_size_of_the_json(brief, upstream, route, body, image, kind):
    url = data_url(noise(kind)).replace("image/png", f"image/{kind.lower()}")
    assert len(url) > 70_000

    text = json.dumps(body(TEXT, image(url)))
    for written in (text, text.replace("/", "\\/")):  # as PHP writes it
        upstream.streams(*stream_of("A cat"))
        answer = post(brief, route, data=written, content_type="application/json")

        assert answer.status_code == 200, answer.text
        assert sent_image(upstream)[1]["image_url"]["url"].startswith("data:image/")


def test_what_only_looks_like_an_image_counts_towards_the_size_of_the_json(make_app, upstream):
    client = make_app(max_json_bytes=2_000, max_body_bytes=1_000_000).test_client()
    text = {"type": "text", "text": "iVBOR" + "A" * 100_000}

    assert post(client, "/api/agui", json=agui_body(text)).status_code == 413
    assert not upstream.sent


def test_images_take_the_scope_vision(site, upstream):
    key = {"Authorization": f"Bearer {site.new_key(scopes='chat')}"}

    answer = post(site.app.test_client(), "/api/chat", json=ui_body(TEXT, ui_image(IMAGE_URL)), headers=key)

    assert (answer.status_code, answer.content_type) == (403, "text/plain; charset=utf-8")
    assert "vision" in answer.text


def as_data_url(content):
    return f"data:application/pdf;base64,{base64.b64encode(content).decode()}"


def test_a_pdf_file_is_sent_on_as_openai_takes_it(client, upstream):
    file = pdf("Invoice 7")
    bodies = {
        "/api/chat": ui_body(
            TEXT,
            {"type": "file", "mediaType": "application/pdf", "filename": "bill.pdf", "url": as_data_url(file)},
        ),
        "/api/agui": agui_body(
            TEXT,
            {
                "type": "document",
                "source": {
                    "type": "data",
                    "mimeType": "application/pdf",
                    "value": base64.b64encode(file).decode(),
                },
            },
        ),
    }
    for route, body in bodies.items():
        upstream.streams(*stream_of("An invoice"))
        answer = post(client, route, json=body)
        assert answer.status_code == 200, answer.text
        assert answer.data

    sent = [each.body["messages"][0]["content"] for each in upstream.sent]
    assert [[part["type"] for part in content] for content in sent] == [["text", "file"]] * 2
    assert sent[0][1]["file"]["filename"] == "bill.pdf"
    assert all(content[1]["file"]["file_data"].startswith("data:application/pdf;base64,") for content in sent)
