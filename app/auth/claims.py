"""Encode and decode JWTs, and check their claims."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from app.auth.errors import Unauthenticated
from app.runtime import clock

if TYPE_CHECKING:
    import jwt

REQUIRED = ("exp", "iss", "aud", "sub")
OWN_ALGORITHM = "HS256"
"""The algorithm that signs this server's tokens."""
LEEWAY_S = 30
"""The tolerated difference between the clocks of an issuer and of this server."""


def decode_claims(
    token: str, key: jwt.PyJWK | str, *, algorithm: str, issuer: str, audience: str, max_ttl_s: int
) -> dict[str, Any]:
    """Return the claims of a token that has a valid signature and is valid now.

    Headers that name a key (jku, jwk, x5u) are ignored. Times are checked here, since PyJWT accepts any exp in the
    future.

    Args:
        token: the encoded JWT.
        key: verifies the signature.
        algorithm: the only one that is accepted.
        issuer: the required iss.
        audience: the required aud.
        max_ttl_s: the maximum time until exp, in seconds.

    Raises:
        Unauthenticated: the token is not valid.
    """
    import jwt  # imported here: with cryptography it takes 4 MiB, which a site without tokens does not need

    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            issuer=issuer,
            audience=audience,
            options={
                "require": list(REQUIRED),
                "enforce_minimum_key_length": True,
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
            },
        )
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
        raise Unauthenticated("bad token", is_guess=True) from None
    now = clock.now()
    exp = _read_time(claims, "exp")
    if exp is None or exp > now + max_ttl_s + LEEWAY_S:
        raise Unauthenticated("unbounded token")
    if exp <= now:
        raise Unauthenticated("expired token")
    for name in ("nbf", "iat"):
        if name in claims:
            time = _read_time(claims, name)
            if time is None or time > now + LEEWAY_S:
                raise Unauthenticated("early token")
    return claims


def encode_claims(claims: Mapping[str, Any], key: str, kind: str) -> str:
    """Return a signed token of this server, with its kind as `typ` in the header."""
    import jwt  # imported here: see decode_claims()

    return jwt.encode(dict(claims), key, algorithm=OWN_ALGORITHM, headers={"typ": kind})


def decode_with_any(
    token: str, keys: Sequence[str], *, algorithm: str, issuer: str, audience: str, max_ttl_s: int
) -> dict[str, Any]:
    """Return the claims of a token that one of the keys has signed.

    Args and Raises are those of decode_claims().
    """
    refusal = Unauthenticated("bad token", is_guess=True)
    for key in keys:
        try:
            return decode_claims(
                token, key, algorithm=algorithm, issuer=issuer, audience=audience, max_ttl_s=max_ttl_s
            )
        except Unauthenticated as error:
            if not error.is_guess:  # the signature is valid
                raise
            refusal = error
    raise refusal


def _read_time(claims: dict[str, Any], name: str) -> float | None:
    """Return a time claim in seconds; None if it is not a finite number."""
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Comparing works for integers of any size; converting them to float could overflow.
    return value if -(2**53) < value < 2**53 and math.isfinite(value) else None
