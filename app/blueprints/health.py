"""/healthz and /readyz, for whatever watches this server."""

from __future__ import annotations

from flask import Blueprint, Response

bp = Blueprint("health", __name__)


@bp.get("/healthz")
def alive() -> Response:
    """The process answers."""
    return Response(b'{"status":"alive"}', mimetype="application/json")


@bp.get("/readyz")
def ready() -> Response:
    """The process can serve: it needs nothing but itself, so that is when it answers."""
    return Response(b'{"status":"ready"}', mimetype="application/json")
