"""PDF files: honest ones, and ones that lie, are encrypted, or unpack to a thousand times their size."""

from __future__ import annotations

import io
import zlib

import pypdf


def pdf(*texts: str, pages: int | None = None, stated: int | None = None, contents: bytes | None = None) -> bytes:
    """A file with a page for each text, or with the first of them many times.

    Args:
        texts: of the pages.
        pages: how often the only page is listed.
        stated: how many pages the file says that it has.
        contents: the instructions of all pages, compressed, instead of texts.
    """
    texts = texts or ("Hello",)
    objects = {
        1: b"<< /Type /Catalog /Pages 2 0 R >>",
        3: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    }
    kids = []
    filtered = b"" if contents is None else b"/Filter /FlateDecode "
    compressed = None if contents is None else zlib.compress(contents, 9)
    for number, text in enumerate(texts):
        page = 4 + 2 * number
        stream = compressed or b"BT /F1 12 Tf 72 700 Td (%b) Tj ET" % text.encode("latin-1")
        objects[page] = (
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>" % (page + 1)
        )
        objects[page + 1] = b"<< %b/Length %d >>\nstream\n%b\nendstream" % (filtered, len(stream), stream)
        kids.append(b"%d 0 R" % page)
    kids *= pages or 1
    objects[2] = b"<< /Type /Pages /Kids [%b] /Count %d >>" % (b" ".join(kids), stated or len(kids))
    return _written(objects)


def deep(levels: int) -> bytes:
    """A file whose tree of pages has so many levels."""
    objects = {1: b"<< /Type /Catalog /Pages 2 0 R >>"}
    for number in range(2, levels + 2):
        objects[number] = b"<< /Type /Pages /Kids [%d 0 R] /Count 1 >>" % (number + 1)
    objects[levels + 2] = b"<< /Type /Page /Parent %d 0 R /MediaBox [0 0 9 9] >>" % (levels + 1)
    return _written(objects)


def circular() -> bytes:
    """A file whose tree of pages has no end."""
    return _written({1: b"<< /Type /Catalog /Pages 2 0 R >>", 2: b"<< /Type /Pages /Kids [2 0 R] /Count 1 >>"})


def encrypted(user: str, owner: str) -> bytes:
    """A file that is encrypted with these passwords, of which the first may be empty: then everybody can open it."""
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf("Secret")))
    writer.encrypt(user, owner, algorithm="AES-256")
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def updated(text: str, *, before: str) -> bytes:
    """A file with a page, and behind its end mark an update that adds another, as viewers save their changes."""
    writer = pypdf.PdfWriter(io.BytesIO(pdf(before)), incremental=True)
    writer.append(io.BytesIO(pdf(text)))
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def _written(objects: dict[int, bytes]) -> bytes:
    data, at = b"%PDF-1.7\n", {}
    for number, body in sorted(objects.items()):
        at[number] = len(data)
        data += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    size, start = max(objects) + 1, len(data)
    rows = b"".join(
        b"%010d 00000 n \n" % at[number] if number in at else b"0000000000 65535 f \n" for number in range(1, size)
    )
    return (
        data
        + b"xref\n0 %d\n0000000000 65535 f \n" % size
        + rows
        + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, start)
    )
