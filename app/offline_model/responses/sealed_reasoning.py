"""Seal a thought as `encrypted_content`, and open it when it comes back.

It is not secret, and made up anyway. But one that was changed or comes from elsewhere is refused, as OpenAI does, by
every process of the site alike.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

import orjson

from app.offline_model.requests.errors import InvalidRequestError

_PREFIX = "gAAAAA"
_KEY = b"offline model"
_SIGNATURE_BYTES = 16


def seal_thought(thought: str, model: str) -> str:
    """Return the text that stands for a thought of a model."""
    payload = orjson.dumps([model, thought])
    return _PREFIX + base64.urlsafe_b64encode(_sign(payload) + payload).decode()


def open_thought(sealed: str) -> str:
    """Return the model whose thought was sealed.

    Raises:
        InvalidRequestError: the text was not made here.
    """
    try:
        content = base64.b64decode(sealed.removeprefix(_PREFIX).encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        content = b""
    payload = content[_SIGNATURE_BYTES:]
    if not sealed.startswith(_PREFIX) or not hmac.compare_digest(_sign(payload), content[:_SIGNATURE_BYTES]):
        raise InvalidRequestError(
            f"The encrypted content {sealed[:4]}...{sealed[-4:]} could not be verified. "
            "Reason: Encrypted content could not be decrypted or parsed.",
            code="invalid_encrypted_content",
        )
    return str(orjson.loads(payload)[0])


def _sign(payload: bytes) -> bytes:
    return hmac.digest(_KEY, payload, hashlib.sha256)[:_SIGNATURE_BYTES]
