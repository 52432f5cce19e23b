"""Count the pages of a PDF file and the bytes of their text. This takes as long as the file demands."""

from __future__ import annotations

import io
import logging
import time
from dataclasses import dataclass
from typing import Any

_START = b"%PDF-"
_BLANK = b"\xef\xbb\xbf \t\r\n"
_END = b"%%EOF"
# Texts are read for so long. Of the pages after that the instructions are counted, which are longer than their text.
_TEXT_CPU_S = 4.0


class UnusableFile(ValueError):
    """A file is refused. The message completes a sentence that begins with the file's name."""


@dataclass(frozen=True, slots=True)
class PdfRules:
    """What is accepted.

    Attributes:
        max_bytes: the largest file.
        max_pages: the most pages.
        is_moderated: whether a moderator must be able to see what is in it.
    """

    max_bytes: int
    max_pages: int
    is_moderated: bool = False

    def check_length(self, length: int) -> None:
        """Raise UnusableFile if a file has too many bytes."""
        if length > self.max_bytes:
            raise UnusableFile(f"has {length:,} bytes; at most {self.max_bytes:,} are accepted.")

    def check_pages(self, pages: int) -> None:
        """Raise UnusableFile if a file has no pages, or too many."""
        if not pages:
            raise UnusableFile("has no pages.")
        if pages > self.max_pages:
            raise UnusableFile(f"has {pages:,} pages; at most {self.max_pages:,} are accepted.")


def count_pages(data: bytes, rules: PdfRules) -> tuple[int, int]:
    """Return the number of pages, and of bytes of all their text.

    Raises:
        UnusableFile: it is no PDF, encrypted, damaged or too large.
    """
    rules.check_length(len(data))
    if not data[:64].lstrip(_BLANK).startswith(_START):
        raise UnusableFile("must be a PDF.")
    try:
        reader = open_pdf(data)
        if reader.is_encrypted:
            raise UnusableFile("is encrypted; save it without a password.")
        # Not the number that the file states: this walks through all of them.
        pages = len(reader.pages)
        rules.check_pages(pages)
        until = time.process_time() + _TEXT_CPU_S
        return pages, sum(_count_text(page, until) for page in reader.pages)
    except (UnusableFile, MemoryError):
        raise
    except Exception:  # pypdf raises a dozen kinds of errors for a broken file, RecursionError among them
        raise UnusableFile("is damaged.") from None


def open_pdf(data: bytes) -> Any:
    """Return the pypdf.PdfReader of a file that may lack its end mark.

    Viewers go by the last `startxref`. pypdf looks for the last mark, and would show an older state of the file, or none.
    """
    import pypdf  # slow to import, and only a side process needs it

    logging.getLogger("pypdf").setLevel(logging.CRITICAL + 1)  # it would log what is in the file
    end = max(data.rfind(b"\n" + _END), data.rfind(b"\r" + _END))
    if end < data.rfind(b"startxref"):
        data += b"\n" + _END + b"\n"
    return pypdf.PdfReader(io.BytesIO(data))


def _count_text(page: Any, until: float) -> int:
    """Return the bytes of a page's text; of its instructions if the text cannot be read, or not soon enough."""
    text = _read_text(page) if time.process_time() < until else None
    if text is not None:
        return len(text.encode("utf-8", "replace"))
    contents = page.get_contents()
    return 0 if contents is None else len(contents.get_data())


def _read_text(page: Any) -> str | None:
    try:
        text: str = page.extract_text()
    except MemoryError:
        raise
    except Exception:  # as above
        return None
    return text
