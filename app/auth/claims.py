"""From a JWT's text to claims that were checked: the one place that decodes any."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from app.auth import clock
from app.auth.errors import Unauthenticated

if TYPE_CHECKING:
    import jwt

REQUIRED = ("exp", "iss", "aud", "sub")
_LEEWAY_S = 30


def decoded(
    token: str, key: jwt.PyJWK | str, *, algorithm: str, issuer: str, audience: str, max_ttl_s: int
) -> dict[str, Any]:
    """The claims of a token that is signed with this key, by this algorithm, and counts now.

    Nothing that the token says of its own key (jku, jwk, x5u) is looked at. The times are checked here, since
    PyJWT takes any number for an exp, however far ahead.

    Args:
        max_ttl_s: how far ahead an exp may be.
    Raises:
        Unauthenticated: it does not.
    """
    import jwt  # with its cryptography 4 MiB; a site without tokens never needs it

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
    exp = _time(claims, "exp")
    if exp is None or exp > now + max_ttl_s + _LEEWAY_S:
        raise Unauthenticated("unbounded token")
    if exp <= now:
        raise Unauthenticated("expired token")
    for name in ("nbf", "iat"):
        if name in claims:
            begins = _time(claims, name)
            if begins is None or begins > now + _LEEWAY_S:
                raise Unauthenticated("early token")
    return claims


def _time(claims: dict[str, Any], name: str) -> float | None:
    """A claim that is a time; None where it is no number that could be one."""
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Comparing holds for whole numbers of any size; a float of theirs would overflow.
    return value if -(2**53) < value < 2**53 and math.isfinite(value) else None
