"""Parses the heads of responses, with llhttp's lenient options, and repairs duplicate Content-Length headers."""

from __future__ import annotations

import re
from typing import Protocol

import httptools

# httpx2 accepts these as well: folded headers, LF for CRLF, spaces after a chunk's size, a Content-Length beside chunks,
# which is ignored, and unknown HTTP versions. They are dangerous only in a proxy, which forwards responses.
_LENIENCIES = {
    "lenient_headers": True,
    "lenient_optional_cr_before_lf": True,
    "lenient_spaces_after_chunk_size": True,
    "lenient_chunked_length": True,
    "lenient_version": True,
}
_END = re.compile(rb"\r?\n\r?\n")
_INTERIM = re.compile(rb"\A(HTTP/\d\.\d 1\d\d[^\n]*\n([^\r\n][^\n]*\n)*\r?\n)+")  # 100 Continue, 103 Early Hints
_LENGTH_LINE = re.compile(rb"^content-length[ \t]*:([^\r\n]*)\r?\n", re.IGNORECASE | re.MULTILINE)


class Response(Protocol):
    """The object whose httptools callbacks the parser calls."""

    headers: list[tuple[bytes, bytes, bytes]]
    head_complete: bool


class HeadParser:
    """Parses a response until its head is complete. After that, feed its `parser` directly."""

    def __init__(self, response: Response) -> None:
        self._response = response
        self._head = b""
        self.parser = _make_parser(response)

    def feed(self, data: bytes) -> None:
        """Parse the next part of a head, and any data after it.

        A server or a proxy may send Content-Length twice. llhttp refuses that even if both are equal.

        Raises:
            httptools.HttpParserError: the data is not HTTP.
        """
        self._head += data
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            if self._response.head_complete or "Content-Length" not in str(error):
                raise
            self._head = _INTERIM.sub(b"", self._head)
            if _END.search(self._head) is None:
                return  # the head is incomplete; the parser raises the same error for the next part
            repaired = _merge_lengths(self._head)
            if repaired is None:
                raise
            self._response.headers.clear()
            self.parser = _make_parser(self._response)
            self.parser.feed_data(repaired)


def _make_parser(response: Response) -> httptools.HttpResponseParser:
    parser = httptools.HttpResponseParser(response)
    parser.set_dangerous_leniencies(**_LENIENCIES)
    return parser


def _merge_lengths(response: bytes) -> bytes | None:
    """Return a response with one Content-Length instead of several equal ones; None if they differ."""
    end = _END.search(response)
    assert end is not None
    head, body = response[: end.start()] + b"\r\n", response[end.end() :]
    lines: list[bytes] = _LENGTH_LINE.findall(head)
    values = {value.strip() for line in lines for value in line.split(b",")}
    if len(values) != 1 or (len(lines) == 1 and b"," not in lines[0]):
        return None
    return b"%bContent-Length: %b\r\n\r\n%b" % (_LENGTH_LINE.sub(b"", head), values.pop(), body)
