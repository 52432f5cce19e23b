"""Read what a moderator must see of a PDF file: its text and its images. This takes as long as the file demands."""

from __future__ import annotations

import base64
import io
from typing import Any

from app.media.documents.pages import UnusableFile, open_pdf

MAX_TEXT_CHARS = 200_000
MAX_IMAGES = 20
_MAX_SIDE = 1_024
_UNSEEN = "page {} has something that cannot be moderated, as neither its text nor its images can be read."


def read_content(data: bytes) -> tuple[str, list[str]]:
    """Return all text of a file that pages.count_pages() has accepted, and its images as data URLs.

    Raises:
        UnusableFile: a page has what can be seen, but not read; or there is too much to look at.
    """
    texts: list[str] = []
    images: list[str] = []
    for number, page in enumerate(open_pdf(data).pages, 1):
        try:
            text, found = page.extract_text(), [_encode(each.image) for each in page.images]
            is_seen = bool(text.strip() or found or not _has_contents(page)) and not _has_drawn_notes(page)
        except MemoryError:
            raise
        except Exception:  # pypdf and Pillow raise many kinds of errors for broken content
            is_seen = False
        if not is_seen:
            raise UnusableFile(_UNSEEN.format(number))
        texts.append(text.encode("utf-8", "replace").decode())  # half letters cannot be sent
        images += found
        if sum(map(len, texts)) > MAX_TEXT_CHARS or len(images) > MAX_IMAGES:
            raise UnusableFile(
                f"has too much to be moderated: at most {MAX_TEXT_CHARS:,} characters and {MAX_IMAGES} images."
            )
    return "\n".join(texts), images


def _has_contents(page: Any) -> bool:
    contents = page.get_contents()
    return contents is not None and bool(contents.get_data().strip())


def _has_drawn_notes(page: Any) -> bool:
    """Return whether a page has annotations that look like anything, as forms and stamps do; links do not."""
    return any("/AP" in note.get_object() for note in page.get("/Annots") or ())


def _encode(image: Any) -> str:
    image.thumbnail((_MAX_SIDE, _MAX_SIDE))
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
