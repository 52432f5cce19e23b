"""Read the body of an HTML form in bounded time and memory."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from flask import current_app
from werkzeug.datastructures import FileStorage, ImmutableMultiDict, MultiDict

from app.problems import InvalidRequest, UnsupportedMediaType
from app.runtime.turns import in_turns, split_in_turns
from app.web.request_body import buffer_body
from app.web.request_id import current_request

_URLENCODED, _MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"
_MAX_FIELDS = 64
# Names and media types are short. werkzeug takes 0.1 s to parse a header of 1 MB.
_MAX_PART_HEADER_BYTES = 8 * 1024
_HEADER_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_HAS_FILENAME = re.compile(rb";\s*filename\*?\s*=", re.IGNORECASE)
# The charsets that werkzeug supports besides UTF-8.
_OTHER_CHARSET = re.compile(rb";\s*charset\s*=\s*\"?(us-ascii|ascii|iso-8859-1)\b", re.IGNORECASE)
# Decoding takes about 150 bytes of memory per "%".
_SLICE_BYTES = 64 * 1024


def read_form_body() -> tuple[MultiDict[str, str], MultiDict[str, FileStorage]]:
    """Read the fields and files of a form of the type multipart/form-data.

    Raises:
        InvalidRequest: the header of a part is too long, a field is not text, or the body cannot be read.
        RequestEntityTooLarge, RequestTimeout, TooManySlowRequests: as in read_json_body().
    """
    request = current_request()
    _check_parts(buffer_body(), request.mimetype_params.get("boundary", ""))
    form, files = request.form, request.files
    request.environ["wsgi.input"].truncate(0)  # frees the body, as the files are copies
    return form, files


def read_text_form() -> MultiDict[str, str]:
    """Read the fields of a form without files. The body can be read again afterwards.

    Raises:
        UnsupportedMediaType: the body is not a form.
        InvalidRequest: the form has too many fields or has files, a field is not text, or the body cannot be read.
        RequestEntityTooLarge, RequestTimeout, TooManySlowRequests: as in read_json_body().
    """
    request = current_request()
    if request.mimetype not in (_URLENCODED, _MULTIPART):
        raise UnsupportedMediaType("Send the body as a form: application/x-www-form-urlencoded.")
    data = buffer_body(current_app.config["MAX_JSON_BYTES"])
    if request.mimetype == _URLENCODED:
        if "form" not in request.__dict__:
            request.form = _parse_urlencoded(data)
        return request.form
    _check_parts(data, request.mimetype_params.get("boundary", ""))
    form = request.form
    request.environ["wsgi.input"] = io.BytesIO(data)
    if request.files:
        raise InvalidRequest("The form must not have files.")
    return form


def _check_parts(data: bytes, boundary: str) -> None:
    """Refuse headers that take long to parse, and fields in which werkzeug would replace invalid bytes."""
    max_field_bytes = current_app.config["MAX_FORM_MEMORY_SIZE"]
    parts = split_in_turns(data, b"--" + boundary.encode("latin-1", "replace"), _MAX_FIELDS + 1)
    next(parts)  # the preamble
    for part in parts:
        if part.startswith(b"--"):
            continue  # the end of the form
        end = _HEADER_END.search(part, 0, _MAX_PART_HEADER_BYTES)
        if end is None:
            raise InvalidRequest("The header of a part of the form is incomplete or too long.")
        is_refused_later = len(part) - end.end() > max_field_bytes + len(b"\r\n")
        if not is_refused_later and not _HAS_FILENAME.search(part, 0, end.start()):
            charset = _OTHER_CHARSET.search(part, 0, end.start())
            _read_text(part[end.end() :], charset[1].decode() if charset else "utf-8")


def _parse_urlencoded(data: bytes) -> ImmutableMultiDict[str, str]:
    if data.count(b"&") >= _MAX_FIELDS:
        raise InvalidRequest(f"The form must have at most {_MAX_FIELDS} fields.")
    pairs = (field.partition(b"=") for field in data.split(b"&") if field)
    return ImmutableMultiDict([(_decode(name), _decode(value)) for name, _, value in pairs])


def _decode(text: bytes) -> str:
    decoded = (unquote_to_bytes(piece) for piece in in_turns(_slice(text.replace(b"+", b" "))))
    return _read_text(b"".join(decoded))


def _read_text(data: bytes, charset: str = "utf-8") -> str:
    try:
        return data.decode(charset)
    except UnicodeDecodeError:
        raise InvalidRequest("A field of the form is not valid UTF-8.") from None


def _slice(text: bytes) -> Iterator[bytes]:
    """Yield a text in slices that do not split an escape such as `%20`."""
    begin = 0
    while begin < len(text):
        end = begin + _SLICE_BYTES
        if end < len(text) and (escape := text.rfind(b"%", end - 2, end)) > 0:
            end = escape
        yield text[begin:end]
        begin = end
