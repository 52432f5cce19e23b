"""Sign and check the header of the doctor's test stream, which is not public: each takes a connection for a second."""

from __future__ import annotations

from collections.abc import Sequence

from itsdangerous import BadSignature, TimestampSigner

PATH = "/healthz/stream"
HEADER = "X-Gatehouse-Probe"
EVENTS = 5
INTERVAL_S = 0.25
_SALT = "gatehouse probe"
_VALID_S = 60


def sign(secret_key: str) -> str:
    """Return the header's value."""
    return TimestampSigner(secret_key, _SALT).sign("probe").decode()


def is_signed(value: str, secret_keys: Sequence[str]) -> bool:
    """Return whether a value was signed with one of the secrets within the last minute."""
    try:
        TimestampSigner(list(secret_keys), _SALT).unsign(value, max_age=_VALID_S)
    except BadSignature:
        return False
    return True
