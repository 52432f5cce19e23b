"""Read a PDF file in a side process: the function that runs there, and the fields of its job and its answer."""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import Any

from app.media.data_urls import InvalidBase64, decode_base64, unescape
from app.media.documents.content import read_content
from app.media.documents.pages import PdfRules, UnusableFile, count_pages
from app.media.documents.sent import PdfUrl

TARGET = f"{__name__}:run"


def make_fields(rules: PdfRules, *, is_escaped: bool) -> dict[str, Any]:
    """Return the fields of a job, whose data is the file in base64, which may be escaped as in JSON."""
    return {"rules": asdict(rules), "is_escaped": is_escaped}


def run(fields: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the pages and text of a file, and its base64; no base64 if it equals the given one.

    Args:
        fields: from make_fields().
        data: the file in base64, which may be escaped as in JSON.
    """
    try:
        content = decode_base64(unescape(data) if fields["is_escaped"] else data)
        rules = PdfRules(**fields["rules"])
        pages, text_bytes = count_pages(content, rules)
        text, images = read_content(content) if rules.is_moderated else ("", [])
    except (UnusableFile, InvalidBase64) as refused:
        return {"refused": str(refused)}, b""
    encoded = base64.b64encode(content)
    answer = {"pages": pages, "text_bytes": text_bytes, "text": text, "images": images}
    return answer, b"" if encoded == data else encoded


def read_answer(answer: dict[str, Any], encoded: bytearray, given: bytes | memoryview) -> PdfUrl:
    """Return the file of an answer.

    Args:
        answer: the fields of the answer.
        encoded: the data of the answer.
        given: the base64 that was given to the job.

    Raises:
        UnusableFile: it was refused.
    """
    if "refused" in answer:
        raise UnusableFile(answer["refused"])
    return PdfUrl.create(
        str(encoded or given, "ascii"), answer["pages"], answer["text_bytes"], answer["text"], answer["images"]
    )
