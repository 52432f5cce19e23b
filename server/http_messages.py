"""Read and write the heads of plain HTTP messages faster than gunicorn, and leave all others to it."""

from __future__ import annotations

import re
import time
from functools import lru_cache
from typing import Any

from gunicorn import util
from gunicorn.http import wsgi
from gunicorn.http.errors import UnsupportedTransferCoding
from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser

from server.arrival import ArrivingBody

_gunicorns_finish_body, _GunicornsErrors = RequestParser.finish_body, wsgi.WSGIErrorsWrapper

# One header with its line end: a name without "_", and a value without the controls that gunicorn refuses. No two
# parts match the same character, so a hostile line costs no more than its length.
_HEADER = re.compile(r"^([A-Za-z0-9-]+):([^\x00-\x08\x0a-\x1f\x7f]*)(?:\r\n|\Z)", re.MULTILINE)


def install_request() -> None:
    """Make gunicorn read requests with the class of this module."""
    RequestParser.mesg_class = PlainRequest


def install() -> None:
    """Make gunicorn use all that is here."""
    install_request()
    RequestParser.finish_body = finish_body
    wsgi.Response = PlainResponse
    wsgi.WSGIErrorsWrapper = _Errors


class PlainRequest(Request):  # type: ignore[misc]
    """A request whose headers are matched in one pass.

    Whatever is not clearly valid goes to gunicorn's parser, so that what is refused, and how, is decided there; but for
    codings of a body.
    """

    has_response = False
    """Whether the head of its response is made, and has said what becomes of the connection."""

    # private API: _peer_trusted_for_forwarded() and _apply_header_policy() of gunicorn's HeaderPolicy; guarded by
    # tests/deploy/test_http_messages.py

    def parse_headers(self, data: bytes, from_trailer: bool = False) -> list[tuple[str, str]]:
        """Return the headers, with names in upper case.

        Raises:
            UnsupportedTransferCoding: the body has a coding that nobody here undoes.
        """
        text = data.decode("latin-1")
        headers = [(name.upper(), value.strip(" \t")) for name, value in _HEADER.findall(text)]
        names = {name for name, _ in headers}
        is_plain = (
            not from_trailer
            and len(headers) == text.count("\n") + 1 == len(names)  # every line is a header, none is repeated
            and len(headers) <= self.limit_request_fields
            and len(data) + 2 <= self.limit_request_field_size
            and "EXPECT" not in names
        )
        if not is_plain:
            headers = super().parse_headers(data, from_trailer)
            names = {name for name, _ in headers}
        if "TRANSFER-ENCODING" in names:
            _check_codings(headers)
        if not is_plain:
            return headers
        if not names.isdisjoint(self.cfg.secure_scheme_headers):
            schemes, forwarders = self._peer_trusted_for_forwarded()
            state, seen = [False], set[str]()
            for name, value in headers:
                self._apply_header_policy(name, value, state, seen, schemes, forwarders)
        return headers


def finish_body(parser: RequestParser, **bounds: Any) -> bool:
    """Read what is left of a request's body, unless nothing is, which takes gunicorn two dozen calls to find out."""
    body = getattr(parser.mesg, "body", None)
    if isinstance(body, ArrivingBody) and body.is_read:
        body.arrival.expect_request()
        return True
    is_finished: bool = _gunicorns_finish_body(parser, **bounds)
    return is_finished


class _Errors:
    """The `wsgi.errors` of a request, which looks for gunicorn's log when something is written to it: hardly ever."""

    def __init__(self, config: Any) -> None:
        self._config = config

    def __getattr__(self, name: str) -> Any:
        return getattr(_GunicornsErrors(self._config), name)


class PlainResponse(wsgi.Response):  # type: ignore[misc]
    """A response that checks the name of a header once for all responses, and formats the date once a second."""

    def process_headers(self, headers: list[tuple[str, str]]) -> None:
        """Check the headers, and keep those that are not hop-by-hop."""
        for name, value in headers:
            if _is_end_to_end(name) and wsgi.HEADER_VALUE_RE.fullmatch(value):
                self.headers.append((name, value.strip(" \t")))
            else:
                super().process_headers([(name, value)])

    def default_headers(self) -> list[str]:
        """Return the first lines of the head."""
        self.sock.is_chunked = self.chunked  # for its relay
        self.req.has_response = True
        connection = "upgrade" if self.upgrade else "close" if self.should_close() else "keep-alive"
        major, minor = self.req.version
        lines = [
            f"HTTP/{major}.{minor} {self.status}\r\n",
            f"Server: {self.version}\r\nDate: {_format_date(int(time.time()))}\r\nConnection: {connection}\r\n",
        ]
        if self.chunked:
            lines.append("Transfer-Encoding: chunked\r\n")
        return lines


def _check_codings(headers: list[tuple[str, str]]) -> None:
    """Refuse a body that is compressed, or said to be plain, within its chunks. gunicorn takes it for plain chunks."""
    values = [value for name, value in headers if name == "TRANSFER-ENCODING"]
    codings = [coding.strip(" \t").lower() for value in values for coding in value.split(",")]
    # What does not end with chunks, or has them twice, is no valid HTTP: gunicorn says so.
    if codings[-1] == "chunked" and set(codings[:-1]) - {"chunked"}:
        raise UnsupportedTransferCoding(", ".join(values))


@lru_cache(maxsize=256)
def _is_end_to_end(name: Any) -> bool:
    """Return whether a header's name is valid and has no meaning for gunicorn."""
    is_valid = isinstance(name, str) and wsgi.TOKEN_RE.fullmatch(name) is not None
    return is_valid and name.lower() != "content-length" and not util.is_hoppish(name)


@lru_cache(maxsize=1)
def _format_date(second: int) -> str:
    date: str = util.http_date(second)
    return date
