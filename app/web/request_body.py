"""Read and validate the body of Flask's current request."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from flask import Request, current_app, request
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestEntityTooLarge

from app.problems import InvalidRequest, UnsupportedMediaType
from app.web.request_id import current_request
from app.web.schemas.validation import RequestModel, parse_json

M = TypeVar("M", bound=RequestModel)
T = TypeVar("T")


def read_json_body(model: type[M]) -> M:
    """Read and validate the JSON body.

    Raises:
        UnsupportedMediaType: the Content-Type is not application/json. A page of any site could send another type
            without a preflight.
        InvalidRequest: the body cannot be read, or is not valid.
        RequestEntityTooLarge: the body is larger than MAX_BODY_BYTES.
    """
    request = current_request()
    if request.environ.get("CONTENT_TYPE") != "application/json" and request.mimetype != "application/json":
        raise UnsupportedMediaType
    return parse_json(_read_or_refuse(lambda: _read_content(request)), model)


def read_form_body() -> tuple[MultiDict[str, str], MultiDict[str, FileStorage]]:
    """Read the fields and files of a form.

    Raises:
        InvalidRequest: the body cannot be read.
        RequestEntityTooLarge: the body is larger than MAX_BODY_BYTES.
    """
    return _read_or_refuse(lambda: (request.form, request.files))


def _read_content(request: Request) -> bytes:
    """Return the body. If its length is known it is read at once, without werkzeug's layers that find its end."""
    environ = request.environ
    length = environ.get("CONTENT_LENGTH", "")
    if not length.isdecimal() or "HTTP_TRANSFER_ENCODING" in environ:
        return request.get_data(cache=False)
    if int(length) > current_app.config["MAX_CONTENT_LENGTH"]:
        raise RequestEntityTooLarge
    data: bytes = environ["wsgi.input"].read(int(length))
    if len(data) < int(length) and "wsgi.input_terminated" not in environ:
        raise ClientDisconnected
    return data


def _read_or_refuse(read: Callable[[], T]) -> T:
    try:
        return read()
    except HTTPException:
        raise
    except Exception:
        # The server raises this for broken chunks, or a connection that ended within the body.
        raise InvalidRequest("The body could not be read to its end.") from None
