"""Read and validate the body of Flask's current request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from flask import request
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.exceptions import HTTPException

from app.problems import InvalidRequest, UnsupportedMediaType
from app.schemas.parsing import RequestModel, parse_json

M = TypeVar("M", bound=RequestModel)


def json_body(model: type[M]) -> M:
    """Read and validate the JSON body.

    Raises:
        UnsupportedMediaType: its type is not application/json. Any site's page could send another type without
            a preflight.
        InvalidRequest: it cannot be read, or is not valid.
        RequestEntityTooLarge: it is larger than MAX_BODY_BYTES.
    """
    if request.mimetype != "application/json":
        raise UnsupportedMediaType
    with _reading():
        data = request.get_data(cache=False)
    return parse_json(data, model)


def form_body() -> tuple[MultiDict[str, str], MultiDict[str, FileStorage]]:
    """Read a form's fields and files.

    Raises:
        InvalidRequest, RequestEntityTooLarge: as json_body() does.
    """
    with _reading():
        return request.form, request.files


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except HTTPException:
        raise
    except Exception:
        # Raised by the server: broken chunks, or a connection that ended within the body.
        raise InvalidRequest("The body could not be read to its end.") from None
