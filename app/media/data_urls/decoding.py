"""Decode the base64 of a file in the variants that clients send."""

from __future__ import annotations

import base64
import binascii
import json
from urllib.parse import unquote

_TO_STANDARD = bytes.maketrans(b"-_", b"+/")


class InvalidBase64(ValueError):
    """A text is not base64. The message is written for the caller who sent it."""

    def __init__(self) -> None:
        super().__init__("is not valid base64.")


def find_base64(text: str) -> bytes | None:
    """Return the base64 of a data URL, or of a text that is no URL; None if the URL has another encoding."""
    if text[:5].lower() == "data:":
        head, comma, text = text.partition(",")
        if not comma or not head.lower().replace(" ", "").endswith(";base64"):
            return None
    # Some libraries escape "+", "/" and "=". Characters beyond ASCII become "?", which is invalid in base64.
    return (unquote(text) if "%" in text else text).encode("ascii", "replace")


def unescape(text: bytes | memoryview) -> str:
    """Return the value of a JSON string that is given without its quotes.

    Raises:
        InvalidBase64: it is not a valid JSON string.
    """
    try:
        value: str = json.loads(b'"%b"' % bytes(text))
    except ValueError:
        raise InvalidBase64 from None
    return value


def decode_base64(text: bytes | memoryview | str) -> bytes:
    """Decode base64, which may have line breaks, no padding, or the URL-safe alphabet.

    Raises:
        InvalidBase64: it is not valid.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        pass
    try:
        data = text.encode("ascii") if isinstance(text, str) else bytes(text)
        data = data.translate(_TO_STANDARD, b" \t\r\n").rstrip(b"=")
        return base64.b64decode(data + b"=" * (-len(data) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidBase64 from None
