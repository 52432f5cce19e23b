"""Refuse new requests while the server shuts down and no other worker accepts them."""

from __future__ import annotations

from flask import Blueprint, request

from app.runtime.lifecycle import Draining, Lifecycle


def init_draining(api: Blueprint, lifecycle: Lifecycle) -> None:
    """Refuse every request to a blueprint while the server drains.

    CORS preflights are still answered, so that a page can read the error.
    """

    def refuse_while_draining() -> None:
        if lifecycle.is_refusing and request.method != "OPTIONS":
            raise Draining

    api.before_request(refuse_while_draining)
