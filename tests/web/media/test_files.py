"""PDF files in conversations, through the real application and its side process."""

from __future__ import annotations

import base64
import json

import pytest

from tests.fakes.tables import each_row
from tests.fakes.wire.bodies import refusal_of
from tests.media.documents.pdfs import encrypted, pdf

pytestmark = pytest.mark.usefixtures("kept_side_processes")

PDF = pdf("Invoice", "Total: 12")
ASK = {"type": "text", "text": "JSON: what is the total?"}


def encoded(data):
    return base64.b64encode(data).decode()


URL = "data:application/pdf;base64," + encoded(PDF)


def part(data=URL, **fields):
    return {"type": "file", "file": {"file_data": data, **fields}}


def body_of(*parts):
    return {"messages": [{"role": "user", "content": [ASK, *parts]}]}


def sent_files(upstream):
    return [
        part["file"]
        for message in upstream.sent[-1].body["messages"]
        if isinstance(message["content"], list)
        for part in message["content"]
        if part["type"] == "file"
    ]


@pytest.fixture(scope="module")
def large():
    """More than is left in a JSON text, in base64."""
    return pdf(*["x" * 1_000] * 60)


def test_every_spelling_of_a_file_arrives_as_a_data_url(make_app, upstream, large):
    client = make_app(max_json_bytes=3_000).test_client()
    given = [
        part(filename="invoice.pdf"),
        part(encoded(PDF)),
        part("data:text/plain;base64," + encoded(PDF), filename="../../etc/pass:wd"),
        {"type": "input_file", "filename": "C:\\Bills\\Größe (1).PDF", "file_data": URL, "file_id": None},
        part(encoded(large), filename=None),
        part("data:application/pdf;base64," + encoded(large), filename=".pdf"),
    ]

    names = []
    for one in given:
        assert client.post("/api/chat", json=body_of(one)).status_code == 200
        [sent] = sent_files(upstream)
        data = large if encoded(large) in json.dumps(one) else PDF
        assert sent["file_data"] == "data:application/pdf;base64," + encoded(data)
        names.append(sent["filename"])
    assert names == ["invoice.pdf", "file.pdf", "pass_wd.pdf", "Größe (1).pdf", "file.pdf", "file.pdf"]
    assert client.post("/api/chat", json=body_of({"type": "text", "text": encoded(large)})).status_code == 413


@each_row("route", ["/api/structured", "/api/chat/stream"])
def test_other_routes_take_files_as_well(client, upstream, route):
    upstream.clear()

    client.post(route, json=body_of(part())).get_data()

    assert sent_files(upstream) == [{"filename": "file.pdf", "file_data": URL}]


def test_what_is_no_usable_file_is_refused_and_named(make_app, upstream):
    client = make_app(max_file_pages=3, max_file_bytes=5_000).test_client()
    refused = {
        "must be a PDF.": [part(encoded(b"GIF89a"))],
        "is damaged.": [part(encoded(b"%PDF-1.7 rubbish"))],
        "is encrypted; save it without a password.": [part(encoded(encrypted("secret", "owner")))],
        "has 4 pages; at most 3 are accepted.": [part(encoded(pdf(pages=4)))],
        "must be the file itself, as a data: URL or base64; URLs are not fetched.": [
            part("https://example.com/a.pdf")
        ],
        "is not valid base64.": [part("%%%%")],
        "must be in base64.": [part("data:application/pdf,%PDF-1.7")],
    }

    for sentence, parts in refused.items():
        assert (
            refusal_of(client.post("/api/chat", json=body_of(*parts))) == f"messages.0.content.1.file: {sentence}"
        )
    # All files of a request together.
    sentence = refusal_of(client.post("/api/chat", json=body_of(part(), part())))
    assert sentence == "messages.0.content.2.file: has 2 pages; at most 1 are accepted."
    assert "bytes; at most 5,000" in refusal_of(client.post("/api/chat", json=body_of(part(encoded(PDF * 9)))))
    assert upstream.sent == []


@each_row(
    ("given", "sentence"),
    [
        ({"type": "file"}, "Missing messages.0.content.1.file."),
        ({"type": "file", "file": {}}, "messages.0.content.1.file: file_data is missing."),
        ({"type": "file", "file": {"file_id": "file-1"}}, "messages.0.content.1.file: file_id is not accepted; "),
        ({"type": "input_file", "file_url": "https://x"}, "messages.0.content.1: file_url is not accepted; "),
        ({"type": "file", "file": {"file_data": ""}}, "messages.0.content.1.file.file_data: "),
        ({"type": "file", "file": {"file_data": URL, "more": 1}}, "Unknown field messages.0.content.1.file.more."),
    ],
)
def test_wrong_fields_are_refused_and_named(client, upstream, given, sentence):
    assert refusal_of(client.post("/api/chat", json=body_of(given))).startswith(sentence)
    assert upstream.sent == []


@each_row(
    ("ceiling", "asked", "sent", "header"),
    [
        ("auto", "auto", "auto", None),
        ("auto", None, "auto", None),
        ("high", "auto", "high", "detail=high"),
        ("high", "low", "low", None),
        ("high", None, "high", None),
        ("low", "high", "low", "detail=low"),
        ("low", "low", "low", None),
    ],
)
def test_the_site_sets_a_ceiling_for_the_detail(make_app, upstream, ceiling, asked, sent, header):
    client = make_app(max_image_detail=ceiling).test_client()
    url = "https://example.com/cat.png"
    detail = {} if asked is None else {"detail": asked}
    bodies = {
        "/api/chat": body_of({"type": "image_url", "image_url": {"url": url, **detail}}),
        "/api/vision": {"prompt": "What?", "imageUrl": url, **detail},
    }

    for route, body in bodies.items():
        answer = client.post(route, json=body)
        assert upstream.sent[-1].body["messages"][0]["content"][1]["image_url"]["detail"] == sent
        assert answer.headers.get("X-Params-Adjusted") == header
