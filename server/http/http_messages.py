"""Read and write the heads of plain HTTP messages faster than gunicorn, which handles all others."""

from __future__ import annotations

import os
import re
import time
from functools import lru_cache
from typing import Any

from gunicorn import SERVER_SOFTWARE, util
from gunicorn.http import wsgi
from gunicorn.http.body import LengthReader
from gunicorn.http.errors import InvalidHeader, UnsupportedTransferCoding
from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser

from server.connections.arrival import ArrivedBody, ArrivingBody

_gunicorns_finish_body, _GunicornsErrors = RequestParser.finish_body, wsgi.WSGIErrorsWrapper
_gunicorns_create = wsgi.create

# One header with its line end: a name without "_", and a value without the control characters that gunicorn refuses.
# No two parts match the same character, so the time is linear, even for a hostile line.
_HEADER = re.compile(r"^([A-Za-z0-9-]+):([^\x00-\x08\x0a-\x1f\x7f]*)(?:\r\n|\Z)", re.MULTILINE)
# Numbers, because `in` raises and drops an exception when it searches bytes for bytes.
_LF, _QUESTION_MARK = b"\n?"
# Large enough for the head together with the body of a long conversation.
_FIRST_READ = 32_768
# Longer request lines are not cached.
_USUAL_LINE = 128


def install_request() -> None:
    """Make gunicorn read requests with the class of this module, and finish their bodies."""
    RequestParser.mesg_class = PlainRequest
    RequestParser.finish_body = finish_body


def install() -> None:
    """Make gunicorn use all classes and functions of this module."""
    install_request()
    wsgi.Response = PlainResponse
    wsgi.WSGIErrorsWrapper = _Errors
    if "SCRIPT_NAME" not in os.environ:
        wsgi.create = _create


class PlainRequest(Request):  # type: ignore[misc]
    """A request whose headers are matched in one pass.

    A head that is not clearly valid goes to gunicorn's parser, which decides whether and how to refuse it. Two cases are
    refused here: unsupported codings of a body, and HTTP/1.1 without a Host (RFC 9112 section 3.2).
    """

    has_response = False
    """Whether the head of the response exists, including its Connection header."""

    body: Any
    _arrived = b""
    _has_host = False
    is_plain = False
    """Whether no header is repeated, and none has a name with signs but "-"."""

    def parse(self, unreader: Any) -> bytes:
        """Read the head, and return what has arrived after it, unless set_body_reader() is to have that."""
        data: bytes = unreader.read(read_ahead=_FIRST_READ)
        if not data:
            raise StopIteration
        line_end = data.find(b"\r\n")
        head_end = data.find(b"\r\n\r\n", line_end)
        line = data[: max(line_end, 0)]
        is_whole = 0 < line_end < head_end and line_end <= self.limit_request_line
        if is_whole and _LF not in line and self.cfg.proxy_protocol == "off":
            self.parse_request_line(line)
            self.headers = self.parse_headers(data[line_end + 2 : head_end])
            self._arrived = data[head_end + 4 :]
            return b""
        unreader.unread(data)
        rest: bytes = super().parse(unreader)
        return rest

    def set_body_reader(self) -> None:
        """Determine the length of the body, and whether it arrived completely with the head, as most do."""
        super().set_body_reader()
        if not self._has_host and self.version > (1, 0):
            raise InvalidHeader("HOST", req=self)
        reader, arrived = self.body.reader, self._arrived
        if type(reader) is LengthReader and reader.length <= len(arrived):
            self.body = ArrivedBody(arrived[: reader.length])
            arrived = arrived[reader.length :]
        if arrived:
            self.unreader.unread(arrived)

    def parse_request_line(self, line_bytes: bytes) -> None:
        """Parse the request line with a cache: most requests have the same line as an earlier one."""
        # A query can contain a secret, which must not outlive its request.
        if len(line_bytes) > _USUAL_LINE or _QUESTION_MARK in line_bytes:
            super().parse_request_line(line_bytes)
        else:
            self.__dict__.update(_parse_line(line_bytes, self.cfg))

    # private API: _peer_trusted_for_forwarded() and _apply_header_policy() of gunicorn's HeaderPolicy; guarded by
    # tests/server/http/test_http_messages.py

    def parse_headers(self, data: bytes, from_trailer: bool = False) -> list[tuple[str, str]]:
        """Return the headers, with names in upper case, and apply those that concern the connection.

        Raises:
            UnsupportedTransferCoding: the body has a coding other than chunked.
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
        if not from_trailer:
            self._has_host = "HOST" in names
            if "CONNECTION" in names and "close" in _list_tokens(headers, "CONNECTION"):
                self.force_close()  # gunicorn notices it only if it is the whole value
        if not is_plain:
            return headers
        self.is_plain = True
        if not names.isdisjoint(self.cfg.secure_scheme_headers):
            schemes, forwarders = self._peer_trusted_for_forwarded()
            state, seen = [False], set[str]()
            for name, value in headers:
                self._apply_header_policy(name, value, state, seen, schemes, forwarders)
        return headers


@lru_cache(maxsize=256)
def _parse_line(line: bytes, config: Any) -> dict[str, Any]:
    """Return the attributes that gunicorn sets on a request from its first line."""
    request = object.__new__(Request)
    request.cfg = config
    request.parse_request_line(line)
    del request.cfg
    found: dict[str, Any] = request.__dict__
    return found


def _create(req: Any, sock: Any, client: Any, server: Any, cfg: Any, *more: Any, **others: Any) -> Any:
    """Return the response and the environ of a request. A plain one gets no callback for early hints."""
    is_plain = getattr(req, "is_plain", False) and isinstance(client, tuple) and isinstance(server, tuple)
    if not is_plain or "%" in req.path or req.proxy_protocol_info or more or others:
        return _gunicorns_create(req, sock, client, server, cfg, *more, **others)
    major, minor = req.version
    environ = {
        "wsgi.errors": _Errors(cfg),
        "wsgi.version": (1, 0),
        "wsgi.multithread": False,
        "wsgi.multiprocess": cfg.workers > 1,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": wsgi.FileWrapper,
        "wsgi.input_terminated": True,
        "wsgi.input": req.body,
        "wsgi.url_scheme": req.scheme,
        "gunicorn.socket": sock,
        "SERVER_SOFTWARE": SERVER_SOFTWARE,
        "SERVER_PROTOCOL": f"HTTP/{major}.{minor}",
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
        "REMOTE_ADDR": client[0],
        "REMOTE_PORT": str(client[1]),
        "REQUEST_METHOD": req.method,
        "RAW_URI": req.uri,
        "SCRIPT_NAME": "",
        "PATH_INFO": req.path,
        "QUERY_STRING": req.query,
    }
    for name, value in req.headers:
        environ[_name_in_environ(name)] = value
    return wsgi.Response(req, sock, cfg), environ


@lru_cache(maxsize=256)
def _name_in_environ(header: str) -> str:
    name = header.replace("-", "_")
    return name if header in ("CONTENT-TYPE", "CONTENT-LENGTH") else f"HTTP_{name}"


def finish_body(parser: RequestParser, **bounds: Any) -> bool:
    """Read the rest of a request's body. If there is none, return early: gunicorn needs two dozen calls to find out."""
    body = getattr(parser.mesg, "body", None)
    if isinstance(body, ArrivedBody) or (isinstance(body, ArrivingBody) and body.is_read):
        if body.arrival is not None:
            body.arrival.expect_request()
        return True
    is_finished: bool = _gunicorns_finish_body(parser, **bounds)
    return is_finished


class _Errors:
    """The `wsgi.errors` of a request. It opens gunicorn's log only when something is written, which is rare."""

    def __init__(self, config: Any) -> None:
        self._config = config

    def __getattr__(self, name: str) -> Any:
        return getattr(_GunicornsErrors(self._config), name)


class PlainResponse(wsgi.Response):  # type: ignore[misc]
    """A response that caches the check of its header names, and formats the date once a second."""

    def process_headers(self, headers: list[tuple[str, str]]) -> None:
        """Check the headers, and add those that are not hop-by-hop."""
        length_at = _find_length(tuple([name for name, _ in headers]))
        values = [value for _, value in headers]
        if length_at is None or not _are_plain(values):
            super().process_headers(headers)
            return
        if length_at >= 0:
            self.response_length = int(values[length_at])
        self.headers += [(name, value.strip(" \t")) for name, value in headers]

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
    """Refuse a chunked body with a further coding, such as gzip or identity, which gunicorn would ignore."""
    codings = _list_tokens(headers, "TRANSFER-ENCODING")
    # If chunked is not the last coding, or occurs twice, gunicorn refuses the request as invalid HTTP.
    if codings[-1] == "chunked" and set(codings[:-1]) - {"chunked"}:
        raise UnsupportedTransferCoding(", ".join(codings))


def _list_tokens(headers: list[tuple[str, str]], name: str) -> list[str]:
    """Return the members of a header that is a list, in lower case."""
    values = [value for found, value in headers if found == name]
    return [token.strip(" \t").lower() for value in values for token in value.split(",")]


@lru_cache(maxsize=256)
def _find_length(names: tuple[Any, ...]) -> int | None:
    """Return the index of Content-Length in a list of headers, -1 if absent; None if gunicorn must check the list."""
    if not all(
        isinstance(name, str) and wsgi.TOKEN_RE.fullmatch(name) and not util.is_hoppish(name) for name in names
    ):
        return None
    lengths = [place for place, name in enumerate(names) if name.lower() == "content-length"]
    return None if len(lengths) > 1 else max(lengths, default=-1)


def _are_plain(values: list[Any]) -> bool:
    """Return whether these are valid header values."""
    try:
        return wsgi.HEADER_VALUE_RE.fullmatch("".join(values)) is not None
    except TypeError:
        return False


@lru_cache(maxsize=1)
def _format_date(second: int) -> str:
    date: str = util.http_date(second)
    return date
