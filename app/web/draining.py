"""Refuse new requests while the server stops and nobody else takes them."""

from __future__ import annotations

from flask import Blueprint, request

from app.runtime.lifecycle import Draining, Lifecycle


def init_draining(api: Blueprint, lifecycle: Lifecycle) -> None:
    """Refuse every request of a blueprint while the server drains, except preflights, so that a page can read why."""

    def refuse_while_draining() -> None:
        if lifecycle.is_refusing and request.method != "OPTIONS":
            raise Draining

    api.before_request(refuse_while_draining)
