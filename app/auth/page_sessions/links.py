"""Create and read the links that open an administrator's session.

Each contains the id of the session that it opens.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from itsdangerous import BadSignature, Signer

from app.auth.errors import Unauthenticated
from app.runtime import clock

_SALT = "gatehouse admin link"
_NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")


class InvalidName(ValueError):
    """The name for a session is not valid. The message is a sentence."""


@dataclass(frozen=True, slots=True)
class Link:
    """The content of a link: the id of the session that it opens, and the administrator's name."""

    session_id: str
    name: str


class Links:
    """Signs and reads the tokens of links.

    Args:
        secret_keys: the last one signs; all of them verify.
    """

    def __init__(self, secret_keys: Sequence[str]) -> None:
        self._signer = Signer(secret_keys, _SALT, key_derivation="hmac", digest_method=hashlib.sha256)

    def make(self, name: str, *, ttl_s: int) -> str:
        """Return the token of a new link. `name` is shown in the audit trail.

        Raises:
            InvalidName: the name has other characters than letters, digits, dots, @, underscores or hyphens.
        """
        if not _NAME.fullmatch(name):
            raise InvalidName("A name is 1 to 64 letters, digits, dots, @, underscores or hyphens.")
        text = f"{secrets.token_urlsafe(16)}:{int(clock.now()) + ttl_s}:{name}"
        return self._signer.sign(text).decode()

    def read(self, token: str) -> Link:
        """Return the content of a token.

        Raises:
            Unauthenticated: it was not signed here, or has expired.
        """
        try:
            session_id, until, name = self._signer.unsign(token).decode().split(":")
        except (BadSignature, ValueError):
            raise Unauthenticated("bad link", is_guess=True) from None
        if int(until) <= clock.now():
            raise Unauthenticated("expired link")
        return Link(session_id, name)
