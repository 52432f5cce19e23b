"""The settings of the site's identity provider, and their rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.config import formats

if TYPE_CHECKING:
    from app.config.settings import Config

VISITOR_SCOPES = ("chat", "vision", "embeddings", "structured", "usage")
"""The scopes that a visitor can have. `admin` is for API keys of servers only."""

# The minimum bytes of a secret (https://www.rfc-editor.org/rfc/rfc7518#section-3.2).
_MIN_SECRET_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}
_PUBLIC_KEY_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """An identity provider: how it signs its JWTs, and what they allow.

    Attributes:
        jwks_url: of the public keys; empty if tokens are signed with `secret`.
        tenant, scopes: of all users of the provider. A token's own are ignored.
        max_ttl_s: the maximum time until a token expires.
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
    """Return the settings of the provider; None if JWT_ISSUER is not set."""
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
    """Yield one sentence for each problem.

    Only one algorithm is accepted, with a secret or with public keys. A token cannot choose another one.
    """
    if config.jwt_algorithm not in (*_PUBLIC_KEY_ALGORITHMS, *_MIN_SECRET_BYTES):
        yield f"JWT_ALGORITHM must be one of {', '.join((*_PUBLIC_KEY_ALGORITHMS, *_MIN_SECRET_BYTES))}."
    if unknown := [scope for scope in config.jwt_scopes if scope not in VISITOR_SCOPES]:
        yield f"JWT_SCOPES may contain {', '.join(sorted(VISITOR_SCOPES))}, but not {unknown[0]!r}."
    if problem := formats.check_tenant(config.jwt_tenant):
        yield f"JWT_TENANT {problem}"
    if not (config.jwt_issuer or config.jwt_audience or config.jwt_jwks_url or config.jwt_secret):
        return
    if not config.jwt_issuer:
        yield "JWT_ISSUER is missing; it names the provider whose tokens are accepted."
    if not config.jwt_audience:
        yield "JWT_AUDIENCE is missing; without it, tokens for other servers would be accepted."
    yield from _check_secret(config) if config.jwt_algorithm in _MIN_SECRET_BYTES else _check_public_keys(config)


def _check_secret(config: Config) -> Iterator[str]:
    min_bytes = _MIN_SECRET_BYTES[config.jwt_algorithm]
    if config.jwt_jwks_url:
        yield f"JWT_JWKS_URL cannot be used with {config.jwt_algorithm}, which signs with JWT_SECRET."
    if len(config.jwt_secret.encode()) < min_bytes:
        yield f"JWT_SECRET must have at least {min_bytes} bytes for {config.jwt_algorithm}."
    if "-----BEGIN" in config.jwt_secret:
        yield "JWT_SECRET must be a secret, not a key in PEM format."


def _check_public_keys(config: Config) -> Iterator[str]:
    if config.jwt_secret:
        yield f"JWT_SECRET works with {', '.join(_MIN_SECRET_BYTES)} only, not with {config.jwt_algorithm}."
    if not formats.is_url(config.jwt_jwks_url, ("https",) if config.is_production else ("https", "http")):
        # Over plain http, an attacker on the network could replace the keys and forge tokens.
        scheme = "an https:// URL" if config.is_production else "a URL"
        yield f"JWT_JWKS_URL must be {scheme} that returns the provider's public keys."
