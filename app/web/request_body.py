"""Read and validate the body of Flask's current request."""

from __future__ import annotations

import errno
import io
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from flask import current_app
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from app.media.data_urls import LARGE_URL_BYTES, EmbeddedUrl, cut_data_urls, put_back
from app.problems import InvalidRequest, Problem, UnsupportedMediaType
from app.runtime.turns import give_turn, in_turns
from app.web.request_id import current_request
from app.web.schemas.json_values import MAX_VALUES, check_value_count, count_extra_bytes, split_list
from app.web.schemas.validation import RequestModel, parse_json, prefix_errors, validate

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

M = TypeVar("M", bound=RequestModel)
T = TypeVar("T")

# Reading, parsing and validating a larger body takes so long that other requests get a turn in between.
_LARGE_BYTES = 256 * 1024
# How much memory the texts of a list may take beyond their size in bytes.
_MAX_OVERHEAD_BYTES = 24 * 1024 * 1024
_IDENTITY_CODINGS = ("", "identity")
_CONNECTION_ERRNOS = {None, errno.EBADF, errno.ENOTCONN, errno.EHOSTUNREACH, errno.ENETUNREACH}


class RequestTimeout(Problem):
    """The request did not arrive within `REQUEST_TIMEOUT_S`."""

    status = 408
    code = "request_timeout"
    sentence = "The request did not arrive in time."


class TooManySlowRequests(Problem):
    """Too many requests from this address arrive slowly at the same time."""

    status = 429
    code = "concurrency_limit"
    sentence = "Too many of your requests arrive slowly at the same time; try again shortly."
    retry_after_s = 1


def read_json_body(model: type[M], max_values: int = MAX_VALUES) -> M:
    """Read and validate the JSON body.

    Args:
        model: the request model of the body.
        max_values: the maximum number of values in the body.

    Raises:
        UnsupportedMediaType: the Content-Type is not application/json, or the body is compressed. Other types are refused
            because a page of any site can send them without a preflight.
        InvalidRequest: the body cannot be read or is not valid.
        RequestEntityTooLarge: the body is larger than the limit.
        RequestTimeout, TooManySlowRequests: it arrives too slowly.
    """
    return parse_json(read_json_text(current_app.config["MAX_JSON_BYTES"]), model, max_values)


def read_json_text(limit: int) -> bytes:
    """Read a JSON body of at most `limit` bytes, without parsing it. Raises the errors of read_json_body()."""
    request = current_request()
    environ = request.environ
    if environ.get("CONTENT_TYPE") != "application/json" and request.mimetype != "application/json":
        raise UnsupportedMediaType
    data = _read_or_refuse(lambda: _read_content(environ, limit))
    if len(data) > _LARGE_BYTES:
        give_turn()
    return data


def read_json_list(
    model: type[M],
    item: type[RequestModel],
    name: str,
    *,
    max_values: int,
    find_urls: Callable[[M], list[str]],
) -> tuple[M, dict[str, EmbeddedUrl]]:
    """Read and validate a JSON body of up to MAX_BODY_BYTES that has one field, a list.

    If the body without its images and files exceeds MAX_JSON_BYTES, it is parsed item by item. Other requests get a turn
    between two items, and each item may have up to MAX_JSON_BYTES.

    Args:
        model: the request model of the body.
        item: the model of an item.
        name: the name of the field.
        max_values: the maximum number of values in the JSON.
        find_urls: returns the URLs of the body's images and files.

    Returns and raises:
        the same as read_json_and_media().
    """
    text, urls = _cut_urls(read_json_text(current_app.config["MAX_CONTENT_LENGTH"]))
    body = _parse_list(text, model, item, name, max_values)
    not_media = urls.keys() - set(find_urls(body)) if urls else None
    if not_media:
        body = _parse_list(put_back(text, urls, not_media), model, item, name, max_values)
    return body, urls


def _parse_list(data: bytes, model: type[M], item: type[RequestModel], name: str, max_values: int) -> M:
    limit = current_app.config["MAX_JSON_BYTES"]
    if len(data) <= limit:
        return parse_json(data, model, max_values)
    check_value_count(data, max_values)
    items: list[RequestModel] = []
    overhead = 0
    for text in in_turns(split_list(data, name, limit)):
        with prefix_errors(f"{name}.{len(items)}"):
            items.append(parse_json(text, item))
        overhead += count_extra_bytes(text)
        if overhead > _MAX_OVERHEAD_BYTES:
            raise RequestEntityTooLarge
    return validate({name: items}, model)


def read_json_and_media(
    parse: Callable[[bytes], M], find_urls: Callable[[M], list[str]], *, bare_images: bool = False
) -> tuple[M, dict[str, EmbeddedUrl]]:
    """Read and validate a JSON body of images, files and at most MAX_JSON_BYTES of other text.

    Args:
        parse: parses and validates JSON text.
        find_urls: returns the URLs of the body's images and files.
        bare_images: whether images may be base64 without a data URL.

    Returns:
        The body, with placeholder names for large images and files; and a mapping from these names to their content.

    Raises:
        the same as read_json_body().
    """
    settings = current_app._get_current_object().config  # type: ignore[attr-defined]  # as services() does
    limit = settings["MAX_JSON_BYTES"]
    text, urls = _cut_urls(read_json_text(settings["MAX_CONTENT_LENGTH"]), bare_images=bare_images)
    if len(text) > limit:
        current_request().environ["wsgi.input"] = io.BytesIO(
            text
        )  # for the format of the error, which may depend on it
        raise RequestEntityTooLarge
    body = parse(text)
    if not urls:
        return body, urls
    not_media = urls.keys() - set(find_urls(body))
    if not_media:  # other texts, such as a prompt, may begin with "data:" too
        _check_length(len(text) + sum(len(urls[name].content) for name in not_media), None, limit)
        body = parse(put_back(text, urls, not_media))
    return body, urls


def _cut_urls(text: bytes, *, bare_images: bool = False) -> tuple[bytes, dict[str, EmbeddedUrl]]:
    return cut_data_urls(text, bare_images=bare_images) if len(text) > LARGE_URL_BYTES else (text, {})


def buffer_body(limit: int | None = None) -> bytes:
    """Read the raw body, up to MAX_BODY_BYTES or another limit, and buffer it so that the view can read it again.

    Raises:
        InvalidRequest, RequestEntityTooLarge, RequestTimeout, TooManySlowRequests: as in read_json_body().
    """
    environ = current_request().environ
    limit = current_app.config["MAX_CONTENT_LENGTH"] if limit is None else limit
    data = _read_or_refuse(lambda: _read_content(environ, limit))
    environ["wsgi.input"] = io.BytesIO(data)
    environ["CONTENT_LENGTH"] = str(len(data))
    return data


def read_start(limit: int) -> bytes:
    """Return as many of the first bytes of an unread body as can be read.

    If the declared length exceeds the limit, return only bytes that have already arrived: the client may wait for the
    response before it sends more.
    """
    environ = current_request().environ
    body = environ["wsgi.input"]
    with suppress(Exception):  # an error is already being answered; further errors do not matter
        length = _read_declared_length(environ, sys.maxsize)
        if length is not None and length > current_app.config["MAX_CONTENT_LENGTH"]:
            arrived: bytes = body.getvalue()  # of BytesIO, or of server/connections/arrival.py
            return arrived[:limit]
        data: bytes = body.read(limit if length is None else min(limit, length))
        return data
    return b""


def _read_content(environ: WSGIEnvironment, limit: int) -> bytes:
    """Return the body. Raises an error if it is incomplete, compressed or larger than the limit."""
    if (
        "HTTP_CONTENT_ENCODING" in environ
        and environ["HTTP_CONTENT_ENCODING"].strip().lower() not in _IDENTITY_CODINGS
    ):
        raise UnsupportedMediaType("Send the body without a Content-Encoding.")
    length = _read_declared_length(environ, limit)
    size = limit + 1 if length is None else length
    data: bytes = environ["wsgi.input"].read(size)
    _check_length(len(data), length, limit)
    return data


def _read_declared_length(environ: WSGIEnvironment, limit: int) -> int | None:
    """Return the Content-Length; None for a chunked body, whose end the server finds."""
    length = environ.get("CONTENT_LENGTH", "")
    if not length.isdecimal():
        return None if "wsgi.input_terminated" in environ else 0
    if int(length) > limit:
        raise RequestEntityTooLarge
    return int(length)


def _check_length(received: int, declared: int | None, limit: int) -> None:
    if received > limit:
        raise RequestEntityTooLarge
    if declared is not None and received < declared:
        raise InvalidRequest("The body is shorter than its Content-Length.")


def _is_connection_error(error: Exception) -> bool:
    """Return whether the client sent invalid chunks (gunicorn's own errors) or its connection ended.

    Any other error, such as a full or read-only disk where a form is stored, is this server's fault.
    """
    if isinstance(error, ConnectionError) or type(error).__module__.startswith("gunicorn."):
        return True
    return isinstance(error, OSError) and error.errno in _CONNECTION_ERRNOS


def _read_or_refuse(read: Callable[[], T]) -> T:
    try:
        return read()
    except (HTTPException, Problem):
        raise
    except TimeoutError:
        raise RequestTimeout from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.EUSERS:  # see server/connections/arrival.py
            raise TooManySlowRequests from None
        if not _is_connection_error(error):
            raise
        raise InvalidRequest("The body could not be read completely.") from None
