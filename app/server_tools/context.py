"""What a tool knows of the request it runs for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ToolContext:
    """For whom a tool runs. It comes from the request's credential, never from the model.

    Attributes:
        tenant: the site.
        user: the site's name of its user; without one, an id that begins with `address:`, `key:` or `session:`.
        request_id: as in X-Request-ID and in the log.
    """

    tenant: str
    user: str
    request_id: str
