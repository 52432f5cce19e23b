"""Say how the images and files of the current request are prepared: within which limits, in which processes, and for whom."""

from __future__ import annotations

import time
from dataclasses import dataclass

from flask import g, request

from app.auth.errors import Unauthenticated
from app.auth.principal import Principal
from app.config import MediaSettings
from app.problems import Forbidden
from app.runtime.side_process import Claim, SideProcessPool
from app.services import services
from app.web.call_context import name_current_user
from app.web.client_connection import ClientConnection


@dataclass(frozen=True, slots=True)
class MediaWork:
    """How images and files are prepared: within which limits, by which processes, and for whom."""

    settings: MediaSettings
    image_processes: SideProcessPool
    document_processes: SideProcessPool
    claim: Claim


def begin_work() -> MediaWork:
    """Return how the images and files of the current request are prepared.

    Raises:
        Forbidden, Unauthenticated: the principal may not send any, which takes the scope `vision`.
    """
    _check_scope(g.principal)
    built = services()
    return MediaWork(built.config.media, built.image_processes, built.document_processes, _make_claim())


def _check_scope(principal: Principal) -> None:
    if principal.may("vision"):
        return
    if principal.kind == "anonymous":
        raise Unauthenticated("no scope")
    raise Forbidden("This credential may not send images or files: it lacks the scope vision.")


def _make_claim() -> Claim:
    """Return for whom they are prepared: until the deadline of the request, while the client is connected."""
    built = services()
    passed_s = time.perf_counter() - g.started
    connection = ClientConnection(request.environ.get("gunicorn.socket"), built.lifecycle)
    return Claim(
        owner=name_current_user(),
        until=time.monotonic() - passed_s + built.config.media.timeout_s,
        check=connection.check,
    )
