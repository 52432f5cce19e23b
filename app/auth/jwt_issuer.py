"""Verify JWTs of the site's own identity provider."""

from __future__ import annotations

from collections.abc import Callable

import jwt

from app.auth.claims import decode_claims
from app.auth.errors import Unauthenticated
from app.auth.jwks import Jwks
from app.auth.principal import Principal, parse_user_id
from app.config import ProviderSettings


class JwtIssuer:
    """Verifies the provider's tokens.

    Their scopes come from the settings: the provider does not know our scopes.
    """

    def __init__(
        self, settings: ProviderSettings, *, is_revoked: Callable[[str, str, int], bool] | None = None
    ) -> None:
        """Create the verifier.

        Args:
            settings: the provider's settings.
            is_revoked: returns whether the tokens of a tenant's user that were issued at a time are revoked.
        """
        self._settings = settings
        self._is_revoked = is_revoked
        url = settings.jwks_url
        self._jwks = Jwks(url, algorithm=settings.algorithm) if url else None

    def verify(self, token: str) -> Principal:
        """Return the principal that a token names.

        Raises:
            Unauthenticated: the token is not from the provider, not valid now, or revoked.
            AuthUnavailable: the provider's keys cannot be fetched.
        """
        settings = self._settings
        claims = decode_claims(
            token,
            self._find_key(token),
            algorithm=settings.algorithm,
            issuer=settings.issuer,
            audience=settings.audience,
            max_ttl_s=settings.max_ttl_s,
        )
        try:
            user = parse_user_id(claims["sub"])
        except ValueError:
            raise Unauthenticated("unusable sub") from None
        # A token without an issue time counts as issued before any revocation.
        if self._is_revoked is not None and self._is_revoked(settings.tenant, user, int(claims.get("iat", 0))):
            raise Unauthenticated("revoked token")
        return Principal(kind="visitor", tenant=settings.tenant, user=user, scopes=settings.scopes)

    def _find_key(self, token: str) -> jwt.PyJWK | str:
        if self._jwks is None:
            return self._settings.secret
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise Unauthenticated("bad token", is_guess=True) from None
        # Checked first, so that such a token causes no request for keys.
        if header.get("alg") != self._settings.algorithm:
            raise Unauthenticated("bad token", is_guess=True)
        return self._jwks.get_key(header.get("kid"))
