"""The bodies of forms, as browsers and others write them."""

from __future__ import annotations

from urllib.parse import quote_plus

import pytest

from app.runtime.turns import split_in_turns
from app.web.forms import bodies
from tests.fakes.tables import each_row

FIELDS = "application/x-www-form-urlencoded"


def asked(upstream):
    return upstream.sent[-1].body["messages"][-1]["content"]


@pytest.mark.parametrize("text", ["ж % + & = 😀 %41\r\n", "a" * 7 + "%", "ж" * 20, "100 %zz"])
@pytest.mark.parametrize("size", [3, 4, 5, 64])
def test_a_text_is_read_as_it_was_written_wherever_it_is_cut(client, upstream, monkeypatch, text, size):
    monkeypatch.setattr(bodies, "_SLICE_BYTES", size)

    answer = client.post("/embed/ask", data=f"message={quote_plus(text)}&", content_type=FIELDS)

    assert answer.status_code == 200
    assert asked(upstream) == text


@pytest.mark.parametrize(("sent", "read"), [(b"100 %", "100 %"), (b"%zz%4", "%zz%4"), (b"a%FFb\xff", "a�b�")])
def test_what_is_no_escape_stays(client, upstream, sent, read):
    assert client.post("/embed/ask", data=b"message=" + sent, content_type=FIELDS).status_code == 200

    assert asked(upstream) == read


@each_row("window", [1, 2, 3, 1_000])
@each_row("most", [0, 1, 2, 9])
@each_row("data", [b"", b"--a", b"--a--a--ab--a", b"x--a-y--", b"no"])
def test_a_split_in_turns_is_a_split(monkeypatch, data, most, window):
    monkeypatch.setattr("app.runtime.turns._WINDOW_BYTES", window)

    assert list(split_in_turns(data, b"--a", most)) == data.split(b"--a", most)


@pytest.mark.parametrize("route", ["/embed/ask", "/api/vision"])
@pytest.mark.parametrize("end", ["", "\r\n", "; x=" + "a" * 9_000 + "\r\n\r\nHi\r\n--a--\r\n"])
def test_a_part_without_a_whole_header_of_some_length_is_refused(client, upstream, route, end):
    body = f'--a\r\nContent-Disposition: form-data; name="prompt"{end}'

    answer = client.post(route, data=body, content_type="multipart/form-data; boundary=a")

    assert answer.status_code == 400
    assert "The header of a part of the form is not complete, or too long." in answer.text
    assert not upstream.sent
