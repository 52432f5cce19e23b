"""/healthz and /readyz, for whatever watches this server."""

from __future__ import annotations

from flask import Blueprint, Response

from app.auth import public
from app.extensions import lifecycle

bp = Blueprint("health", __name__)


@bp.get("/healthz")
@public
def alive() -> Response:
    """The process answers."""
    return _status("alive")


@bp.get("/readyz")
@public
def ready() -> Response:
    """The process can serve: it needs nothing but itself, so that is until it is told to stop."""
    return _status("draining", 503) if lifecycle().is_draining else _status("ready")


def _status(word: str, status: int = 200) -> Response:
    return Response(
        f'{{"status":"{word}"}}', status, headers={"Cache-Control": "no-store"}, mimetype="application/json"
    )
