"""Read the text and images of a PDF file, for moderation. The file determines how long this takes."""

from __future__ import annotations

import base64
import io
from typing import Any

from app.media.documents.pages import UnusableFile, open_pdf

MAX_TEXT_CHARS = 200_000
MAX_IMAGES = 20
_MAX_SIDE = 1_024
_UNSEEN = "page {} has content that cannot be moderated, because neither its text nor its images can be read."


def read_content(data: bytes) -> tuple[str, list[str]]:
    """Return all text of a file that pages.count_pages() has accepted, and its images as data URLs.

    Raises:
        UnusableFile: a page has visible content that cannot be read; or there is too much content to moderate.
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
        texts.append(text.encode("utf-8", "replace").decode())  # lone surrogates cannot be sent
        images += found
        if sum(map(len, texts)) > MAX_TEXT_CHARS or len(images) > MAX_IMAGES:
            raise UnusableFile(
                f"has too much content to moderate: at most {MAX_TEXT_CHARS:,} characters and {MAX_IMAGES} images."
            )
    return "\n".join(texts), images


def _has_contents(page: Any) -> bool:
    contents = page.get_contents()
    return contents is not None and bool(contents.get_data().strip())


def _has_drawn_notes(page: Any) -> bool:
    """Return whether a page has visible annotations, such as forms and stamps; links are not visible."""
    return any("/AP" in note.get_object() for note in page.get("/Annots") or ())


def _encode(image: Any) -> str:
    image.thumbnail((_MAX_SIDE, _MAX_SIDE))
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
