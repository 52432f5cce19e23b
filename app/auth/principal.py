"""Define the principal of a request: who sends it, and what they may do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Kind = Literal["key", "visitor", "session", "anonymous", "admin"]
VisitorScope = Literal["chat", "vision", "embeddings", "structured", "usage"]

VISITOR_SCOPES = frozenset(get_args(VisitorScope))
"""Scopes that a visitor token can have."""

ALL_TENANTS = "all-tenants"
"""The scope that lets an `admin` key see and change data of all tenants."""

SCOPES = VISITOR_SCOPES | {"admin", ALL_TENANTS}
"""Scopes that an API key can have."""

CONVERSATION_SCOPES = VISITOR_SCOPES - {"embeddings"}
"""Scopes that a token tied to a prompt can have. Embeddings do not use prompts."""

DEFAULT_TENANT = "default"

# No comma, as servers join a header that is sent twice by a comma.
_USER_ID = re.compile(r"[!-+\--~]{1,128}")
# Prefixes of the ids that Gatehouse assigns to unnamed users. A site's ids must not begin with them.
_RESERVED = ("address:", "key:", "session:", "admin:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who sends a request. Two principals with the same tenant and user are the same user.

    Args:
        kind: how they authenticated.
        tenant: the site that they belong to.
        user: the site's id of its user; without one, an id that begins with `address:`, `key:` or `admin:`.
        scopes: what they may do.
        token_id: the id of the visitor token.
        key_id: the id of the API key, or of the key that issued the visitor token.
        budget_micro_usd: the budget of the token, if it has one.
        max_tokens: the token's maximum number of tokens of an answer, if it has one.
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
        """Whether a credential identifies the user. A session does not, as anybody can get another one."""
        return self.kind in ("key", "visitor", "admin")

    @property
    def administers_all(self) -> bool:
        """Whether they may see and change data of all tenants."""
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
