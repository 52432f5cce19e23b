"""Guards: what each route asks of whoever calls it, and the one place that sees to it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import Blueprint, Request, current_app

from app.auth.errors import Unauthenticated
from app.auth.principal import SCOPES, Principal
from app.problems import Forbidden
from app.web.request_id import current_request, current_state

log = logging.getLogger(__name__)

V = TypeVar("V", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class RouteGuard:
    """What a route asks for.

    Args:
        scopes: of which the principal must have been given one.
        keys_only: whether only a site's own server may call.
        is_public: whether everybody may call, so that nobody is asked.
    """

    scopes: tuple[str, ...] = ()
    keys_only: bool = False
    is_public: bool = False


def needs(*scopes: str) -> Callable[[V], V]:
    """Let in whoever may do one of these."""
    assert scopes and SCOPES.issuperset(scopes), scopes
    return _with_guard(RouteGuard(scopes=scopes))


def needs_key(view: V) -> V:
    """Let in a site's own server only. The view itself looks at what the key may do."""
    return _with_guard(RouteGuard(keys_only=True))(view)


def public(view: V) -> V:
    """Let in everybody: there is no g.principal."""
    return _with_guard(RouteGuard(is_public=True))(view)


def find_guard(view: Callable[..., Any] | None) -> RouteGuard | None:
    """What a view asks for; None where it does not say."""
    return getattr(view, "guard", None)


def init_guards(api: Blueprint, identify: Callable[[Request], Principal]) -> None:
    """Have every route below a blueprint guarded as it says; one that says nothing lets nobody in.

    Preflights pass: a browser sends them without any credential.
    """

    def check() -> None:
        request, state = current_request(), current_state()
        if request.method == "OPTIONS":
            return
        guard = find_guard(current_app.view_functions[str(request.endpoint)])
        assert guard is not None, f"{request.endpoint} states no guard"
        if guard.is_public:
            return
        try:
            state.principal = _check_principal(identify(request), guard)
        except Unauthenticated as error:
            log.info("auth.refused", extra={"request_id": state.request_id, "reason": error.reason})
            raise

    api.before_request(check)


def _check_principal(principal: Principal, guard: RouteGuard) -> Principal:
    if guard.keys_only and principal.kind != "key":
        if principal.kind == "anonymous":
            raise Unauthenticated("no key")
        raise Forbidden("Only a site's own server may do this, with its key.")
    if guard.scopes and not any(map(principal.may, guard.scopes)):
        raise Forbidden
    return principal


def _with_guard(guard: RouteGuard) -> Callable[[V], V]:
    def state(view: V) -> V:
        view.guard = guard  # type: ignore[attr-defined]
        return view

    return state
