"""Set, read and delete the cookies of sessions, and sign those that expire."""

from __future__ import annotations

from typing import Literal

from flask import Request
from itsdangerous import TimestampSigner
from werkzeug.wrappers import Response as BaseResponse

from app.runtime import clock


class SessionCookie:
    """A cookie that scripts cannot read.

    Args:
        name: the name over http. Over https it has the prefix `__Host-`: browsers then accept the cookie only over
            https and from this host, so that no sibling domain can set it.
        samesite: whether browsers send the cookie when a user follows a link from another site.
    """

    def __init__(self, name: str, *, samesite: Literal["Lax", "Strict"]) -> None:
        self._names = {True: f"__Host-{name}", False: name}
        self._samesite = samesite

    def read(self, request: Request) -> str | None:
        """Return the value in a request; None if there is none."""
        if "HTTP_COOKIE" not in request.environ:
            return None
        return request.cookies.get(self._names[request.is_secure])

    def set(self, request: Request, response: BaseResponse, value: str, *, max_age_s: int) -> None:
        """Set the cookie on a response. The request shows whether the connection is secure."""
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
        """Delete the cookie by a response. The request shows whether the connection is secure."""
        response.delete_cookie(
            self._names[request.is_secure], secure=request.is_secure, httponly=True, samesite=self._samesite
        )


class ClockSigner(TimestampSigner):
    """Signs with the time of the process's clock, which tests can set."""

    def get_timestamp(self) -> int:
        """Return the seconds since 1970."""
        return int(clock.now())
