"""Write and read the token of a form, for a page without scripts: in one field of one form it stands for a visitor.

It has the claims of the visitor token that it was issued with, and an id of its own, by which a form that is sent twice
is known.
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
    """What a form token stands for.

    Attributes:
        id: of the form.
        principal: whose form it is.
        origin: of the page that has the form, if the token is bound to one.
        next: the token of the form that follows it. It expires when this one does.
    """

    id: str
    principal: Principal
    origin: str | None
    next: str = field(repr=False)


def write_form_token(claims: Mapping[str, Any], key: str, *, follows: bool = False) -> str:
    """Return the token of a new form. `follows`: the form is on this server's own page, after another one."""
    form = {"aud": AUDIENCE, "form": secrets.token_urlsafe(16), "follows": follows}
    return disguise(encode_claims({**claims, **form}, key, _JWT_TYPE))


def check_form_origin(claims: Mapping[str, Any], origin: str | None) -> None:
    """Raise Forbidden if a form is bound to another origin. That of a form that follows another is not compared."""
    if "origin" in claims and claims["origin"] != origin and not claims["follows"]:
        raise Forbidden("This form is for pages of another origin.")


def disguise(token: str) -> str:
    """Return a JWT in other letters, so that nothing that looks for a JWT takes this one: in base32."""
    return base64.b32encode(token.encode()).decode().rstrip("=").lower()


def undisguise(text: str) -> str:
    """Return the JWT that disguise() was given. Raises Unauthenticated."""
    try:
        return base64.b32decode(text.upper() + "=" * (-len(text) % 8)).decode("ascii")
    except ValueError:
        raise Unauthenticated("bad token", is_guess=True) from None
