"""Describe a PDF file by its name and size, without reading its pages."""

from __future__ import annotations

import base64
import binascii

from app.offline_model.images import DescribedImage
from app.offline_model.requests.errors import InvalidRequestError
from app.offline_model.requests.fields import JsonObject, string

_START = "data:application/pdf;base64,"
# Of one page that is mostly text.
_TOKENS = 1_500


def describe_file(file: JsonObject) -> DescribedImage:
    """Describe the file of a `file` part, `{"filename", "file_data"}`.

    Raises:
        InvalidRequestError: OpenAI would not accept the file.
    """
    name, url = string(file, "filename", "messages"), string(file, "file_data", "messages")
    try:
        data = base64.b64decode(url.removeprefix(_START), validate=True)
    except binascii.Error:
        data = b""
    if not url.startswith(_START) or not data.startswith(b"%PDF-"):
        raise InvalidRequestError(
            "Expected a base64 data URL of a PDF.", param="messages", code="invalid_file_format"
        )
    return DescribedImage(
        f"the PDF {name}, {len(data):,} bytes, whose pages the offline model does not read", _TOKENS
    )
