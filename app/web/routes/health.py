"""Serve /healthz and /readyz, for load balancers and monitoring."""

from __future__ import annotations

import orjson
from flask import Blueprint, Response

from app.database.database import Contended, DatabaseUnavailable
from app.services import services
from app.web.guards import public

bp = Blueprint("health", __name__)


@bp.get("/healthz")
@public
def alive() -> Response:
    """Report that the process answers."""
    return _status("alive")


@bp.get("/readyz")
@public
def ready() -> Response:
    """Report whether the server can serve: it is not stopping, and the ledger can be written."""
    built = services()
    if built.lifecycle.is_draining:
        return _status("draining", 503)
    try:
        built.database.check()
    except Contended:
        pass  # other writers are busy with it, so it can be written
    except DatabaseUnavailable as error:
        return _status("store_unavailable", 503, error.advice)
    return _status("ready")


def _status(word: str, status: int = 200, advice: str | None = None) -> Response:
    body = {"status": word} if advice is None else {"status": word, "advice": advice}
    return Response(orjson.dumps(body), status, headers={"Cache-Control": "no-store"}, mimetype="application/json")
