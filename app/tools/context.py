"""Define ToolContext, the user for whom a tool runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ToolContext:
    """The user for whom a tool runs. The request's credential sets it, never the model.

    Attributes:
        tenant: the site.
        user: the site's id of the user; without one, an id that begins with `address:`, `key:` or `session:`.
        request_id: the id in the header X-Request-ID and in the log.
    """

    tenant: str
    user: str
    request_id: str
