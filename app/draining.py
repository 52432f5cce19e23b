"""No new work for a server that stops."""

from __future__ import annotations

from flask import request

from app.lifecycle import Draining
from app.services import services


def refuse_while_draining() -> None:
    """A before_request hook; preflights pass, so that a page can read the refusal."""
    if services().lifecycle.is_draining and request.method != "OPTIONS":
        raise Draining
