"""Define how to prepare the images and files of the current request: limits, side processes, and the waiting client."""

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
    """The limits and side processes for preparing images and files, and the claim of the request that waits."""

    settings: MediaSettings
    image_processes: SideProcessPool
    document_processes: SideProcessPool
    claim: Claim


def begin_work() -> MediaWork:
    """Check that the current principal may send images and files, and return how to prepare them.

    Raises:
        Forbidden, Unauthenticated: the principal lacks the scope `vision`.
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
    """Return the claim of the current request: valid until its deadline, while its client is connected."""
    built = services()
    passed_s = time.perf_counter() - g.started
    connection = ClientConnection(request.environ.get("gunicorn.socket"), built.lifecycle)
    return Claim(
        owner=name_current_user(),
        until=time.monotonic() - passed_s + built.config.media.timeout_s,
        check=connection.check,
    )
