"""Declare the credential and the scope that each route requires, and check them in one place."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

from flask import Blueprint, Request, current_app

from app.auth.address import client_address
from app.auth.audit.actors import Actor
from app.auth.errors import Unauthenticated
from app.auth.identify import make_admin_principal
from app.auth.page_sessions.admin import AdminSession
from app.auth.principal import SCOPES, Principal
from app.auth.sessions import SAFE_METHODS
from app.problems import Forbidden
from app.runtime.log_throttle import LogBound
from app.services import services
from app.web.forms.bodies import read_text_form
from app.web.request_id import current_request, current_state

log = logging.getLogger(__name__)


_FOREIGN_FORM = "This form does not belong to your session. Reload the page, then send the form again."

V = TypeVar("V", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class RouteGuard:
    """The requirements of a route.

    Args:
        scopes: the principal must have at least one of them.
        keys_only: whether an API key is required.
        is_public: whether every request is allowed, without a credential.
    """

    scopes: tuple[str, ...] = ()
    keys_only: bool = False
    is_public: bool = False


def needs(*scopes: str) -> Callable[[V], V]:
    """Require at least one of these scopes."""
    assert scopes and SCOPES.issuperset(scopes), scopes
    return _mark_guard(RouteGuard(scopes=scopes))


def needs_key(view: V) -> V:
    """Require an API key. The view itself checks the key's scopes."""
    return _mark_guard(RouteGuard(keys_only=True))(view)


def public(view: V) -> V:
    """Allow every request, without a credential. `g.principal` stays None."""
    return _mark_guard(RouteGuard(is_public=True))(view)


def needs_admin_session(view: V) -> V:
    """Require an administrator's session and, for an unsafe method, a valid form token of that session.

    Use it for views of pages, whose blueprint has no guard. It sets the administrator as the principal.
    """

    @wraps(view)
    def checked(*args: Any, **values: Any) -> Any:
        request, state = current_request(), current_state()
        session = find_admin_session()
        if session is None:
            raise Unauthenticated("no admin session")
        if request.method not in SAFE_METHODS:
            token = read_text_form().get("formToken", "")
            if not services().authenticator.admin_sessions.allows_form(session, request, token):
                raise Forbidden(_FOREIGN_FORM)
        state.principal = make_admin_principal(session)
        return view(*args, **values)

    return _mark_guard(RouteGuard(scopes=("admin",)))(checked)  # type: ignore[return-value]


def find_admin_session() -> AdminSession | None:
    """Return the administrator's session of the current request, or None. It is looked up once per request.

    Raises:
        Forbidden: raised by Authenticator.find_admin().
    """
    state = current_state()
    if state.admin_session is False:
        state.admin_session = services().authenticator.find_admin(current_request())
    found: AdminSession | None = state.admin_session
    return found


def identify_actor() -> Actor:
    """Return the sender of the current request and its address, for the audit trail."""
    request = current_request()
    principal: Principal = current_state().principal
    name = f"key:{principal.key_id}" if principal.kind == "key" else principal.user
    return Actor(name, client_address(request))


def find_guard(view: Callable[..., Any] | None) -> RouteGuard | None:
    """Return the guard of a view, or None if it declares none."""
    return getattr(view, "guard", None)


def is_keys_only(request: Request) -> bool:
    """Return whether the route of a request requires an API key, so that only a site's server can call it."""
    guard = find_guard(current_app.view_functions[request.endpoint]) if request.endpoint else None
    return guard is not None and guard.keys_only


def init_guards(api: Blueprint, identify: Callable[[Request], Principal]) -> None:
    """Check the guard of every route of a blueprint. A route that declares no guard refuses every request.

    CORS preflights pass, as browsers send them without credentials.
    """
    bound = LogBound()
    guards: dict[Any, RouteGuard | None] = {}

    def check() -> None:
        request, state = current_request(), current_state()
        if request.method == "OPTIONS":
            return
        rule = request.url_rule
        assert rule is not None, "hooks of a blueprint are called for its routes only"
        # The view of an endpoint never changes, and neither does its guard.
        if rule.endpoint not in guards:
            guards[rule.endpoint] = find_guard(current_app.view_functions[rule.endpoint])
        guard = guards[rule.endpoint]
        assert guard is not None, f"{rule.endpoint} declares no guard"
        if guard.is_public:
            return
        try:
            state.principal = _check_principal(identify(request), guard)
        except Unauthenticated as error:
            left_out = bound.admit("auth.refused")
            if left_out is not None:
                fields = {"request_id": state.request_id, "reason": error.reason, "left_out": left_out or None}
                log.info("auth.refused", extra=fields)
            raise

    api.before_request(check)


def _check_principal(principal: Principal, guard: RouteGuard) -> Principal:
    if guard.keys_only and principal.kind != "key":
        if principal.kind == "anonymous":
            raise Unauthenticated("no key")
        raise Forbidden("Only a site's server may do this. Send the request from there, with an API key.")
    if guard.scopes and not any(map(principal.may, guard.scopes)):
        if principal.kind == "anonymous":
            raise Unauthenticated("no scope")
        raise Forbidden
    return principal


def _mark_guard(guard: RouteGuard) -> Callable[[V], V]:
    def mark(view: V) -> V:
        view.guard = guard  # type: ignore[attr-defined]
        return view

    return mark
