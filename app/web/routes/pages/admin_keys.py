"""Serve /admin/keys: create, rotate and revoke keys, and revoke the tokens of a user."""

from __future__ import annotations

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as Redirection

from app.auth.keys import InvalidKeyRequest, NewKey
from app.auth.principal import SCOPES, VISITOR_SCOPES, parse_user_id
from app.limits.account_names import AccountName, InvalidAccount
from app.runtime import clock
from app.services import services
from app.web.errors import error_format
from app.web.guards import identify_actor, needs_admin_session
from app.web.pages.administration import admin_page, read_field, show_admin_problem

_MAX_GRACE_H = 24 * 90
_DONE = {
    "revoked": "The key is revoked, and the visitor tokens that were issued with it.",
    "tokens": "All tokens of the user are revoked.",
}


def add_admin_keys(bp: Blueprint) -> None:
    """Add the views."""

    @bp.get("/admin/keys")
    @needs_admin_session
    @error_format(show_admin_problem)
    def admin_keys() -> Response:
        return _show(notice=_DONE.get(request.args.get("done", ""), ""))

    @bp.post("/admin/keys")
    @needs_admin_session
    @error_format(show_admin_problem)
    def admin_keys_create() -> Response:
        scopes = [scope for scope in SCOPES if f"scope.{scope}" in request.form]
        try:
            new = services().authenticator.keys.create(
                tenant=read_field("tenant"), name=read_field("name"), scopes=scopes, by=identify_actor()
            )
        except InvalidKeyRequest as error:
            return _show(fault=str(error), status=400)
        return _show(created=new)

    @bp.post("/admin/keys/<key_id>/rotate")
    @needs_admin_session
    @error_format(show_admin_problem)
    def admin_keys_rotate(key_id: str) -> Response:
        hours = _parse_hours(read_field("hours"))
        if hours is None:
            return _show(fault=f"A replaced key stays valid for 0 to {_MAX_GRACE_H:,} hours.", status=400)
        built = services()
        try:
            new = built.stored_limits.rotate_key(
                built.authenticator.keys, key_id, grace_s=round(3600 * hours), by=identify_actor()
            )
        except InvalidKeyRequest as error:
            return _show(fault=str(error), status=400)
        return _show(created=new)

    @bp.post("/admin/keys/<key_id>/revoke")
    @needs_admin_session
    @error_format(show_admin_problem)
    def admin_keys_revoke(key_id: str) -> Response | Redirection:
        try:
            services().authenticator.keys.revoke(key_id, by=identify_actor())
        except InvalidKeyRequest as error:
            return _show(fault=str(error), status=400)
        return redirect(url_for("pages.admin_keys", done="revoked"), 303)

    @bp.post("/admin/tokens/revoke")
    @needs_admin_session
    @error_format(show_admin_problem)
    def admin_tokens_revoke() -> Response | Redirection:
        tenant, user = read_field("tenant"), read_field("user")
        try:
            AccountName.check("tenant", tenant, tenant)
            parse_user_id(user)
        except InvalidAccount as error:
            return _show(fault=str(error), status=400)
        except ValueError as error:
            return _show(fault=f"The user {error}.", status=400)
        services().authenticator.tokens.revoke_all(user, tenant=tenant, by=identify_actor())
        return redirect(url_for("pages.admin_keys", done="tokens"), 303)


def _show(*, notice: str = "", fault: str = "", status: int = 200, created: NewKey | None = None) -> Response:
    return admin_page(
        "keys.html",
        "Keys and tokens",
        own_tab="pages.admin_keys",
        keys=services().authenticator.keys.list_all()[::-1],
        scopes=sorted(SCOPES),
        usual_fields=[f"scope.{scope}" for scope in VISITOR_SCOPES],
        now=clock.now(),
        notice=notice,
        fault=fault,
        status=status,
        created=created,
    )


def _parse_hours(text: str) -> float | None:
    try:
        hours = float(text)
    except ValueError:
        return None
    return hours if 0 <= hours <= _MAX_GRACE_H else None
