"""/healthz and /readyz, for whatever watches this server."""

from __future__ import annotations

from flask import Blueprint, Response

from app.database.database import Contended, DatabaseUnavailable
from app.services import services
from app.web.guards import public

bp = Blueprint("health", __name__)


@bp.get("/healthz")
@public
def alive() -> Response:
    """The process answers."""
    return _status("alive")


@bp.get("/readyz")
@public
def ready() -> Response:
    """The process can serve: it has not been told to stop, and its ledger takes what is written into it."""
    built = services()
    if built.lifecycle.is_draining:
        return _status("draining", 503)
    try:
        built.database.check()
    except Contended:
        pass  # so many write into it that this one's turn did not come: others' does
    except DatabaseUnavailable:
        return _status("store_unavailable", 503)
    return _status("ready")


def _status(word: str, status: int = 200) -> Response:
    return Response(
        f'{{"status":"{word}"}}', status, headers={"Cache-Control": "no-store"}, mimetype="application/json"
    )
