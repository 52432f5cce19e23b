"""Count the pages of a PDF file and the bytes of their text. The file determines how long this takes."""

from __future__ import annotations

import io
import logging
import time
from dataclasses import dataclass
from typing import Any

_START = b"%PDF-"
_BLANK = b"\xef\xbb\xbf \t\r\n"
_END = b"%%EOF"
# The time for reading text. For later pages, the bytes of their instructions are counted, which exceed those of the text.
_TEXT_CPU_S = 4.0


class UnusableFile(ValueError):
    """A file is refused. The message completes a sentence that begins with the file's name."""


@dataclass(frozen=True, slots=True)
class PdfRules:
    """The limits of accepted files.

    Attributes:
        max_bytes: of the file.
        max_pages: of the file.
        is_moderated: whether its content must be readable for moderation.
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
    """Return the number of pages, and the number of bytes of all their text.

    Raises:
        UnusableFile: it is not a PDF, or is encrypted, damaged or too large.
    """
    rules.check_length(len(data))
    if not data[:64].lstrip(_BLANK).startswith(_START):
        raise UnusableFile("must be a PDF.")
    try:
        reader = open_pdf(data)
        if reader.is_encrypted:
            raise UnusableFile("is encrypted; save it without a password.")
        # len() walks through all pages; it does not use the number that the file states.
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

    Viewers use the last `startxref`. pypdf looks for the last end mark, and would read an older version of the file, or
    fail.
    """
    import pypdf  # slow to import, and only a side process needs it

    logging.getLogger("pypdf").setLevel(logging.CRITICAL + 1)  # it would log content of the file
    end = max(data.rfind(b"\n" + _END), data.rfind(b"\r" + _END))
    if end < data.rfind(b"startxref"):
        data += b"\n" + _END + b"\n"
    return pypdf.PdfReader(io.BytesIO(data))


def _count_text(page: Any, until: float) -> int:
    """Return the number of bytes of a page's text; of its instructions if the text cannot be read in time."""
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
