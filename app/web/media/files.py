"""Check a PDF file that is part of a message, and have it read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import unquote

from app.media.data_urls import EmbeddedUrl
from app.media.documents import PdfReading, PdfUrl, UnusableFile
from app.problems import InvalidRequest, Problem
from app.runtime.side_process import PoolBusy

_MAX_HEAD_CHARS = 2_048
_MAX_NAME_CHARS = 100
_UNSAFE = re.compile(r"[^\w .()+-]+")


class FilesBusy(Problem):
    """Other files took so long that this one could not be read within 20 seconds, or within the deadline."""

    status = 503
    code = "concurrency_limit"
    sentence = "Too many files are being read now; try again shortly."
    retry_after_s = 2.0


def read_file(data: str, cut: EmbeddedUrl | None, where: str, reading: PdfReading) -> PdfUrl:
    """Return a PDF as a data URL.

    Args:
        data: a data URL of any type, or base64, as it stands in the body; or the name that stands for it there.
        cut: what was cut out of the body.
        where: its path in the body.
        reading: has it read.

    Raises:
        InvalidRequest: it is neither, or no PDF, encrypted, damaged or too large.
        FilesBusy: it was not read in time.
        Exception: what the claim's check raised.
    """
    with _refusals_of(where):
        if cut is None:
            return reading.read_base64(_split(data))
        head, comma, _ = bytes(cut.content[:_MAX_HEAD_CHARS]).partition(b",")
        if not head.lower().startswith(b"data:"):
            return reading.read_base64(cut.content, is_escaped=cut.is_escaped)
        if not comma or not head.lower().endswith(b";base64"):
            raise UnusableFile("must be in base64.")
        return reading.read_base64(cut.content[len(head) + 1 :], is_escaped=cut.is_escaped)


def choose_name(fields: Mapping[str, str]) -> str:
    """Return a file's name without its folder and what is no letter, digit or usual sign; it ends in .pdf."""
    name = re.split(r"[/\\]", fields.get("filename", ""))[-1]
    stem = name[:-4] if name.lower().endswith(".pdf") else name
    return f"{_UNSAFE.sub('_', stem)[:_MAX_NAME_CHARS].strip(' .') or 'file'}.pdf"


def _split(data: str) -> bytes:
    """Return the base64 of a data URL; of another text the text, unless it is a URL."""
    head, comma, body = data.partition(",")
    if head[:5].lower() == "data:":
        if not comma or not head.lower().replace(" ", "").endswith(";base64"):
            raise UnusableFile("must be in base64.")
    elif "://" in data[:_MAX_HEAD_CHARS]:
        raise UnusableFile("must be the file itself, as a data: URL or base64; URLs are not fetched.")
    else:
        body = data
    # What is not ASCII becomes "?", which base64 does not have.
    return (unquote(body) if "%" in body else body).encode("ascii", "replace")


@contextmanager
def _refusals_of(where: str) -> Iterator[None]:
    """Name the file that is refused within the block."""
    try:
        yield
    except UnusableFile as error:
        raise InvalidRequest(str(error), field=where) from None
    except PoolBusy:
        raise FilesBusy from None
