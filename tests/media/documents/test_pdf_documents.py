from __future__ import annotations

import base64
import time
from dataclasses import replace

import pytest

from app.media.documents import (
    PdfReading,
    PdfRules,
    PdfUrl,
    UnusableFile,
    job,
    make_document_processes,
    max_file_tokens,
)
from app.media.images import max_page_tokens
from app.models.token_counts.estimates import bound_input, estimate_input
from app.runtime.side_process import Claim, JobKilled, SideProcessPool
from tests.media.documents.pdfs import circular, deep, encrypted, pdf, updated
from tests.media.images.pictures import encoded, photo

RULES = PdfRules(max_bytes=1_000_000, max_pages=10)


def read(data, rules=RULES, *, is_escaped=False):
    """What comes of a file, by the function that runs in the side process, in this one."""
    given = data if is_escaped else base64.b64encode(data)
    return job.read_answer(*map_answer(job.run(job.make_fields(rules, is_escaped=is_escaped), given)), given)


def map_answer(answer):
    fields, encoded_file = answer
    return fields, bytearray(encoded_file)


def test_a_file_is_sent_byte_for_byte_with_its_pages_and_texts_counted():
    data = pdf("Hello", "Привет".encode().decode("latin-1"))

    url = read(data)

    assert url == "data:application/pdf;base64," + base64.b64encode(data).decode()
    assert url.pages == 2
    assert url.text_bytes >= len("Hello") + len("Привет")


def test_base64_may_be_written_in_any_way():
    data = pdf("Hello")
    lines = base64.urlsafe_b64encode(data).rstrip(b"=")

    assert read(b"\\n".join([lines[:100], lines[100:]]), is_escaped=True) == read(data)


@pytest.mark.parametrize("lacking", [b"%%EOF\n", b"\n%%EOF\n"], ids=["the mark", "its line"])
def test_a_file_without_its_end_mark_is_read_and_sent_as_it_is(lacking):
    data = pdf("Hello").removesuffix(lacking)

    url = read(data)

    assert (url.pages, url) == (1, "data:application/pdf;base64," + base64.b64encode(data).decode())


@pytest.mark.parametrize("is_cut", [False, True])
def test_the_newest_state_of_a_file_is_what_counts(is_cut):
    data = updated("Seen last", before="Hello")
    if is_cut:
        data = data[: data.rindex(b"%%EOF")]

    url = read(data, replace(RULES, is_moderated=True))

    assert (url.pages, url.text) == (2, "Hello\nSeen last")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (encoded(photo(), "PNG"), "must be a PDF."),
        (encoded(photo(), "GIF") + pdf(), "must be a PDF."),
        (b"", "must be a PDF."),
        (b"%PDF-1.7\n" + b"x" * 1_000, "is damaged."),
        (b"%PDF-1.7", "is damaged."),
        (circular(), "is damaged."),
        (encrypted("user", "owner"), "is encrypted; save it without a password."),
        (encrypted("", "owner"), "is encrypted; save it without a password."),
        (pdf(pages=11), "has 11 pages; at most 10 are accepted."),
        (pdf(pages=5_000), "has 5,000 pages; at most 10 are accepted."),
        (pdf(pages=11, stated=1), "has 11 pages; at most 10 are accepted."),
        (pdf("x" * 1_000_000), "has 1,000,5"),
    ],
    ids=[
        "image",
        "both",
        "empty",
        "rubbish",
        "head",
        "circle",
        "password",
        "owner",
        "pages",
        "many",
        "lie",
        "large",
    ],
)
def test_a_file_that_cannot_be_used_is_refused_for_a_reason(data, sentence):
    with pytest.raises(UnusableFile) as refused:
        read(data)

    assert str(refused.value).startswith(sentence)


@pytest.mark.parametrize("levels", [50, 5_000])
def test_a_deep_tree_of_pages_is_read_or_refused(levels):
    try:
        assert read(deep(levels)).pages == 1
    except UnusableFile as refused:
        assert str(refused) == "is damaged."


def test_a_text_that_takes_too_long_is_bounded_by_its_instructions(monkeypatch):
    monkeypatch.setattr("app.media.documents.pages._TEXT_CPU_S", -1.0)

    assert read(pdf("Hello")).text_bytes > len("BT Hello ET")


@pytest.mark.parametrize("rubbish", [b"!!!!", b"a", "é".encode(), b"JVBERi0\xff"])
def test_rubbish_is_refused(rubbish):
    with pytest.raises(UnusableFile, match="is not valid base64"):
        job.read_answer(*map_answer(job.run(job.make_fields(RULES, is_escaped=False), rubbish)), rubbish)


def test_a_file_that_ends_its_side_process_is_refused(monkeypatch):
    def fail(*_):
        raise JobKilled

    monkeypatch.setattr(SideProcessPool, "run", fail)
    reading = PdfReading(RULES, make_document_processes(1_000_000), Claim("me", 0.0, lambda: None))

    with pytest.raises(UnusableFile, match=r"takes too much work to read\."):
        reading.read_base64(base64.b64encode(pdf()))


@pytest.mark.thorough
def test_a_bomb_takes_the_side_process_only(monkeypatch):
    monkeypatch.setattr("app.media.documents.intake._CPU_S", 0)  # the rest of its first second
    reading = PdfReading(
        RULES, make_document_processes(1_000_000), Claim("me", time.monotonic() + 60, lambda: None)
    )
    bomb = pdf(*["x"] * 10, contents=b"BT (" + b"x" * 20_000_000 + b") Tj ET")
    assert len(bomb) < 1_000_000
    try:
        # Ten pages of 20 MB: if its text can be counted within the limits, then as what it is.
        url = reading.read_base64(base64.b64encode(bomb))
        assert url.text_bytes > 20_000_000
    except UnusableFile as refused:
        assert str(refused) in ("takes too much work to read.", "is damaged.")
    finally:
        reading.processes.close()


def test_the_bound_of_a_file_is_that_of_its_pages_and_their_text():
    url = PdfUrl.create("JVBERi0" * 10_000, pages=3, text_bytes=7_000)
    body = {
        "messages": [
            {"role": "user", "content": [{"type": "file", "file": {"filename": "a.pdf", "file_data": url}}]}
        ]
    }

    for model in ("gpt-6.1-terra", "gpt-4o", "gpt-4o-mini", "unknown"):
        bound = max_file_tokens(3, 7_000, max_page_tokens(model))
        assert bound <= bound_input(body, model) <= bound + 200
        assert estimate_input(body) < bound
    assert 2_500 * 1.2 <= max_page_tokens("gpt-6.1-terra") <= 7_000
    assert max_page_tokens("gpt-4o") >= 85 + 8 * 170
