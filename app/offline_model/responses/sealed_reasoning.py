"""Seal a thought as `encrypted_content`, and open it when a client sends it back.

The thought is invented, and not encrypted. But every process refuses one that was changed or made elsewhere, as OpenAI
does.
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
    """Return the sealed form of a model's thought."""
    payload = orjson.dumps([model, thought])
    return _PREFIX + base64.urlsafe_b64encode(_sign(payload) + payload).decode()


def open_thought(sealed: str) -> str:
    """Return the model whose thought was sealed.

    Raises:
        InvalidRequestError: the text was not sealed by seal_thought().
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
