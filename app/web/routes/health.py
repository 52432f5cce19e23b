"""Serve /healthz and /readyz, for load balancers and monitoring, and a short stream for `flask doctor`."""

from __future__ import annotations

import time
from collections.abc import Iterator

from flask import Blueprint, Response, request
from werkzeug.exceptions import NotFound

from app.runtime import doctor_probe
from app.services import services
from app.storage.database.database import Contended, DatabaseUnavailable
from app.web.guards import public
from app.web.responses import plain_json_response

bp = Blueprint("health", __name__)


@bp.get("/healthz")
@public
def alive() -> Response:
    """Report that the process is running."""
    return _status("alive")


@bp.get("/readyz")
@public
def ready() -> Response:
    """Report whether the server is ready: it is not stopping, and the ledger can be written."""
    built = services()
    if built.lifecycle.is_refusing:
        return _status("draining", 503)
    try:
        built.database.check()
    except Contended:
        pass  # other transactions are writing, so the database can be written
    except DatabaseUnavailable as error:
        return _status("store_unavailable", 503, error.advice)
    return _status("ready")


@bp.get(doctor_probe.PATH)
@public
def stream() -> Response:
    """Stream a few events over one second, so that `flask doctor` can check that proxies do not buffer them."""
    config = services().config
    secrets = [*config.secret_key_fallbacks, config.secret_key]
    if not config.secret_key or not doctor_probe.is_signed(request.headers.get(doctor_probe.HEADER, ""), secrets):
        raise NotFound
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return Response(_generate_events(), headers=headers, mimetype="text/event-stream")


def _generate_events() -> Iterator[bytes]:
    for number in range(doctor_probe.EVENTS):
        if number:
            time.sleep(doctor_probe.INTERVAL_S)
        yield b"data: %d\n\n" % number


def _status(word: str, status: int = 200, advice: str | None = None) -> Response:
    body = {"status": word} if advice is None else {"status": word, "advice": advice}
    return plain_json_response(body, status=status)
