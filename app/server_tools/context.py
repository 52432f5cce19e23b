"""ToolContext: for whom a tool runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ToolContext:
    """The user for whom a tool runs. It comes from the request's credential, never from the model.

    Attributes:
        tenant: the site.
        user: the site's own name of the user; where it gave none, an id that begins with `address:`, `key:` or
            `session:`.
        request_id: that of X-Request-ID and of the log.
    """

    tenant: str
    user: str
    request_id: str
