"""Open, find and end the sessions of administrators.

A session is a row in the database and a signed cookie with its id. Browsers send the cookie only to this server
and only from its own pages, and scripts cannot read it. Forms that change something need a token of the session,
too, which only its own pages contain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from flask import Request
from itsdangerous import BadSignature, Signer
from werkzeug.wrappers import Response as BaseResponse

from app.auth.audit.actors import Actor
from app.auth.audit.trail import Action, record
from app.auth.errors import AuthUnavailable, Unauthenticated
from app.auth.own_hosts import OwnHosts
from app.auth.page_sessions.cookies import SessionCookie
from app.auth.page_sessions.links import Links
from app.auth.store import CredentialStore
from app.config.formats import MIN_SECRET_CHARS
from app.runtime import clock
from app.storage.database.connections.sql import name_columns, write_insert

SESSION_S = 8 * 3600
LINK_S = 10 * 60
SESSION_RETENTION_DAYS = 30
"""How many days the row of a session is stored after its end. Its link expires long before."""

_RETENTION_S = SESSION_RETENTION_DAYS * 24 * 3600
_COOKIE = SessionCookie("gatehouse-admin", samesite="Strict")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminSession:
    """A session. Times are seconds since 1970."""

    id: str
    name: str
    address: str
    created_at: int
    expires_at: int
    ended_at: int | None

    @property
    def is_running(self) -> bool:
        """Whether the session is valid now."""
        return self.ended_at is None and clock.now() < self.expires_at


_SELECT = f"SELECT {name_columns(AdminSession)} FROM admin_sessions"  # noqa: S608 - a constant


class AdminSessions:
    """The sessions of administrators. All methods but issue_link() raise DatabaseUnavailable.

    Args:
        secret_key: signs links, cookies and the tokens of forms. If it is too short, there are no sessions.
        fallbacks: former secrets, whose signatures are still accepted.
        store: the database with the sessions.
        own_hosts: the host names of the pages that have sessions.
    """

    def __init__(
        self, secret_key: str, store: CredentialStore, own_hosts: OwnHosts, *, fallbacks: Sequence[str] = ()
    ) -> None:
        has_secret = len(secret_key) >= MIN_SECRET_CHARS
        secrets = [*reversed(fallbacks), secret_key]  # the last one signs
        self._links = Links(secrets) if has_secret else None
        self._cookies = _make_signer(secrets, "gatehouse admin session")
        self._forms = _make_signer(secrets, "gatehouse admin form")
        self._store = store
        self._own_hosts = own_hosts

    def issue_link(self, name: str, *, by: Actor, ttl_s: int = LINK_S) -> str:
        """Return the token of a link that opens one session.

        Raises:
            AuthUnavailable: there is no SECRET_KEY to sign with.
            InvalidName: the name has characters that are not allowed.
        """
        token = self._require_links().make(name, ttl_s=ttl_s)
        with self._store.transaction() as connection:
            record(connection, "admin.login_url", f"admin:{name}", by=by, details={"ttl_s": ttl_s})
        return token

    def open(self, token: str, request: Request, address: str) -> AdminSession:
        """Open the session of a link. A link can be used once.

        Raises:
            Unauthenticated: the link was not signed here, has expired, or was used before.
            AuthUnavailable: there is no SECRET_KEY.
        """
        link = self._require_links().read(token)
        if not self._own_hosts.include(request):
            raise Unauthenticated("foreign host")
        now = int(clock.now())
        session = AdminSession(
            id=link.session_id,
            name=link.name,
            address=address,
            created_at=now,
            expires_at=now + SESSION_S,
            ended_at=None,
        )
        values = {name: getattr(session, name) for name in AdminSession.__slots__}
        insert, row = write_insert("admin_sessions", values)
        with self._store.transaction() as connection:
            connection.execute("DELETE FROM admin_sessions WHERE expires_at < ?", (now - _RETENTION_S,))
            if not connection.execute(f"{insert} ON CONFLICT DO NOTHING", row).rowcount:
                raise Unauthenticated("used link")
            record(connection, "admin.sign_in", f"admin:{link.name}", by=Actor(f"admin:{link.name}", address))
        return session

    def set_cookie(self, session: AdminSession, request: Request, response: BaseResponse) -> None:
        """Set the cookie of a session."""
        _COOKIE.set(request, response, self._cookies.sign(session.id).decode(), max_age_s=SESSION_S)

    def delete_cookie(self, request: Request, response: BaseResponse) -> None:
        """Delete the cookie."""
        _COOKIE.delete(request, response)

    def find(self, request: Request) -> AdminSession | None:
        """Return the session of a request; None without one, or if it has expired or ended."""
        cookie = _COOKIE.read(request)
        if cookie is None or self._links is None or not self._own_hosts.include(request):
            return None
        try:
            session_id = self._cookies.unsign(cookie).decode()
        except (BadSignature, UnicodeError):
            return None
        with self._store.read_transaction() as connection:
            row = connection.fetch_row(f"{_SELECT} WHERE id = ?", (session_id,))
        session = None if row is None else AdminSession(**row)
        return session if session is not None and session.is_running else None

    def make_form_token(self, session: AdminSession) -> str:
        """Return the token that forms on a session's pages must send."""
        return self._forms.get_signature(session.id).decode()

    def allows_form(self, session: AdminSession, request: Request, token: str) -> bool:
        """Return whether a page of this session sent a form, according to its Origin and its token."""
        origin = request.headers.get("Origin")
        if (
            origin is None
            or not self._own_hosts.is_own_origin(request, origin)
            or not self._own_hosts.is_same_origin(request)
        ):
            return False
        return self._forms.verify_signature(session.id, token)

    def end(self, session: AdminSession, *, by: Actor) -> None:
        """End a session, as its administrator signs out."""
        self._end([session], "admin.sign_out", by=by)

    def end_all(self, *, by: Actor) -> Sequence[AdminSession]:
        """End all sessions, and return those that were running."""
        running = self.list_running()
        self._end(running, "admin.end_sessions", by=by)
        return running

    def list_running(self) -> list[AdminSession]:
        """Return the sessions that have not ended, the newest first."""
        with self._store.read_transaction() as connection:
            rows = connection.fetch_rows(f"{_SELECT} ORDER BY created_at DESC")
        return [session for row in rows if (session := AdminSession(**row)).is_running]

    def _end(self, sessions: Sequence[AdminSession], action: Action, *, by: Actor) -> None:
        with self._store.transaction() as connection:
            for session in sessions:
                ended_at = int(clock.now())
                connection.execute("UPDATE admin_sessions SET ended_at = ? WHERE id = ?", (ended_at, session.id))
                record(connection, action, f"admin:{session.name}", by=by)

    def _require_links(self) -> Links:
        if self._links is None:
            raise AuthUnavailable(
                f"An administrator's session needs a SECRET_KEY of at least {MIN_SECRET_CHARS} characters."
            )
        return self._links


def _make_signer(secrets: Sequence[str], salt: str) -> Signer:
    return Signer(secrets, salt, key_derivation="hmac", digest_method=hashlib.sha256)
