"""Write and read form tokens. A form on a page without scripts sends one in a field, to authenticate its visitor.

A form token has the claims of the visitor token that it was issued with, and the id of its form. The id identifies
a form that is sent twice.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.auth.claims import encode_claims
from app.auth.errors import Unauthenticated
from app.auth.principal import Principal
from app.problems import Forbidden

AUDIENCE = "gatehouse:form"
_JWT_TYPE = "gatehouse-form+jwt"


@dataclass(frozen=True, slots=True, kw_only=True)
class FormPass:
    """The content of a form token.

    Attributes:
        id: the id of the form.
        principal: the visitor.
        origin: the origin of the page with the form, if the token is bound to one.
        next: the token for the next form, on the page of the answer. It expires at the same time.
    """

    id: str
    principal: Principal
    origin: str | None
    next: str = field(repr=False)


def write_form_token(claims: Mapping[str, Any], key: str, *, follows: bool = False) -> str:
    """Return the token of a new form.

    Args:
        claims: the claims of the visitor token.
        key: signs the token.
        follows: whether the form follows another one, on this server's own page.
    """
    form = {"aud": AUDIENCE, "form": secrets.token_urlsafe(16), "follows": follows}
    return encode_base32(encode_claims({**claims, **form}, key, _JWT_TYPE))


def check_form_origin(claims: Mapping[str, Any], origin: str | None) -> None:
    """Raise Forbidden if a form is bound to another origin.

    The origin of a form that follows another is not checked.
    """
    if "origin" in claims and claims["origin"] != origin and not claims["follows"]:
        raise Forbidden("This form is for pages of another origin.")


def encode_base32(token: str) -> str:
    """Return a JWT in base32, so that it is not accepted where a JWT is expected."""
    return base64.b32encode(token.encode()).decode().rstrip("=").lower()


def decode_base32(text: str) -> str:
    """Return the JWT that encode_base32() encoded. Raises Unauthenticated."""
    try:
        return base64.b32decode(text.upper() + "=" * (-len(text) % 8)).decode("ascii")
    except ValueError:
        raise Unauthenticated("bad token", is_guess=True) from None
