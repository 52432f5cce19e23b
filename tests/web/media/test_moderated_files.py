"""With moderation on, the text and the images of a PDF file are moderated, and what cannot be is refused."""

from __future__ import annotations

import base64
import io

import pypdf
import pytest
from PIL import Image
from pypdf.annotations import FreeText

from tests.fakes.wire.bodies import refusal_of
from tests.media.documents.pdfs import pdf
from tests.openai_service.chat.test_moderation import Moderation
from tests.web.media.test_files import body_of, encoded, part, sent_files

pytestmark = pytest.mark.usefixtures("kept_side_processes")


@pytest.fixture
def moderation(upstream):
    return Moderation(upstream)


@pytest.fixture
def client(make_app, moderation):
    return make_app(moderation="input").test_client()


def ask(client, data):
    return client.post("/api/chat", json=body_of(part(encoded(data))))


def with_image(*, pages=1):
    image = Image.new("RGB", (80, 60), "red")
    buffer = io.BytesIO()
    image.save(buffer, "PDF", save_all=True, append_images=[image] * (pages - 1))
    return buffer.getvalue()


def with_note():
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf("Hello")))
    writer.add_annotation(0, FreeText(text="bad words", rect=(9, 9, 99, 99)))
    writer.pages[0]["/Annots"][0].get_object()[pypdf.generic.NameObject("/AP")] = pypdf.generic.DictionaryObject()
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def test_a_file_whose_text_is_flagged_is_refused(client, moderation):
    answer = ask(client, pdf("Invoice", "some bad words"))

    assert (answer.status_code, answer.json["code"]) == (422, "content_filter")
    assert moderation.others == []


def test_another_is_sent_as_it_is(client, moderation, upstream):
    data = pdf("Invoice", "Total: 12")

    assert ask(client, data).status_code == 200
    assert "Total: 12" in str(moderation.shown)
    assert sent_files(upstream) == [
        {"filename": "file.pdf", "file_data": "data:application/pdf;base64," + encoded(data)}
    ]


def test_its_images_are_shown_each(client, moderation):
    assert ask(client, with_image(pages=2)).status_code == 200

    shown = [each[0]["image_url"]["url"] for each in moderation.shown if isinstance(each[0], dict)]
    assert len(shown) == 2
    for url in shown:
        image = Image.open(io.BytesIO(base64.b64decode(url.removeprefix("data:image/jpeg;base64,"))))
        assert (image.size, image.format) == ((80, 60), "JPEG")


def test_an_image_in_it_that_is_flagged_is_refused(client, moderation):
    moderation.flags = "data:image/jpeg"

    assert ask(client, with_image()).status_code == 422
    assert moderation.others == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (pdf(contents=b"0 0 m 9 9 l S"), "page 1 has content that cannot be moderated"),
        (with_note(), "page 1 has content that cannot be moderated"),
        (with_image(pages=21), "has too much content to moderate: at most 200,000 characters and 20 images."),
        (pdf("x" * 201_000), "has too much content to moderate"),
    ],
    ids=["only lines", "a note", "many images", "much text"],
)
def test_what_cannot_be_moderated_is_refused(client, moderation, data, reason):
    sentence = refusal_of(ask(client, data))

    assert sentence.startswith(f"messages.0.content.1.file: {reason}")
    assert moderation.others == moderation.shown == []


def test_a_blank_page_is_nothing_to_see(client):
    assert ask(client, pdf("Hello", contents=b"")).status_code == 200
