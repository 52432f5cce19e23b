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

# Reading, parsing and validating a larger body takes so long that others get a turn in between.
_LARGE_BYTES = 256 * 1024
# What the texts of a list may take in memory beyond their bytes.
_MAX_SWELLING_BYTES = 24 * 1024 * 1024
_UNCODED = ("", "identity")
_CONNECTION_ENDED = {None, errno.EBADF, errno.ENOTCONN, errno.EHOSTUNREACH, errno.ENETUNREACH}


class RequestTimeout(Problem):
    """The request did not arrive within `REQUEST_TIMEOUT_S`."""

    status = 408
    code = "request_timeout"
    sentence = "The request did not arrive in time."


class TooManySlowRequests(Problem):
    """Too many requests of this address arrive slowly at the same time."""

    status = 429
    code = "concurrency_limit"
    sentence = "Too many of your requests arrive slowly at the same time; try again shortly."
    retry_after_s = 1


def read_json_body(model: type[M], max_values: int = MAX_VALUES) -> M:
    """Read and validate the JSON body.

    Args:
        model: of the body.
        max_values: how many values it may hold.

    Raises:
        UnsupportedMediaType: the Content-Type is not application/json (a page of any site could send another type
            without a preflight), or the body is compressed.
        InvalidRequest: the body cannot be read, or is not valid.
        RequestEntityTooLarge: the body is larger than the limit.
        RequestTimeout, TooManySlowRequests: it arrives too slowly.
    """
    return parse_json(read_json_text(current_app.config["MAX_JSON_BYTES"]), model, max_values)


def read_json_text(limit: int) -> bytes:
    """Read a JSON body of at most `limit` bytes, without parsing it. Raises as read_json_body() does."""
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

    If it is larger than MAX_JSON_BYTES without its images and files, others have their turn between two items, and that
    is the limit of each.

    Args:
        model: of the body.
        item: the model of an item.
        name: of the field.
        max_values: how many values the JSON may hold.
        find_urls: returns the body's images and files, by their URLs.

    Returns and raises:
        the same as read_json_and_media().
    """
    text, urls = _cut(read_json_text(current_app.config["MAX_CONTENT_LENGTH"]))
    body = _parse_list(text, model, item, name, max_values)
    elsewhere = urls.keys() - set(find_urls(body)) if urls else None
    if elsewhere:
        body = _parse_list(put_back(text, urls, elsewhere), model, item, name, max_values)
    return body, urls


def _parse_list(data: bytes, model: type[M], item: type[RequestModel], name: str, max_values: int) -> M:
    limit = current_app.config["MAX_JSON_BYTES"]
    if len(data) <= limit:
        return parse_json(data, model, max_values)
    check_value_count(data, max_values)
    items: list[RequestModel] = []
    swelling = 0
    for text in in_turns(split_list(data, name, limit)):
        with prefix_errors(f"{name}.{len(items)}"):
            items.append(parse_json(text, item))
        swelling += count_extra_bytes(text)
        if swelling > _MAX_SWELLING_BYTES:
            raise RequestEntityTooLarge
    return validate({name: items}, model)


def read_json_and_media(
    parse: Callable[[bytes], M], find_urls: Callable[[M], list[str]], *, bare_images: bool = False
) -> tuple[M, dict[str, EmbeddedUrl]]:
    """Read and validate a JSON body of images, files and MAX_JSON_BYTES of other text.

    Args:
        parse: returns the body that a JSON text is.
        find_urls: returns its images and files, by their URLs.
        bare_images: whether images may be in base64 without a data URL.

    Returns:
        The body, in which names stand for large images and files; and these by their names.

    Raises:
        the same as read_json_body().
    """
    settings = current_app._get_current_object().config  # type: ignore[attr-defined]  # as services() does
    limit = settings["MAX_JSON_BYTES"]
    text, urls = _cut(read_json_text(settings["MAX_CONTENT_LENGTH"]), bare_images=bare_images)
    if len(text) > limit:
        current_request().environ["wsgi.input"] = io.BytesIO(text)  # the form of the error may depend on its start
        raise RequestEntityTooLarge
    body = parse(text)
    if not urls:
        return body, urls
    elsewhere = urls.keys() - set(find_urls(body))
    if elsewhere:  # a prompt may begin with "data:" as well
        _check_length(len(text) + sum(len(urls[name].content) for name in elsewhere), None, limit)
        body = parse(put_back(text, urls, elsewhere))
    return body, urls


def _cut(text: bytes, *, bare_images: bool = False) -> tuple[bytes, dict[str, EmbeddedUrl]]:
    return cut_data_urls(text, bare_images=bare_images) if len(text) > LARGE_URL_BYTES else (text, {})


def buffer_body(limit: int | None = None) -> bytes:
    """Read the body as it is, up to MAX_BODY_BYTES or another limit, and let the view read it again.

    Raises:
        InvalidRequest, RequestEntityTooLarge, RequestTimeout, TooManySlowRequests: as read_json_body().
    """
    environ = current_request().environ
    limit = current_app.config["MAX_CONTENT_LENGTH"] if limit is None else limit
    data = _read_or_refuse(lambda: _read_content(environ, limit))
    environ["wsgi.input"] = io.BytesIO(data)
    environ["CONTENT_LENGTH"] = str(len(data))
    return data


def read_start(limit: int) -> bytes:
    """Return the first bytes of a body that nobody has read yet: what can be had of them.

    If it is too large by its length, no more than what has arrived: its client may wait for the answer.
    """
    environ = current_request().environ
    body = environ["wsgi.input"]
    with suppress(Exception):  # an error is being answered already: it does not matter which others there are
        length = _declared_length(environ, sys.maxsize)
        if length is not None and length > current_app.config["MAX_CONTENT_LENGTH"]:
            arrived: bytes = body.getvalue()  # of BytesIO, or see server/connections/arrival.py
            return arrived[:limit]
        data: bytes = body.read(limit if length is None else min(limit, length))
        return data
    return b""


def _read_content(environ: WSGIEnvironment, limit: int) -> bytes:
    """Return the body, which is complete, not larger than the limit, and not compressed."""
    if "HTTP_CONTENT_ENCODING" in environ and environ["HTTP_CONTENT_ENCODING"].strip().lower() not in _UNCODED:
        raise UnsupportedMediaType("Send the body without a Content-Encoding.")
    length = _declared_length(environ, limit)
    wanted = limit + 1 if length is None else length
    data: bytes = environ["wsgi.input"].read(wanted)
    _check_length(len(data), length, limit)
    return data


def _declared_length(environ: WSGIEnvironment, limit: int) -> int | None:
    """Return the Content-Length; None for a body in chunks, whose end the server finds."""
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


def _is_of_the_connection(error: Exception) -> bool:
    """Return whether the body itself broke off: broken chunks (gunicorn's own errors), or a connection that ended.

    All else, such as a full or read-only disk where a form is stored, is this server's fault.
    """
    if isinstance(error, ConnectionError) or type(error).__module__.startswith("gunicorn."):
        return True
    return isinstance(error, OSError) and error.errno in _CONNECTION_ENDED


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
        if not _is_of_the_connection(error):
            raise
        raise InvalidRequest("The body could not be read to its end.") from None
