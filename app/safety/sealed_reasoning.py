"""Encrypt a model's reasoning, so that a page can store it between turns, but can neither read nor forge it."""

from __future__ import annotations

import base64
import functools
import secrets
import zlib
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from app.runtime import clock

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAX_SEALED_CHARS = 256 * 1024
"""The maximum length of sealed reasoning. Beyond it, reasoning again costs less than sending the reasoning."""

_VERSION = "r1."
# Later the upstream may no longer have the key with which it encrypted its part.
_KEEP_S = 30 * 86_400
_NONCE_BYTES = 12
_FAST = 1  # most of the content is encrypted, so that only its base64 can be compressed

Items = Sequence[dict[str, Any]]


class ReasoningOwner(Protocol):
    """The user of the conversation: the Principal of app.auth."""

    @property
    def tenant(self) -> str:
        """The site that they belong to."""

    @property
    def user(self) -> str:
        """The user's id within the tenant."""

    @property
    def is_named(self) -> bool:
        """Whether a credential identifies the user."""


class NotSealedHere(Exception):
    """The text is forged, changed, sealed with another secret, or for another user."""


def is_sealed_here(text: str) -> bool:
    """Return whether a text has the prefix of sealed reasoning, unlike reasoning that another server encrypted."""
    return text.startswith(_VERSION)


class ReasoningSeals:
    """Seals and opens the reasoning of all users.

    Args:
        secret: SECRET_KEY, or in development without one another secret that all processes share.
        fallbacks: former secrets, whose seals are still opened.
    """

    def __init__(self, secret: str, fallbacks: Sequence[str] = ()) -> None:
        self._secrets = (secret or secrets.token_hex(), *fallbacks)

    @functools.cached_property
    def _ciphers(self) -> Sequence[AESGCM]:
        # Loaded at the first use, as most sites do not need it.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        def derive(secret: str) -> bytes:
            hkdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"gatehouse sealed reasoning")
            return hkdf.derive(secret.encode())

        return [AESGCM(derive(secret)) for secret in self._secrets]

    def seal(self, items: Items, owner: ReasoningOwner) -> str | None:
        """Return items as a text that only its owner can return; None if it is too long."""
        content = {"at": int(clock.now()), "tenant": owner.tenant, "user": owner.user, "items": items}
        packed = zlib.compress(orjson.dumps(content), _FAST)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._ciphers[0].encrypt(nonce, packed, _VERSION.encode())
        text = _VERSION + base64.urlsafe_b64encode(sealed).decode().rstrip("=")
        return text if len(text) <= MAX_SEALED_CHARS else None

    def open(self, text: str, owner: ReasoningOwner) -> Items:
        """Return the items of a text.

        The list is empty if the text is too old, or if the id of an unnamed visitor has changed.

        Raises:
            NotSealedHere: the text is not from seal(), or belongs to another user.
        """
        content = self._decrypt(text)
        if content["tenant"] != owner.tenant or content["user"] != owner.user:
            # An unnamed visitor's id is their address, which can change between two turns.
            if owner.is_named or content["tenant"] != owner.tenant:
                raise NotSealedHere
            return ()
        items: Items = content["items"]
        return items if clock.now() - content["at"] <= _KEEP_S else ()

    def _decrypt(self, text: str) -> dict[str, Any]:
        if not is_sealed_here(text) or len(text) > MAX_SEALED_CHARS:
            raise NotSealedHere
        encoded = text[len(_VERSION) :]
        try:
            sealed = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
        except ValueError:
            raise NotSealedHere from None
        content: dict[str, Any] = orjson.loads(zlib.decompress(self._open(sealed)))
        return content

    def _open(self, sealed: bytes) -> bytes:
        from cryptography.exceptions import InvalidTag

        for cipher in self._ciphers:
            with suppress(ValueError, InvalidTag):
                return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _VERSION.encode())
        raise NotSealedHere
