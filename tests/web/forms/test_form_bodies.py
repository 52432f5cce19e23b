"""The bodies of forms, as browsers and others write them."""

from __future__ import annotations

from urllib.parse import quote_plus

import pytest

from app.runtime.turns import split_in_turns
from app.web.forms import bodies
from tests.fakes.tables import each_row

pytestmark = pytest.mark.usefixtures("kept_side_processes")

FIELDS = "application/x-www-form-urlencoded"


def asked(upstream):
    return upstream.sent[-1].body["messages"][-1]["content"]


@each_row("text", ["ж % + & = 😀 %41\r\n", "a" * 7 + "%", "ж" * 20, "100 %zz"])
@each_row("size", [3, 4, 5, 64])
def test_a_text_is_read_as_it_was_written_wherever_it_is_cut(client, upstream, monkeypatch, text, size):
    monkeypatch.setattr(bodies, "_SLICE_BYTES", size)

    answer = client.post("/embed/ask", data=f"message={quote_plus(text)}&", content_type=FIELDS)

    assert answer.status_code == 200
    assert asked(upstream) == text


@each_row(("sent", "read"), [(b"100 %", "100 %"), (b"%zz%4", "%zz%4"), (b"%EF%BF%BD", "�")])
def test_what_is_no_escape_stays(client, upstream, sent, read):
    assert client.post("/embed/ask", data=b"message=" + sent, content_type=FIELDS).status_code == 200

    assert asked(upstream) == read


@each_row("window", [1, 2, 3, 1_000])
@each_row("most", [0, 1, 2, 9])
@each_row("data", [b"", b"--a", b"--a--a--ab--a", b"x--a-y--", b"no"])
def test_a_split_in_turns_is_a_split(monkeypatch, data, most, window):
    monkeypatch.setattr("app.runtime.turns._WINDOW_BYTES", window)

    assert list(split_in_turns(data, b"--a", most)) == data.split(b"--a", most)


@each_row("route", ["/embed/ask", "/api/vision"])
@each_row("end", ["", "\r\n", "; x=" + "a" * 9_000 + "\r\n\r\nHi\r\n--a--\r\n"])
def test_a_part_without_a_whole_header_of_some_length_is_refused(client, upstream, route, end):
    body = f'--a\r\nContent-Disposition: form-data; name="prompt"{end}'

    answer = client.post(route, data=body, content_type="multipart/form-data; boundary=a")

    assert answer.status_code == 400
    assert "The header of a part of the form is incomplete or too long." in answer.text
    assert not upstream.sent


NOT_UTF_8 = {
    "a byte": b"a\xffb",
    "a surrogate": b"\xed\xa0\x80",
    "an overlong sign": b"\xc0\xaf",
    "half a sign": "é".encode()[:1],
    "Latin-1": "é".encode("latin-1"),
}


def part(name: bytes, value: bytes, more: bytes = b"") -> bytes:
    return b'--a\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % (name, more, value)


@each_row("name", NOT_UTF_8)
@each_row("route", ["/api/vision", "/api/vision/stream", "/embed/ask"])
def test_a_field_that_is_not_in_utf_8_is_refused_as_in_json(client, upstream, route, name):
    field = b"prompt" if "vision" in route else b"message"
    body = part(field, NOT_UTF_8[name]) + part(b"model", b"x") + b"--a--\r\n"

    answers = [client.post(route, data=body, content_type="multipart/form-data; boundary=a")]
    if route == "/embed/ask":
        answers.append(client.post(route, data=b"message=" + NOT_UTF_8[name], content_type=FIELDS))

    for answer in answers:
        assert answer.status_code == 400
        assert "A field of the form is not valid UTF-8." in answer.text
    assert not upstream.sent


@each_row(
    ("kind", "value", "status"),
    [
        (b"", "é � 😀".encode(), 200),
        (b"\r\nContent-Type: text/plain; charset=utf-8", "é".encode(), 200),
        (b"\r\nContent-Type: text/plain; charset=iso-8859-1", b"\xe9", 200),
        (b"\r\nContent-Type: text/plain; charset=us-ascii", "é".encode(), 400),
        (b"\r\nContent-Type: text/plain; charset=utf-7", b"\xe9", 400),
    ],
)
def test_a_field_is_read_in_its_own_charset(client, upstream, kind, value, status):
    body = part(b"message", value, kind) + b"--a--\r\n"

    answer = client.post("/embed/ask", data=body, content_type="multipart/form-data; boundary=a")

    assert answer.status_code == status
    if status == 200:
        assert asked(upstream) in ("é � 😀", "é")


def test_the_bytes_of_a_file_are_no_text(client, upstream):
    body = part(b"prompt", b"Hi") + part(b"image", b"\xff\xfe", b'; filename="a.png"') + b"--a--\r\n"

    answer = client.post("/api/vision", data=body, content_type="multipart/form-data; boundary=a")

    assert answer.status_code == 400
    assert "UTF-8" not in answer.text
    assert not upstream.sent
