"""Let callers view their usage in a browser, after they signed in with their key or token.

For a key, the cookie contains its id only. For a token, which is meant for browsers, it contains the token. Both
are checked with each request, so a session ends with the key or the token.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace

from flask import Request
from itsdangerous import BadSignature
from werkzeug.wrappers import Response as BaseResponse

from app.auth.errors import AuthUnavailable, Unauthenticated
from app.auth.keys import ApiKeys
from app.auth.own_hosts import OwnHosts
from app.auth.page_sessions.cookies import ClockSigner, SessionCookie
from app.auth.principal import ALL_TENANTS, Principal
from app.config.formats import MIN_SECRET_CHARS
from app.problems import Forbidden, InvalidRequest
from app.runtime import clock

SESSION_S = 8 * 3600

_SCOPES = frozenset({"usage", "admin", ALL_TENANTS})
_MAX_COOKIE_CHARS = 3900  # browsers store at most 4,096 bytes, including the name and the attributes
_COOKIE = SessionCookie("gatehouse-usage", samesite="Strict")
_KEY, _TOKEN = "key:", "token:"

Identify = Callable[[str], Principal]
"""Returns the principal of a credential, or raises."""


class CallerSessions:
    """The sessions of callers.

    Args:
        secret_key: signs the cookies. If it is too short, there are no sessions.
        fallbacks: former secrets, whose cookies are still accepted.
        keys: the API keys.
        own_hosts: the host names of the pages that have sessions.
    """

    def __init__(
        self, secret_key: str, keys: ApiKeys, own_hosts: OwnHosts, *, fallbacks: Sequence[str] = ()
    ) -> None:
        secrets = [*reversed(fallbacks), secret_key]  # the last one signs
        self._signer = ClockSigner(secrets, "gatehouse usage session", digest_method=hashlib.sha256)
        self._is_enabled = len(secret_key) >= MIN_SECRET_CHARS
        self._keys = keys
        self._own_hosts = own_hosts

    def open(self, credential: str, identify: Identify, request: Request, response: BaseResponse) -> None:
        """Check a key or a token, and set the cookie of a session.

        Raises:
            Unauthenticated, TooManyFailures: the credential is not valid.
            Forbidden: the credential may not see usage.
            InvalidRequest: the token is too long for a cookie.
            AuthUnavailable: there is no SECRET_KEY.
        """
        if not self._is_enabled or not self._own_hosts.include(request):
            raise AuthUnavailable(f"Signing in needs a SECRET_KEY of at least {MIN_SECRET_CHARS} characters.")
        principal = identify(credential)
        if not _SCOPES.intersection(principal.scopes):
            raise Forbidden("This credential may not see usage.")
        text = f"{_KEY}{principal.key_id}" if principal.kind == "key" else f"{_TOKEN}{credential}"
        cookie = self._signer.sign(text).decode()
        if len(cookie) > _MAX_COOKIE_CHARS:
            raise InvalidRequest("This token is too long to sign in with.")
        _COOKIE.set(request, response, cookie, max_age_s=SESSION_S)

    def find(self, request: Request, identify: Identify) -> Principal | None:
        """Return the principal of a session, restricted to the scopes for usage; None without a valid session.

        Also None for requests by pages of other origins, whose scripts must not read the usage.

        Raises:
            DatabaseUnavailable: the session cannot be checked now.
        """
        cookie = _COOKIE.read(request)
        if cookie is None or not self._is_enabled or not self._own_hosts.include(request):
            return None
        if self._own_hosts.is_foreign(request):
            return None
        try:
            text = self._signer.unsign(cookie, max_age=SESSION_S).decode()
        except (BadSignature, UnicodeError):
            return None
        if text.startswith(_KEY):
            return self._find_key(text.removeprefix(_KEY))
        try:
            found = identify(text.removeprefix(_TOKEN))
        except (Unauthenticated, Forbidden):
            return None
        return replace(found, scopes=found.scopes & _SCOPES)

    def close(self, request: Request, response: BaseResponse) -> None:
        """Delete the cookie."""
        _COOKIE.delete(request, response)

    def _find_key(self, key_id: str) -> Principal | None:
        key = self._keys.find(key_id)
        if key is None or key.state(clock.now()) in ("revoked", "expired"):
            return None
        return Principal(
            kind="key", tenant=key.tenant, user=f"key:{key.id}", scopes=key.scopes & _SCOPES, key_id=key.id
        )
