"""Check a PDF file in a message, and have a side process read it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from app.media.data_urls import EmbeddedUrl, find_base64
from app.media.documents import PdfReading, PdfUrl, UnusableFile
from app.problems import InvalidRequest, Problem
from app.runtime.side_process import PoolBusy

_MAX_URL_CHARS = 2_048
_NOT_BASE64 = "must be in base64."
_MAX_NAME_CHARS = 100
_UNSAFE = re.compile(r"[^\w .()+-]+")


class FilesBusy(Problem):
    """Other files took so long that this one was not read within 20 seconds, or within the deadline."""

    status = 503
    code = "concurrency_limit"
    sentence = "Too many files are being read now; try again shortly."
    retry_after_s = 2.0


def read_file(data: str, cut: EmbeddedUrl | None, where: str, reading: PdfReading) -> PdfUrl:
    """Return a PDF as a data URL.

    Args:
        data: a data URL of any type, or base64, as in the body; or the placeholder of one that was cut out of the body.
        cut: the content that was cut out; None if nothing was.
        where: the file's path in the body.
        reading: reads the file.

    Raises:
        InvalidRequest: the data is neither, or the file is not a PDF, or it is encrypted, damaged or too large.
        FilesBusy: the file was not read in time.
        Exception: any error that the claim's check raised.
    """
    with _name_file_in_errors(where):
        if cut is None:
            return reading.read_base64(_extract_base64(data))
        content = cut.find_base64()
        if content is None:
            raise UnusableFile(_NOT_BASE64)
        return reading.read_base64(content, is_escaped=cut.is_escaped)


def choose_name(fields: Mapping[str, str]) -> str:
    """Return a safe file name that ends in .pdf: without its folder, and with unusual characters replaced."""
    name = re.split(r"[/\\]", fields.get("filename", ""))[-1]
    stem = name[:-4] if name.lower().endswith(".pdf") else name
    return f"{_UNSAFE.sub('_', stem)[:_MAX_NAME_CHARS].strip(' .') or 'file'}.pdf"


def _extract_base64(data: str) -> bytes:
    """Return the base64 data of a data URL, or of a text that is no URL."""
    if data[:5].lower() != "data:" and "://" in data[:_MAX_URL_CHARS]:
        raise UnusableFile("must be the file itself, as a data: URL or base64; URLs are not fetched.")
    encoded = find_base64(data)
    if encoded is None:
        raise UnusableFile(_NOT_BASE64)
    return encoded


@contextmanager
def _name_file_in_errors(where: str) -> Iterator[None]:
    """Turn errors in the block into ones for the caller, with the path of the file."""
    try:
        yield
    except UnusableFile as error:
        raise InvalidRequest(str(error), field=where) from None
    except PoolBusy:
        raise FilesBusy from None
