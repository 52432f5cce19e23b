"""Create and verify the signatures of webhooks.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import hmac
import re

from app.auth.errors import Unauthenticated
from app.runtime import clock

TOLERANCE_S = 300
"""The tolerated difference between a webhook's time and this server's."""

_ID = re.compile(r"[!-~]{1,200}")


def decode_secret(secret: str) -> bytes:
    """Return the key in a secret such as whsec_MfKQ9r8GKYqrTwjU, with or without Base64 padding."""
    text = secret.removeprefix("whsec_").rstrip("=")
    return base64.b64decode(text + "=" * (-len(text) % 4))


def sign(body: bytes, *, key: bytes, webhook_id: str, timestamp: str) -> str:
    """Return the signature of a body with this id and timestamp."""
    signed = b"%b.%b.%b" % (webhook_id.encode(), timestamp.encode(), body)
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()


def check_signature(body: bytes, *, key: bytes, webhook_id: str, timestamp: str, signatures: str) -> None:
    """Verify the signature and the timestamp of a body.

    Args:
        body: the body as received.
        key: the key of the secret.
        webhook_id: the header webhook-id.
        timestamp: the header webhook-timestamp, in whole seconds since 1970.
        signatures: the header webhook-signature: `v1,` and Base64; several are separated by spaces.

    Raises:
        Unauthenticated: no signature is valid, or the timestamp is not within TOLERANCE_S.
    """
    if not _ID.fullmatch(webhook_id) or not re.fullmatch("[0-9]{1,12}", timestamp):
        raise Unauthenticated("bad signature", is_guess=True)
    if abs(clock.now() - int(timestamp)) > TOLERANCE_S:
        raise Unauthenticated("bad signature", is_guess=True)
    expected = sign(body, key=key, webhook_id=webhook_id, timestamp=timestamp).encode()
    given = signatures.encode("utf-8", "replace").split(b" ")[:10]
    if not any(hmac.compare_digest(expected, each) for each in given):
        raise Unauthenticated("bad signature", is_guess=True)
