"""The cookies of sessions, and the signer of those that expire."""

from __future__ import annotations

from typing import Literal

from flask import Request
from itsdangerous import TimestampSigner
from werkzeug.wrappers import Response as BaseResponse

from app.runtime import clock


class SessionCookie:
    """A cookie that no script can read.

    Args:
        name: over plain http. Over https it has a prefix with which a browser accepts it only over https and from this
            host, so no sibling domain can set it.
        samesite: whether a browser sends it when another site leads to a page here.
    """

    def __init__(self, name: str, *, samesite: Literal["Lax", "Strict"]) -> None:
        self._names = {True: f"__Host-{name}", False: name}
        self._samesite = samesite

    def read(self, request: Request) -> str | None:
        """Return the value that a request has; None without one."""
        if "HTTP_COOKIE" not in request.environ:
            return None
        return request.cookies.get(self._names[request.is_secure])

    def set(self, request: Request, response: BaseResponse, value: str, *, max_age_s: int) -> None:
        """Give it to the browser that sent the request."""
        response.set_cookie(
            self._names[request.is_secure],
            value,
            max_age=max_age_s,
            httponly=True,
            secure=request.is_secure,
            samesite=self._samesite,
            path="/",
        )

    def delete(self, request: Request, response: BaseResponse) -> None:
        """Take it away from the browser that sent the request."""
        response.delete_cookie(
            self._names[request.is_secure], secure=request.is_secure, httponly=True, samesite=self._samesite
        )


class ClockSigner(TimestampSigner):
    """Signs with the time of this program's clock."""

    def get_timestamp(self) -> int:
        """Return the seconds since 1970."""
        return int(clock.now())
