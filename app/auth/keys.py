"""Create, verify, rotate and revoke API keys, which sites' own servers use.

A key is `gh_<id>_<secret>`. The id is public: it identifies the row, and appears in lists and logs. Of the secret
only the SHA-256 is stored. A slow hash would not add protection: the secret is 256 random bits, which cannot be
guessed.
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

from app.auth.audit.actors import SYSTEM_ACTOR, Actor
from app.auth.audit.trail import record
from app.auth.errors import Unauthenticated
from app.auth.principal import ALL_TENANTS, SCOPES
from app.auth.store import CredentialStore
from app.config.formats import TENANT
from app.runtime import clock
from app.storage.database.connections.connection import Connection
from app.storage.database.connections.sql import name_columns, write_insert

KEY_PREFIX = "gh_"
"""The prefix of every key."""

_ID = re.compile(r"[A-Za-z0-9]{8}")
_KEY = re.compile(KEY_PREFIX + r"([A-Za-z0-9]{8})_([A-Za-z0-9_-]{43})")
_ALPHABET = string.ascii_letters + string.digits
# Used if the key does not exist, so that the comparison always runs. No known secret has this hash.
_NO_SECRET_SHA256 = "0" * 64


class InvalidKeyRequest(ValueError):
    """A key cannot be created or changed in this way. The message is a sentence for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """An API key as stored, without its secret. Times are seconds since 1970.

    Attributes:
        expires_at: when a replaced key ends; None if it was not replaced.
    """

    id: str
    tenant: str
    name: str
    scopes: frozenset[str]
    created_at: int
    expires_at: int | None
    revoked_at: int | None

    def state(self, now: float) -> str:
        """Return active, replaced (still valid until expires_at), expired or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is None:
            return "active"
        return "replaced" if now < self.expires_at else "expired"


_SELECT = f"SELECT {name_columns(ApiKey)} FROM api_keys"  # noqa: S608 - a constant
_BY_ID = f"{_SELECT} WHERE id = ?"
_WITH_SECRET = f"SELECT secret_sha256, {name_columns(ApiKey)} FROM api_keys WHERE id = ?"  # noqa: S608 - a constant


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just created. `text` is the complete key, which is not stored."""

    key: ApiKey
    text: str = field(repr=False)


class ApiKeys:
    """The API keys in the database."""

    def __init__(self, store: CredentialStore) -> None:
        self._store = store

    def create(self, *, tenant: str, name: str, scopes: Iterable[str], by: Actor = SYSTEM_ACTOR) -> NewKey:
        """Create a key.

        Raises:
            InvalidKeyRequest: the tenant, the name or a scope is invalid.
        """
        scopes = frozenset(scopes)
        if not TENANT.fullmatch(tenant):
            raise InvalidKeyRequest("A tenant is 1 to 64 letters, digits, dots, underscores or hyphens.")
        if not (1 <= len(name) <= 100 and name.isprintable() and name.strip()):
            raise InvalidKeyRequest("A name is 1 to 100 printable characters.")
        if unknown := sorted(scopes - SCOPES):
            raise InvalidKeyRequest(
                f"There is no scope {unknown[0]!r}; the scopes are {', '.join(sorted(SCOPES))}."
            )
        if not scopes:
            raise InvalidKeyRequest(f"A key needs at least one scope of {', '.join(sorted(SCOPES))}.")
        if ALL_TENANTS in scopes and "admin" not in scopes:
            raise InvalidKeyRequest(f"A key for {ALL_TENANTS} needs the scope admin.")
        with self._store.transaction() as connection:
            new = _add(connection, tenant, name, scopes)
            details = {"name": name, "scopes": sorted(scopes)}
            record(connection, "key.create", f"key:{new.key.id}", by=by, tenant=tenant, details=details)
        return new

    def list_all(self) -> list[ApiKey]:
        """Return all keys, the oldest first."""
        with self._store.read_transaction() as connection:
            rows = connection.fetch_rows(f"{_SELECT} ORDER BY created_at, id")
        return [_key_from_row(row) for row in rows]

    def find(self, key_id: str) -> ApiKey | None:
        """Return a key by its id, in any state; None if it does not exist."""
        with self._store.read_once() as connection:
            row = connection.fetch_row(_BY_ID, (key_id,))
        return None if row is None else _key_from_row(row)

    def rotate(self, key_id: str, *, grace_s: int, by: Actor = SYSTEM_ACTOR) -> NewKey:
        """Create a key that replaces another, which stays valid for `grace_s` more seconds.

        Raises:
            InvalidKeyRequest: there is no such key, or it is not active.
        """
        with self._store.transaction() as connection:
            old = _get(connection, key_id)
            state = old.state(clock.now())
            if state != "active":
                raise InvalidKeyRequest(f"The key {key_id} is {state}, so it cannot be rotated.")
            expires_at = int(clock.now()) + grace_s
            connection.execute("UPDATE api_keys SET expires_at = ? WHERE id = ?", (expires_at, key_id))
            new = _add(connection, old.tenant, old.name, old.scopes)
            details = {"by": f"key:{new.key.id}", "grace_s": grace_s, "state": ["active", "replaced"]}
            record(connection, "key.rotate", f"key:{key_id}", by=by, tenant=old.tenant, details=details)
        return new

    def revoke(self, key_id: str, *, by: Actor = SYSTEM_ACTOR) -> ApiKey:
        """Revoke a key and all visitor tokens that were issued with it. Revoking twice changes nothing.

        Raises:
            InvalidKeyRequest: there is no such key.
        """
        with self._store.transaction() as connection:
            key = _get(connection, key_id)
            if key.revoked_at is None:
                revoked_at = int(clock.now())
                connection.execute("UPDATE api_keys SET revoked_at = ? WHERE id = ?", (revoked_at, key_id))
                details = {"name": key.name, "state": [key.state(clock.now()), "revoked"]}
                record(connection, "key.revoke", f"key:{key_id}", by=by, tenant=key.tenant, details=details)
            return _get(connection, key_id)

    def verify(self, text: str) -> ApiKey:
        """Return the key that a caller sent. An unknown key and a wrong secret take the same time.

        Raises:
            Unauthenticated: the key does not exist, is revoked or has expired.
        """
        match = _KEY.fullmatch(text)
        if match is None:
            raise Unauthenticated("malformed key", is_guess=True)
        key_id, secret = match.groups()
        with self._store.read_once() as connection:
            row = connection.fetch_row(_WITH_SECRET, (key_id,))
        stored = _NO_SECRET_SHA256 if row is None else row.pop("secret_sha256")
        is_equal = hmac.compare_digest(stored, _hash(secret))
        if row is None or not is_equal:
            raise Unauthenticated("wrong key", is_guess=True)
        key = _key_from_row(row)
        state = key.state(clock.now())
        if state in ("revoked", "expired"):
            raise Unauthenticated(f"{state} key")
        return key


def parse_key_id(text: str) -> str:
    """Return the id of a key, given its id, its start (gh_AbCd1234) or, by mistake, the complete key."""
    return text.removeprefix(KEY_PREFIX)[:8] if text.startswith(KEY_PREFIX) else text


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
    row = {
        "id": key.id,
        "secret_sha256": _hash(secret),
        "tenant": tenant,
        "name": name,
        "scopes": " ".join(sorted(scopes)),
        "created_at": key.created_at,
    }
    connection.execute(*write_insert("api_keys", row))
    return NewKey(key, f"{KEY_PREFIX}{key.id}_{secret}")


def _get(connection: Connection, key_id: str) -> ApiKey:
    # The id may be any text from a URL, and PostgreSQL does not accept NUL.
    is_id = _ID.fullmatch(key_id) is not None
    row = connection.fetch_row(_BY_ID, (key_id,)) if is_id else None
    if row is None:
        raise InvalidKeyRequest(f"There is no key {key_id!r}; `flask keys list` shows the ids.")
    return _key_from_row(row)


def _key_from_row(row: dict[str, Any]) -> ApiKey:
    return ApiKey(**{**row, "scopes": frozenset(row["scopes"].split())})


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
