"""Principal: who a request comes from, and what they may do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Kind = Literal["key", "visitor", "session", "anonymous"]
VisitorScope = Literal["chat", "vision", "embeddings", "structured", "usage"]

VISITOR_SCOPES = frozenset(get_args(VisitorScope))
"""What somebody in front of a browser can be allowed."""

SCOPES = VISITOR_SCOPES | {"admin"}
"""What a site's own server can be allowed."""

CONVERSATION_SCOPES = VISITOR_SCOPES - {"embeddings"}
"""What of it goes together with a prompt that every conversation has. The rest would be a way around it."""

DEFAULT_TENANT = "default"

# No comma: a header sent twice arrives as one, with a comma in between.
_USER_ID = re.compile(r"[!-+\--~]{1,128}")
# What the ids begin with that are made here, for whom nobody has named. No name may pass for one of them.
_OWN = ("address:", "key:", "session:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who a request comes from. Two principals with the same tenant and user are the same user.

    Args:
        kind: how they have shown who they are.
        tenant: the site that they belong to.
        user: as the site names its user or, where it does not, an id that begins with `address:`, `key:` or
            `session:`.
        token_id: of the visitor token.
        key_id: of the site's key, or of the one that the visitor token was made with.
        budget_micro_usd: what may be spent with this token, if it says.
        max_tokens: the most that one answer may have, if the token says.
        prompt: the name of the kept prompt that every conversation has, if the token says.
        variables: of that prompt, as far as the token settles them.
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

    def may(self, scope: str) -> bool:
        """Whether a scope was given. None includes another, `admin` neither."""
        return scope in self.scopes


def user_id(text: str) -> str:
    """What a site calls its user, checked.

    Raises:
        ValueError: it cannot be a user's name. The message is to be read behind the name of the field.
    """
    if not _USER_ID.fullmatch(text):
        raise ValueError("must be 1 to 128 visible ASCII characters without a comma")
    if text.startswith(_OWN):
        raise ValueError(f"must not begin with {', '.join(_OWN)}: such ids are made here")
    return text
