"""No new work for a server that stops."""

from __future__ import annotations

from flask import request

from app.extensions import lifecycle
from app.lifecycle import Draining


def refuse_while_draining() -> None:
    """A before_request hook; preflights pass, so that a page can read the refusal."""
    if lifecycle().is_draining and request.method != "OPTIONS":
        raise Draining
