"""The principal of a request: who sends it, and what they may do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Kind = Literal["key", "visitor", "session", "anonymous", "admin"]
VisitorScope = Literal["chat", "vision", "embeddings", "structured", "usage"]

VISITOR_SCOPES = frozenset(get_args(VisitorScope))
"""Scopes that a visitor's token can have."""

ALL_TENANTS = "all-tenants"
"""Lets an `admin` key see and change what belongs to other tenants than its own."""

SCOPES = VISITOR_SCOPES | {"admin", ALL_TENANTS}
"""Scopes that an API key can have."""

CONVERSATION_SCOPES = VISITOR_SCOPES - {"embeddings"}
"""Scopes of a token that is tied to a prompt. The others would allow conversations without it."""

DEFAULT_TENANT = "default"

# No comma: a header that is sent twice arrives as one, joined by a comma.
_USER_ID = re.compile(r"[!-+\--~]{1,128}")
# Prefixes of the ids that Gatehouse gives to unnamed users. A site's ids must not begin with them.
_RESERVED = ("address:", "key:", "session:", "admin:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who sends a request. Two principals with the same tenant and user are the same user.

    Args:
        kind: how they authenticated.
        tenant: the site that they belong to.
        user: the site's name of its user; without one, an id that begins with `address:`, `key:` or `admin:`.
        token_id: of the visitor token.
        key_id: of the API key, or of the key that issued the visitor token.
        budget_micro_usd: what may be spent with this token, if limited.
        max_tokens: a ceiling for each answer, if the token has one.
        prompt: the name of the stored prompt that the token is tied to, if any.
        variables: values of that prompt's variables that the token sets.
    """

    kind: Kind
    tenant: str
    user: str
    scopes: frozenset[str]
    token_id: str | None = None
    key_id: str | None = None
    budget_micro_usd: int | None = None
    max_tokens: int | None = None
    prompt: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_named(self) -> bool:
        """Whether a credential says who they are. A session does not: anybody gets another one."""
        return self.kind in ("key", "visitor", "admin")

    @property
    def administers_all(self) -> bool:
        """Whether they may see and change what belongs to any tenant."""
        return self.may("admin") and self.may(ALL_TENANTS)

    def may(self, scope: str) -> bool:
        """Return whether a scope is granted. No scope includes another, not even `admin`."""
        return scope in self.scopes


def parse_user_id(text: str) -> str:
    """Return a site's user id if it is valid.

    Raises:
        ValueError: it is not valid. The message is worded to follow the field's name.
    """
    if not _USER_ID.fullmatch(text):
        raise ValueError("must be 1 to 128 visible ASCII characters without a comma")
    if text.startswith(_RESERVED):
        raise ValueError(f"must not begin with {', '.join(_RESERVED)}, which are reserved")
    return text
