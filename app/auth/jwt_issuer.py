"""Verify JWTs of the site's own identity provider."""

from __future__ import annotations

import jwt

from app.auth.claims import decoded
from app.auth.errors import Unauthenticated
from app.auth.jwks import Jwks
from app.auth.principal import Principal, user_id
from app.config import Config


class JwtIssuer:
    """Verifies the provider's tokens. Their scopes come from the settings: the provider does not know our scopes."""

    def __init__(self, config: Config) -> None:
        self._algorithm = config.jwt_algorithm
        self._secret = config.jwt_secret
        self._jwks = Jwks(config.jwt_jwks_url, algorithm=config.jwt_algorithm) if config.jwt_jwks_url else None
        self._issuer = config.jwt_issuer
        self._audience = config.jwt_audience
        self._max_ttl_s = config.token_max_ttl_s
        self._tenant = config.jwt_tenant
        self._scopes = frozenset(config.jwt_scopes)

    def verify(self, token: str) -> Principal:
        """Return the principal that a token names.

        Raises:
            Unauthenticated: the token is not the provider's, or is not valid now.
            AuthUnavailable: the provider's keys cannot be fetched.
        """
        claims = decoded(
            token,
            self._key(token),
            algorithm=self._algorithm,
            issuer=self._issuer,
            audience=self._audience,
            max_ttl_s=self._max_ttl_s,
        )
        try:
            user = user_id(claims["sub"])
        except ValueError:
            raise Unauthenticated("unusable sub") from None
        return Principal(kind="visitor", tenant=self._tenant, user=user, scopes=self._scopes)

    def _key(self, token: str) -> jwt.PyJWK | str:
        if self._jwks is None:
            return self._secret
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise Unauthenticated("bad token", is_guess=True) from None
        # Checked before a key is fetched.
        if header.get("alg") != self._algorithm:
            raise Unauthenticated("bad token", is_guess=True)
        return self._jwks.key(header.get("kid"))
