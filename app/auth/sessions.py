"""Open and read sessions, by which browsers that opened a page of this server can call without a credential.

A session is a signed cookie. It does not identify a user, as anybody can delete the cookie and get another one.
Its requests count for the network address, like those of any anonymous caller. Browsers may send the cookie with
requests of other sites, so for unsafe methods it is accepted only if the headers show that a page of this origin
sent the request. There are no sessions under host names that are not the server's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from secrets import token_urlsafe

from flask import Request, Response
from itsdangerous import BadSignature

from app.auth.own_hosts import OwnHosts
from app.auth.page_sessions.cookies import ClockSigner, SessionCookie
from app.problems import Forbidden

_COOKIE = SessionCookie("gatehouse", samesite="Lax")
_SALT = "gatehouse session"
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


class Sessions:
    """Opens and reads sessions.

    Args:
        secret_key: signs the cookies. Without one there are no sessions.
        fallbacks: former secrets, whose cookies are still accepted.
        ttl_s: the lifetime of a session after its last page was opened.
        own_hosts: the host names of the pages that have sessions.
    """

    def __init__(self, secret_key: str, *, fallbacks: Sequence[str] = (), ttl_s: int, own_hosts: OwnHosts) -> None:
        secrets = [*reversed(fallbacks), secret_key]  # the last one signs
        self._signer = ClockSigner(secrets, _SALT, digest_method=hashlib.sha256) if secret_key else None
        self._ttl_s = ttl_s
        self._own_hosts = own_hosts

    def open(self, request: Request, response: Response) -> None:
        """Set the cookie on the response of a page: that of a new session, or of the current one, renewed."""
        if self._signer is None or not self._own_hosts.include(request):
            return
        session_id = self._read_id(request) or token_urlsafe(16)
        _COOKIE.set(request, response, self._signer.sign(session_id).decode(), max_age_s=self._ttl_s)
        response.vary.add("Cookie")

    def check(self, request: Request) -> bool:
        """Return whether a request has the cookie of a session that has not expired.

        Raises:
            Forbidden: the method is unsafe, and the headers do not show that a page of this server sent the
                request.
        """
        if self._read_id(request) is None:
            return False
        if request.method not in SAFE_METHODS and not self._own_hosts.is_same_origin(request):
            raise Forbidden("A session is accepted only from this server's own pages.")
        return True

    def _read_id(self, request: Request) -> str | None:
        cookie = _COOKIE.read(request)
        if cookie is None or self._signer is None or not self._own_hosts.include(request):
            return None
        try:
            return self._signer.unsign(cookie, max_age=self._ttl_s).decode("ascii")
        except (BadSignature, UnicodeError):
            return None
