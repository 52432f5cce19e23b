"""Sessions: a signed cookie lets the browsers that have opened a page served here call without a credential.

It says nothing of who somebody is: whoever deletes it gets another one. Its requests count for the network address, like
those of any anonymous caller. A browser sends the cookie with requests from any site, so for unsafe methods it is
accepted only if the browser's headers say that the request comes from a page of this origin. Under a host name that is
not the server's own there are no sessions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from secrets import token_urlsafe

from flask import Request, Response
from itsdangerous import BadSignature, TimestampSigner

from app.auth.own_hosts import OwnHosts
from app.problems import Forbidden
from app.runtime import clock

# A browser accepts a cookie of the first name only over https and from this host, so no sibling domain can set one.
_SECURE_NAME, _PLAIN_NAME = "__Host-gatehouse", "gatehouse"
_SALT = "gatehouse session"
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


class Sessions:
    """Opens and reads sessions.

    Args:
        secret_key: signs the cookies. Without one there are no sessions.
        fallbacks: former ones, whose cookies are still accepted.
        ttl_s: the lifetime of a session after its last page was opened.
        own_hosts: the host names of the pages that have sessions.
    """

    def __init__(self, secret_key: str, *, fallbacks: Sequence[str] = (), ttl_s: int, own_hosts: OwnHosts) -> None:
        secrets = [*reversed(fallbacks), secret_key]  # the last one signs
        self._signer = _Signer(secrets, _SALT, digest_method=hashlib.sha256) if secret_key else None
        self._ttl_s = ttl_s
        self._own_hosts = own_hosts

    def open(self, request: Request, response: Response) -> None:
        """Set the cookie on the response that carries a page: that of a new session, or the current one renewed."""
        if self._signer is None or not self._own_hosts.include(request):
            return
        session_id = self._read_id(request) or token_urlsafe(16)
        response.set_cookie(
            _cookie_name(request),
            self._signer.sign(session_id).decode(),
            max_age=self._ttl_s,
            httponly=True,
            secure=request.is_secure,
            samesite="Lax",
            path="/",
        )
        response.vary.add("Cookie")

    def check(self, request: Request) -> bool:
        """Return whether a request has the cookie of a session; not if it is expired or not ours.

        Raises:
            Forbidden: the method is unsafe, and the headers do not say that a page served here sent the request.
        """
        if self._read_id(request) is None:
            return False
        if request.method not in SAFE_METHODS and not self._own_hosts.sent(request):
            raise Forbidden("A session is accepted only from this server's own pages.")
        return True

    def _read_id(self, request: Request) -> str | None:
        if "HTTP_COOKIE" not in request.environ or self._signer is None:
            return None
        cookie = request.cookies.get(_cookie_name(request))
        if cookie is None or not self._own_hosts.include(request):
            return None
        try:
            return self._signer.unsign(cookie, max_age=self._ttl_s).decode("ascii")
        except (BadSignature, UnicodeError):
            return None


class _Signer(TimestampSigner):
    def get_timestamp(self) -> int:
        return int(clock.now())


def _cookie_name(request: Request) -> str:
    return _SECURE_NAME if request.is_secure else _PLAIN_NAME
