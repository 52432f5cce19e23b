"""JwtIssuer: accepts the JWTs of the site's own identity provider."""

from __future__ import annotations

import jwt

from app.auth.claims import decoded
from app.auth.errors import Unauthenticated
from app.auth.jwks import Jwks
from app.auth.principal import Principal, user_id
from app.config import ProviderSettings


class JwtIssuer:
    """What the tokens may do is said by the settings, not by the tokens: the provider knows nothing of our scopes."""

    def __init__(self, settings: ProviderSettings) -> None:
        self._settings = settings
        url = settings.jwks_url
        self._jwks = Jwks(url, algorithm=settings.algorithm) if url else None

    def verify(self, token: str) -> Principal:
        """Whom the provider says that it is.

        Raises:
            Unauthenticated: the token is not the provider's, or does not count (any more).
            AuthUnavailable: the provider's keys cannot be had.
        """
        settings = self._settings
        claims = decoded(
            token,
            self._key(token),
            algorithm=settings.algorithm,
            issuer=settings.issuer,
            audience=settings.audience,
            max_ttl_s=settings.max_ttl_s,
        )
        try:
            user = user_id(claims["sub"])
        except ValueError:
            raise Unauthenticated("unusable sub") from None
        return Principal(kind="visitor", tenant=settings.tenant, user=user, scopes=settings.scopes)

    def _key(self, token: str) -> jwt.PyJWK | str:
        if self._jwks is None:
            return self._settings.secret
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise Unauthenticated("bad token", is_guess=True) from None
        # Before any key is fetched for it.
        if header.get("alg") != self._settings.algorithm:
            raise Unauthenticated("bad token", is_guess=True)
        return self._jwks.key(header.get("kid"))
