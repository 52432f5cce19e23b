"""ApiKeys: the keys of sites' own servers.

A key is `gh_<id>_<secret>`. The id is public: it finds the row, and is what lists and logs show. Of the secret, 256
random bits, only the SHA-256 is kept; a slow hash would protect no better what nobody can guess.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from app.auth.errors import Unauthenticated
from app.auth.principal import SCOPES
from app.auth.store import CredentialStore
from app.auth.tables import api_keys
from app.runtime import clock

_FORM = re.compile(r"gh_([A-Za-z0-9]{8})_([A-Za-z0-9_-]{43})")
_ALPHABET = string.ascii_letters + string.digits
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# What a secret is compared with where there is no such key: nobody knows anything that has this hash.
_NOBODYS = "0" * 64
# Built once, since that takes longer than asking.
_BY_ID = select(api_keys).where(api_keys.c.id == bindparam("key_id"))


class InvalidKeyRequest(ValueError):
    """What is asked of a key cannot be. The message is one sentence, for whoever runs the command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as it is kept.

    Args:
        expires_at: when a key that was replaced ends; None while it is the one to use.
    """

    id: str
    tenant: str
    name: str
    scopes: frozenset[str]
    created_at: int
    expires_at: int | None
    revoked_at: int | None

    def state(self, now: float) -> str:
        """active, replaced (and good for a while yet), expired or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is None:
            return "active"
        return "replaced" if now < self.expires_at else "expired"


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made. `text` is all of it, and is to be had here only."""

    key: ApiKey
    text: str = field(repr=False)


class ApiKeys:
    def __init__(self, store: CredentialStore) -> None:
        self._store = store

    def create(self, *, tenant: str, name: str, scopes: Iterable[str]) -> NewKey:
        """Make a key.

        Raises:
            InvalidKeyRequest: the tenant, the name or a scope cannot be.
        """
        scopes = frozenset(scopes)
        if not _TENANT.fullmatch(tenant):
            raise InvalidKeyRequest("A tenant is 1 to 64 letters, digits, dots, underscores or hyphens.")
        if not (1 <= len(name) <= 100 and name.isprintable() and name.strip()):
            raise InvalidKeyRequest("A name is 1 to 100 printable characters.")
        if unknown := sorted(scopes - SCOPES):
            raise InvalidKeyRequest(f"There is no scope {unknown[0]!r}; there are {', '.join(sorted(SCOPES))}.")
        if not scopes:
            raise InvalidKeyRequest(f"A key needs at least one scope of {', '.join(sorted(SCOPES))}.")
        with self._store.transaction() as connection:
            return _add(connection, tenant, name, scopes)

    def list_all(self) -> list[ApiKey]:
        """Every key, the oldest first."""
        with self._store.reading() as connection:
            rows = connection.execute(select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id)).all()
        return [_key_from_row(row) for row in rows]

    def rotate(self, key_id: str, *, grace_s: int) -> NewKey:
        """Make a key that takes the place of another, which stays good for `grace_s` more seconds.

        Raises:
            InvalidKeyRequest: there is no such key, or it has ended or been replaced already.
        """
        with self._store.transaction() as connection:
            old = _get(connection, key_id)
            state = old.state(clock.now())
            if state != "active":
                raise InvalidKeyRequest(f"The key {key_id} is {state}: there is nothing to rotate.")
            expires_at = int(clock.now()) + grace_s
            connection.execute(update(api_keys).where(api_keys.c.id == key_id).values(expires_at=expires_at))
            return _add(connection, old.tenant, old.name, old.scopes)

    def revoke(self, key_id: str) -> ApiKey:
        """End a key, and with it every visitor token that was made with it. A second time changes nothing.

        Raises:
            InvalidKeyRequest: there is no such key.
        """
        with self._store.transaction() as connection:
            key = _get(connection, key_id)
            if key.revoked_at is None:
                connection.execute(
                    update(api_keys).where(api_keys.c.id == key_id).values(revoked_at=int(clock.now()))
                )
            return _get(connection, key_id)

    def verify(self, text: str) -> ApiKey:
        """The key that a caller has shown. Finding none and finding another take the same way.

        Raises:
            Unauthenticated: it is none of ours, or has ended.
        """
        form = _FORM.fullmatch(text)
        if form is None:
            raise Unauthenticated("malformed key", is_guess=True)
        key_id, secret = form.groups()
        with self._store.reading() as connection:
            row = connection.execute(_BY_ID, {"key_id": key_id}).one_or_none()
        kept = _NOBODYS if row is None else row.secret_sha256
        is_right = hmac.compare_digest(kept, _hash(secret))
        if row is None or not is_right:
            raise Unauthenticated("wrong key", is_guess=True)
        key = _key_from_row(row)
        state = key.state(clock.now())
        if state in ("revoked", "expired"):
            raise Unauthenticated(f"{state} key")
        return key


def _add(connection: Connection, tenant: str, name: str, scopes: frozenset[str]) -> NewKey:
    key = ApiKey(
        id="".join(secrets.choice(_ALPHABET) for _ in range(8)),
        tenant=tenant,
        name=name,
        scopes=scopes,
        created_at=int(clock.now()),
        expires_at=None,
        revoked_at=None,
    )
    secret = secrets.token_urlsafe(32)
    connection.execute(
        insert(api_keys).values(
            id=key.id,
            secret_sha256=_hash(secret),
            tenant=tenant,
            name=name,
            scopes=" ".join(sorted(scopes)),
            created_at=key.created_at,
        )
    )
    return NewKey(key, f"gh_{key.id}_{secret}")


def _get(connection: Connection, key_id: str) -> ApiKey:
    row = connection.execute(_BY_ID, {"key_id": key_id}).one_or_none()
    if row is None:
        raise InvalidKeyRequest(f"There is no key {key_id!r}; `flask keys list` shows the ids.")
    return _key_from_row(row)


def _key_from_row(row: Any) -> ApiKey:
    return ApiKey(
        id=row.id,
        tenant=row.tenant,
        name=row.name,
        scopes=frozenset(row.scopes.split()),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
