"""The data URL of a PDF file as it is sent to the model."""

from __future__ import annotations

from collections.abc import Sequence


class PdfUrl(str):
    """A data URL in base64 with facts about the file, whose tokens could not be counted otherwise without reading it.

    Attributes:
        pages: the number of pages.
        text_bytes: of all its text, in UTF-8.
        text, images: all text, and the images as data URLs; empty unless it is moderated.
    """

    __slots__ = ("images", "pages", "text", "text_bytes")

    pages: int
    text_bytes: int
    text: str
    images: Sequence[str]

    @classmethod
    def create(
        cls, base64: str, pages: int, text_bytes: int, text: str = "", images: Sequence[str] = ()
    ) -> PdfUrl:
        """Return the URL of a file."""
        url = cls(f"data:application/pdf;base64,{base64}")
        url.pages, url.text_bytes = pages, text_bytes
        url.text, url.images = text, images
        return url
