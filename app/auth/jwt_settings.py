"""jwt_faults: whether the settings of the identity provider go together."""

from __future__ import annotations

from urllib.parse import urlsplit

from app.auth.principal import VISITOR_SCOPES
from app.config import Config

# How many bytes a secret needs (https://www.rfc-editor.org/rfc/rfc7518#section-3.2).
_SECRET_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}
_WITH_PUBLIC_KEYS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")


def jwt_faults(config: Config) -> list[str]:
    """One sentence for each fault. There is one algorithm, of one family, in which no token has a say."""
    faults = []
    if config.jwt_algorithm not in (*_WITH_PUBLIC_KEYS, *_SECRET_BYTES):
        faults.append(f"JWT_ALGORITHM must be one of {', '.join((*_WITH_PUBLIC_KEYS, *_SECRET_BYTES))}.")
    if strange := [scope for scope in config.jwt_scopes if scope not in VISITOR_SCOPES]:
        faults.append(
            f"JWT_SCOPES: visitors can have {', '.join(sorted(VISITOR_SCOPES))}, but not {strange[0]!r}."
        )
    if not (config.jwt_issuer or config.jwt_audience or config.jwt_jwks_url or config.jwt_secret):
        return faults
    if not config.jwt_issuer:
        faults.append("JWT_ISSUER is missing; without it nobody knows whose tokens are meant.")
    if not config.jwt_audience:
        faults.append("JWT_AUDIENCE is missing; a token that was made for another server would count here.")
    return faults + (
        _secret_faults(config) if config.jwt_algorithm in _SECRET_BYTES else _public_key_faults(config)
    )


def _secret_faults(config: Config) -> list[str]:
    faults = []
    least = _SECRET_BYTES[config.jwt_algorithm]
    if config.jwt_jwks_url:
        faults.append(f"JWT_JWKS_URL is not for {config.jwt_algorithm}: a public key is no secret.")
    if len(config.jwt_secret.encode()) < least:
        faults.append(f"JWT_SECRET must have at least {least} bytes for {config.jwt_algorithm}.")
    if "-----BEGIN" in config.jwt_secret:
        faults.append("JWT_SECRET is a key in PEM form, and no secret.")
    return faults


def _public_key_faults(config: Config) -> list[str]:
    faults = []
    if config.jwt_secret:
        faults.append(f"JWT_SECRET is for {', '.join(_SECRET_BYTES)} only, not for {config.jwt_algorithm}.")
    if not _is_url(config.jwt_jwks_url, ("https",) if config.is_production else ("https", "http")):
        # Whoever could change the document on its way could forge tokens.
        scheme = "an https:// URL" if config.is_production else "a URL"
        faults.append(f"JWT_JWKS_URL must be {scheme}: that of the provider's public keys.")
    return faults


def _is_url(text: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in schemes and bool(parts.hostname)
    except ValueError:
        return False
