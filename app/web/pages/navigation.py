"""Choose the links of the top bar: the pages that exist, and that this visitor may open."""

from __future__ import annotations

from typing import NamedTuple

from flask import current_app, request, url_for

from app.problems import Forbidden
from app.services import services
from app.storage.database.database import DatabaseUnavailable
from app.web.guards import find_admin_session


class Link(NamedTuple):
    """A link of the top bar."""

    url: str
    label: str
    is_current: bool


class _Page(NamedTuple):
    endpoint: str
    label: str
    is_for_owners: bool


_PAGES = (
    _Page("pages.console", "Console", is_for_owners=True),
    _Page("pages.usage", "Usage", is_for_owners=True),
    _Page("pages.admin", "Admin", is_for_owners=True),
    _Page("openapi.show_page", "API", is_for_owners=False),
)


def list_links() -> list[Link]:
    """Return the links for the sender of the current request."""
    sees_all = is_owner()
    return [
        Link(url_for(page.endpoint), page.label, (request.endpoint or "").startswith(page.endpoint))
        for page in _PAGES
        if page.endpoint in current_app.view_functions and (sees_all or not page.is_for_owners)
    ]


def is_owner() -> bool:
    """Return whether the current request may see the owner's pages.

    It may in development, or with an administrator's session.
    """
    if not services().config.is_production:
        return True
    try:
        return find_admin_session() is not None
    except (Forbidden, DatabaseUnavailable):
        return False
