"""ToolContext: what a tool may know of who asks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ToolContext:
    """For whom a tool is run. It comes from the request's credential, and not from the model.

    Attributes:
        tenant: the site.
        user: as the site names its user or, where it does not, an id that begins with `address:`, `key:` or
            `session:`.
        request_id: as in X-Request-ID and in every line of the log.
    """

    tenant: str
    user: str
    request_id: str
