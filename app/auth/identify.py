"""Identify the principal of a request, by its credential or its network address."""

from __future__ import annotations

import base64
import dataclasses
import functools
import re
from typing import TYPE_CHECKING

import orjson
from flask import Request

from app.auth.address import client_address
from app.auth.errors import Unauthenticated, UnusableUserId
from app.auth.failed_attempts import FailedAttemptLimit
from app.auth.keys import KEY_PREFIX, ApiKeys
from app.auth.own_hosts import OwnHosts
from app.auth.page_sessions.admin import AdminSession, AdminSessions
from app.auth.page_sessions.callers import CallerSessions
from app.auth.principal import DEFAULT_TENANT, SCOPES, Kind, Principal, parse_user_id
from app.auth.sessions import SAFE_METHODS, Sessions
from app.auth.store import LazyStore
from app.auth.visitor_tokens import JWT_TYPE, FormPass, VisitorTokens
from app.config import Config
from app.problems import Forbidden
from app.storage.database.database import Database
from app.storage.shared_state import SharedState

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from app.auth.jwt_issuer import JwtIssuer

_MAX_CHARS = 8192
_ANONYMOUS = "Bearer anonymous"
# Three parts of base64url. Padding (=) is not allowed, or the same token could be written in several ways.
_JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Authenticator:
    """Authenticates requests.

    Attributes:
        jwt_issuer: verifies tokens of the site's identity provider; None if there is no provider.
        auth_required: whether a request without a credential is refused, unless it has a session.
        anonymous_scopes: the scopes of a request without a credential.
    """

    keys: ApiKeys
    tokens: VisitorTokens
    jwt_issuer: JwtIssuer | None
    sessions: Sessions
    admin_sessions: AdminSessions
    caller_sessions: CallerSessions
    own_hosts: OwnHosts
    failures: FailedAttemptLimit
    auth_required: bool
    anonymous_scopes: frozenset[str]

    def identify(self, request: Request) -> Principal:
        """Return the principal of a request, by its Authorization header, or without one by its network address.

        An invalid Authorization is refused even if none is required. X-User-Id is accepted only together with an
        API key. The body is not read.

        Raises:
            Unauthenticated, Forbidden, UnusableUserId, TooManyFailures, AuthUnavailable
        """
        headers = request.environ  # a lookup in request.headers takes ten calls
        authorization = read_authorization(headers)
        if authorization is not None:
            principal = self._identify_by_authorization(authorization, request)
        else:
            principal = self._identify_by_address(request)
        user_id = headers.get("HTTP_X_USER_ID")
        if user_id is None:
            return principal
        if principal.kind != "key":
            raise Forbidden("is accepted only with an API key.", field="X-User-Id")
        try:
            return dataclasses.replace(principal, user=parse_user_id(user_id))
        except ValueError as error:
            raise UnusableUserId(f"{error}.", field="X-User-Id") from None

    def identify_form(self, request: Request, token: str) -> FormPass:
        """Return what the token of a form allows. The request's own credentials are ignored.

        Raises:
            Unauthenticated, Forbidden, TooManyFailures, AuthUnavailable
        """
        try:
            return self.tokens.verify_form(token, origin=request.environ.get("HTTP_ORIGIN"))
        except Unauthenticated as error:
            if error.is_guess:
                self.failures.count(client_address(request), token)
            raise

    def identify_credential(self, credential: str, request: Request) -> Principal:
        """Return the principal of a key or token in a form. The request's header is ignored.

        Raises:
            Unauthenticated, Forbidden, TooManyFailures, AuthUnavailable
        """
        return self._identify_by_authorization(f"Bearer {credential}", request)

    def find_admin(self, request: Request) -> AdminSession | None:
        """Return the administrator's session of a request, if any.

        A session is ignored if a page of another origin reads. With CORS_CREDENTIALS, scripts of an allowed origin
        could otherwise read what only an administrator may, since browsers send the cookie from all hosts of the
        same site.

        Raises:
            Forbidden: the method is unsafe, and the headers do not show that a page of this server sent the
                request.
            DatabaseUnavailable: the sessions cannot be read.
        """
        session = self.admin_sessions.find(request)
        if session is None:
            return None
        if request.method in SAFE_METHODS:
            return None if self.own_hosts.is_foreign(request) else session
        if not self.own_hosts.is_same_origin(request):
            raise Forbidden("A session is accepted only from this server's own pages.")
        return session

    def _identify_by_address(self, request: Request) -> Principal:
        if "HTTP_COOKIE" in request.environ and (admin := self.find_admin(request)) is not None:
            return make_admin_principal(admin)
        has_session = self.sessions.check(request)
        if self.auth_required and not has_session:
            raise Unauthenticated("no credential")
        kind: Kind = "session" if has_session else "anonymous"
        return _make_unnamed_principal(kind, client_address(request), self.anonymous_scopes)

    def _identify_by_authorization(self, authorization: str, request: Request) -> Principal:
        try:
            return self._identify_by_credential(authorization, request.environ.get("HTTP_ORIGIN"))
        except Unauthenticated as error:
            if error.is_guess:
                self.failures.count(client_address(request), authorization)
            raise

    def _identify_by_credential(self, authorization: str, origin: str | None) -> Principal:
        scheme, _, credential = authorization.partition(" ")
        credential = credential.strip()
        if scheme.lower() != "bearer" or not credential or len(credential) > _MAX_CHARS:
            raise Unauthenticated("no bearer token", is_guess=True)
        if credential.startswith(KEY_PREFIX):
            key = self.keys.verify(credential)
            return Principal(kind="key", tenant=key.tenant, user=f"key:{key.id}", scopes=key.scopes, key_id=key.id)
        if not _JWT.fullmatch(credential):
            raise Unauthenticated("malformed token", is_guess=True)
        if _read_type(credential) == JWT_TYPE:
            return self.tokens.verify(credential, origin=origin)
        if self.jwt_issuer is None:
            raise Unauthenticated("foreign token", is_guess=True)
        return self.jwt_issuer.verify(credential)


def make_admin_principal(session: AdminSession) -> Principal:
    """Return the principal of an administrator: a user of the default tenant, with all scopes."""
    return Principal(kind="admin", tenant=DEFAULT_TENANT, user=f"admin:{session.name}", scopes=SCOPES)


def read_authorization(environ: WSGIEnvironment) -> str | None:
    """Return the header Authorization; None for `Bearer anonymous`, as OpenAI's SDKs require an `api_key`."""
    authorization: str | None = environ.get("HTTP_AUTHORIZATION")
    return None if authorization == _ANONYMOUS else authorization


@functools.lru_cache(maxsize=1024)
def _make_unnamed_principal(kind: Kind, address: str, scopes: frozenset[str]) -> Principal:
    return Principal(kind=kind, tenant=DEFAULT_TENANT, user=f"address:{address}", scopes=scopes)


def _read_type(token: str) -> object:
    """Return the `typ` in the header of a token.

    It only selects the verifier, so it does not have to be trusted.
    """
    try:
        header = orjson.loads(base64.urlsafe_b64decode(token.partition(".")[0] + "=="))
    except ValueError:
        raise Unauthenticated("malformed token", is_guess=True) from None
    return header.get("typ") if isinstance(header, dict) else None


def build_authenticator(
    config: Config, database: Database, state: SharedState, own_hosts: OwnHosts
) -> Authenticator:
    """Build the Authenticator from the settings."""
    # The database is opened when the first stored credential is checked.
    store = LazyStore(database)
    keys = ApiKeys(store)
    fallbacks = config.secret_key_fallbacks
    tokens = VisitorTokens(
        config.secret_key,
        store,
        fallbacks=fallbacks,
        max_ttl_s=config.token_max_ttl_s,
        form_ttl_s=int(config.idempotency_keep_s),
    )
    return Authenticator(
        keys=keys,
        tokens=tokens,
        jwt_issuer=_build_jwt_issuer(config, tokens),
        # Production opens no such sessions, so none are accepted there, even if they are signed with the same
        # secret.
        sessions=Sessions(
            "" if config.is_production else config.secret_key,
            fallbacks=fallbacks,
            ttl_s=config.session_ttl_s,
            own_hosts=own_hosts,
        ),
        admin_sessions=AdminSessions(config.secret_key, store, own_hosts, fallbacks=fallbacks),
        caller_sessions=CallerSessions(config.secret_key, keys, own_hosts, fallbacks=fallbacks),
        own_hosts=own_hosts,
        failures=FailedAttemptLimit(state),
        auth_required=config.auth_required,
        anonymous_scopes=config.allowed_anonymous_scopes,
    )


def _build_jwt_issuer(config: Config, tokens: VisitorTokens) -> JwtIssuer | None:
    if config.identity_provider is None:
        return None
    from app.auth.jwt_issuer import JwtIssuer  # loads PyJWT, which most sites do not need

    return JwtIssuer(config.identity_provider, is_revoked=tokens.is_user_revoked)
