"""Issue, verify and revoke visitor tokens, which a site's server requests for the visitors of its pages.

They are JWTs, signed with a key that is derived from SECRET_KEY for this purpose only. So nothing else that is
signed with the same secret is accepted as a token. Only revocations are stored, not tokens.

Each token is issued together with a form token, for pages without scripts: see forms.py.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.auth.audit.actors import SYSTEM_ACTOR, Actor
from app.auth.audit.trail import Action, record
from app.auth.claims import LEEWAY_S, OWN_ALGORITHM, decode_with_any, encode_claims
from app.auth.errors import AuthUnavailable, Unauthenticated
from app.auth.principal import CONVERSATION_SCOPES, VISITOR_SCOPES, Principal
from app.auth.store import CredentialStore
from app.auth.visitor_tokens import forms
from app.auth.visitor_tokens.forms import FormPass, check_form_origin, decode_base32, write_form_token
from app.config.formats import MIN_SECRET_CHARS
from app.problems import Forbidden
from app.runtime import clock
from app.storage.database.connections.connection import Connection
from app.storage.database.connections.sql import write_upsert

JWT_TYPE = "gatehouse-visitor+jwt"
_ISSUER = "gatehouse"
_AUDIENCE = "gatehouse:visitor"
_MAX_CHARS = 8192

_REVOKED = """
SELECT 1 FROM revoked_tokens WHERE tenant = ? AND token_id = ?
UNION ALL SELECT 1 FROM revoked_users WHERE tenant = ? AND user_id = ? AND issued_until >= ?
UNION ALL SELECT 1 FROM api_keys WHERE id = ? AND revoked_at IS NOT NULL
LIMIT 1
"""
"""Finds whether a token is revoked: by its id, with all tokens of its user, or with the key that issued it."""

_REVOKED_UNTIL = "SELECT issued_until FROM revoked_users WHERE tenant = ? AND user_id = ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a new token allows, and for which user."""

    user: str
    ttl_s: int
    scopes: frozenset[str]
    origin: str | None = None
    prompt: str | None = None
    variables: Mapping[str, Any] | None = None
    max_tokens: int | None = None
    budget_micro_usd: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitorToken:
    """A token that was just issued. `text` is the complete token, and `form` the form token; neither is stored."""

    id: str
    expires_at: int
    text: str = field(repr=False)
    form: str = field(repr=False)


class VisitorTokens:
    """Issues, verifies and revokes visitor tokens.

    Args:
        secret_key: the signing key is derived from it. If it is too short, no tokens are issued or accepted.
        fallbacks: former secrets, whose tokens are still accepted.
        store: the database with the revocations.
        max_ttl_s: the maximum lifetime of a token. Tokens with a longer remaining lifetime are refused.
        form_ttl_s: the maximum lifetime of a form token. For this time, a form that is sent twice is recognized.
    """

    def __init__(
        self,
        secret_key: str,
        store: CredentialStore,
        *,
        fallbacks: Sequence[str] = (),
        max_ttl_s: int,
        form_ttl_s: int = 86_400,
    ) -> None:
        # The first one signs.
        self._keys = [*map(_derive_key, (secret_key, *fallbacks))] if len(secret_key) >= MIN_SECRET_CHARS else []
        self._store = store
        self._max_ttl_s = max_ttl_s
        self._form_ttl_s = form_ttl_s

    def issue(self, grant: Grant, *, by: Principal) -> VisitorToken:
        """Issue a token.

        Args:
            grant: what the token allows.
            by: the API key that requests it. The token belongs to the key's tenant, and is revoked with the key.

        Raises:
            Forbidden: the key lacks a granted scope, or the scope is not for visitors.
            AuthUnavailable: there is no SECRET_KEY to sign with.
        """
        if not self._keys:
            raise AuthUnavailable(f"Visitor tokens need a SECRET_KEY of at least {MIN_SECRET_CHARS} characters.")
        if missing := sorted(grant.scopes - (by.scopes & VISITOR_SCOPES)):
            raise Forbidden(f"this key cannot grant {missing[0]!r}.", field="scopes")
        now = int(clock.now())
        token_id, expires_at = secrets.token_urlsafe(16), now + grant.ttl_s
        claims = {
            "iss": _ISSUER,
            "aud": _AUDIENCE,
            "sub": grant.user,
            # After a revocation of all tokens in the same second.
            "iat": max(now, self._get_revoked_until(grant.user, by.tenant) + 1),
            "exp": expires_at,
            "jti": token_id,
            "tenant": by.tenant,
            "key": by.key_id,
            "scopes": sorted(grant.scopes),
            "origin": grant.origin,
            "prompt": grant.prompt,
            "variables": grant.variables,
            "maxTokens": grant.max_tokens,
            "budget": grant.budget_micro_usd,
        }
        present = {name: value for name, value in claims.items() if value is not None}
        return VisitorToken(
            id=token_id,
            expires_at=expires_at,
            text=encode_claims(present, self._keys[0], JWT_TYPE),
            form=write_form_token({**present, "exp": min(expires_at, now + self._form_ttl_s)}, self._keys[0]),
        )

    def verify(self, token: str, *, origin: str | None) -> Principal:
        """Return the principal of a token.

        Args:
            token: the encoded JWT.
            origin: the Origin header of the request.

        Raises:
            Unauthenticated: the token was not issued here, has expired or is revoked.
            Forbidden: the token is bound to another origin.
        """
        claims = self._check(token, _AUDIENCE)
        if "origin" in claims and claims["origin"] != origin:
            raise Forbidden("This token is for pages of another origin.")
        return _make_principal(claims)

    def verify_form(self, token: str, *, origin: str | None) -> FormPass:
        """Return the content of a form token.

        Args:
            token: the encoded form token.
            origin: the Origin header of the request. It is not checked for a form that follows another, as that is
                on this server's own page.

        Raises:
            Unauthenticated: the token was not issued here, has expired, is revoked, or is no form token.
            Forbidden: the token is bound to another origin.
        """
        claims = self._check(decode_base32(token), forms.AUDIENCE)
        check_form_origin(claims, origin)
        return FormPass(
            id=claims["form"],
            principal=_make_principal(claims),
            origin=claims.get("origin"),
            next=write_form_token(claims, self._keys[0], follows=True),
        )

    def revoke(self, token_id: str, *, tenant: str, by: Actor = SYSTEM_ACTOR) -> None:
        """Revoke one token of a tenant. It does not have to exist, as tokens are not stored."""
        which = {"tenant": tenant, "token_id": token_id}
        self._revoke("revoked_tokens", which, {}, ("token.revoke", f"token:{token_id}", by))

    def revoke_all(self, user: str, *, tenant: str, by: Actor = SYSTEM_ACTOR) -> None:
        """Revoke all tokens that were issued for a user so far, including this second."""
        until = max(int(clock.now()), self._get_revoked_until(user, tenant) + 1)
        which = {"tenant": tenant, "user_id": user}
        target = f"user:{tenant}/{user}"
        self._revoke("revoked_users", which, {"issued_until": until}, ("tokens.revoke_all", target, by))

    def is_user_revoked(self, tenant: str, user: str, issued_at: int) -> bool:
        """Return whether revoke_all() revoked tokens of a user that any issuer issued at a time."""
        return issued_at <= self._get_revoked_until(user, tenant)

    def _check(self, token: str, audience: str) -> dict[str, Any]:
        """Return the claims of a token that is valid now. Raises Unauthenticated."""
        if not self._keys or len(token) > _MAX_CHARS:
            raise Unauthenticated("bad token", is_guess=True)
        rules = {"algorithm": OWN_ALGORITHM, "issuer": _ISSUER, "audience": audience}
        claims = decode_with_any(token, self._keys, **rules, max_ttl_s=self._max_ttl_s)
        with self._store.read_once() as connection:
            is_revoked = _is_revoked(connection, claims)
        if is_revoked:
            raise Unauthenticated("revoked token")
        return claims

    def _get_revoked_until(self, user: str, tenant: str) -> int:
        """Return the second until which all tokens of a user are revoked; -1 if they never were."""
        with self._store.read_once() as connection:
            found = connection.fetch_value(_REVOKED_UNTIL, (tenant, user))
        return -1 if found is None else int(found)

    def _revoke(
        self, table: str, which: dict[str, str], values: dict[str, int], change: tuple[Action, str, Actor]
    ) -> None:
        now = int(clock.now())
        row_expires_at = now + self._max_ttl_s + LEEWAY_S
        with self._store.transaction() as connection:
            connection.execute("DELETE FROM revoked_tokens WHERE expires_at < ?", (now,))
            connection.execute("DELETE FROM revoked_users WHERE expires_at < ?", (now,))
            connection.execute(*write_upsert(table, which, {**values, "expires_at": row_expires_at}))
            action, target, by = change
            record(connection, action, target, by=by, tenant=which["tenant"])


def _make_principal(claims: Mapping[str, Any]) -> Principal:
    return Principal(
        kind="visitor",
        tenant=claims["tenant"],
        user=claims["sub"],
        scopes=frozenset(claims["scopes"]) & (CONVERSATION_SCOPES if "prompt" in claims else VISITOR_SCOPES),
        token_id=claims["jti"],
        key_id=claims["key"],
        budget_micro_usd=claims.get("budget"),
        max_tokens=claims.get("maxTokens"),
        prompt=claims.get("prompt"),
        variables=claims.get("variables", {}),
    )


def _is_revoked(connection: Connection, claims: dict[str, Any]) -> bool:
    values = [claims[name] for name in ("tenant", "jti", "tenant", "sub", "iat", "key")]
    return connection.fetch_value(_REVOKED, values) is not None


def _derive_key(secret_key: str) -> str:
    return hmac.new(secret_key.encode(), JWT_TYPE.encode(), hashlib.sha256).hexdigest()
