"""The settings of the site's identity provider, and the rules that they have to keep together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.config import formats as forms

if TYPE_CHECKING:
    from app.config.settings import Config

VISITOR_SCOPES = ("chat", "vision", "embeddings", "structured", "usage")
"""What visitors can be allowed; a site's own server can have `admin` besides."""

# How many bytes a secret needs (https://www.rfc-editor.org/rfc/rfc7518#section-3.2).
_SECRET_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}
_WITH_PUBLIC_KEYS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """Whose JWTs are accepted, how they are signed, and what they allow.

    Attributes:
        jwks_url: of the public keys; empty where `secret` signs.
        tenant, scopes: of every user of the provider's, whatever a token says.
        max_ttl_s: how long a token may last.
    """

    issuer: str
    audience: str
    algorithm: str
    jwks_url: str
    secret: str = field(repr=False)
    tenant: str
    scopes: frozenset[str]
    max_ttl_s: int


def read_provider(config: Config) -> ProviderSettings | None:
    """Return the settings of the provider; None where there is none."""
    if not config.jwt_issuer:
        return None
    return ProviderSettings(
        issuer=config.jwt_issuer,
        audience=config.jwt_audience,
        algorithm=config.jwt_algorithm,
        jwks_url=config.jwt_jwks_url,
        secret=config.jwt_secret,
        tenant=config.jwt_tenant,
        scopes=frozenset(config.jwt_scopes),
        max_ttl_s=config.token_max_ttl_s,
    )


def find_provider_problems(config: Config) -> Iterator[str]:
    """Yield one sentence for each problem. There is one algorithm, of one family, in which no token has a say."""
    if config.jwt_algorithm not in (*_WITH_PUBLIC_KEYS, *_SECRET_BYTES):
        yield f"JWT_ALGORITHM must be one of {', '.join((*_WITH_PUBLIC_KEYS, *_SECRET_BYTES))}."
    if strange := [scope for scope in config.jwt_scopes if scope not in VISITOR_SCOPES]:
        yield f"JWT_SCOPES: visitors can have {', '.join(sorted(VISITOR_SCOPES))}, but not {strange[0]!r}."
    if not (config.jwt_issuer or config.jwt_audience or config.jwt_jwks_url or config.jwt_secret):
        return
    if not config.jwt_issuer:
        yield "JWT_ISSUER is missing; without it nobody knows whose tokens are meant."
    if not config.jwt_audience:
        yield "JWT_AUDIENCE is missing; a token that was made for another server would count here."
    yield from _check_secret(config) if config.jwt_algorithm in _SECRET_BYTES else _check_public_keys(config)


def _check_secret(config: Config) -> Iterator[str]:
    min_bytes = _SECRET_BYTES[config.jwt_algorithm]
    if config.jwt_jwks_url:
        yield f"JWT_JWKS_URL is not for {config.jwt_algorithm}: a public key is no secret."
    if len(config.jwt_secret.encode()) < min_bytes:
        yield f"JWT_SECRET must have at least {min_bytes} bytes for {config.jwt_algorithm}."
    if "-----BEGIN" in config.jwt_secret:
        yield "JWT_SECRET is a key in PEM form, and no secret."


def _check_public_keys(config: Config) -> Iterator[str]:
    if config.jwt_secret:
        yield f"JWT_SECRET is for {', '.join(_SECRET_BYTES)} only, not for {config.jwt_algorithm}."
    if not forms.is_url(config.jwt_jwks_url, ("https",) if config.is_production else ("https", "http")):
        # Whoever could change the document on its way could forge tokens.
        scheme = "an https:// URL" if config.is_production else "a URL"
        yield f"JWT_JWKS_URL must be {scheme}: that of the provider's public keys."
