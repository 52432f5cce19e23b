"""Serve /admin/limits: show, set and clear the limits of individual tenants, keys and users."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as Redirection

from app.limits.account_lookup import find_account
from app.limits.account_names import AccountName, InvalidAccount
from app.limits.own_limits import InvalidLimit, OwnLimits
from app.services import services
from app.web.errors import error_format
from app.web.guards import identify_actor, needs_admin_session
from app.web.pages.administration import admin_page, read_field, show_admin_problem

_ROWS = 100
_DONE = {"set": "The limits are set.", "cleared": "The limits of the settings apply again."}


class _Field(NamedTuple):
    name: str
    label: str
    example: str


_FIELDS = (
    _Field("request_rate", "Requests", "60/minute"),
    _Field("token_rate", "Tokens", "100000/day"),
    _Field("concurrent_streams", "Streams", "4"),
    _Field("budget_usd", "Budget in USD", "2.50"),
    _Field("budget_tokens", "Budget in tokens", "1000000"),
)


@dataclass(frozen=True, slots=True)
class _FormValues:
    """The values in the form: the account, and the texts of its limits."""

    kind: str
    tenant: str
    id: str
    texts: Mapping[str, str | None]


def add_admin_limits(bp: Blueprint) -> None:
    """Add the views."""

    @bp.get("/admin/limits")
    @needs_admin_session
    @error_format(show_admin_problem)
    def admin_limits() -> Response:
        kind, tenant, name = (request.args.get(each, "")[:200] for each in ("kind", "tenant", "id"))
        texts = OwnLimits().to_texts()
        if kind:
            try:
                texts = services().stored_limits.get(_find(kind, name, tenant)).to_texts()
            except InvalidAccount as error:
                return _show(_FormValues(kind, tenant, name, texts), fault=str(error), status=404)
        return _show(_FormValues(kind, tenant, name, texts), notice=_DONE.get(request.args.get("done", ""), ""))

    @bp.post("/admin/limits/set")
    @needs_admin_session
    @error_format(show_admin_problem)
    def admin_limits_set() -> Response | Redirection:
        given = {field.name: read_field(field.name) or None for field in _FIELDS}
        chosen = _FormValues(read_field("kind"), read_field("tenant"), read_field("id"), given)
        try:
            account, limits = _find(chosen.kind, chosen.id, chosen.tenant), OwnLimits.parse(given)
        except InvalidAccount as error:
            return _show(chosen, fault=str(error), status=400)
        except InvalidLimit as error:
            label = next(field.label for field in _FIELDS if field.name == error.field)
            return _show(chosen, fault=f"{label}: {error}", fault_field=error.field, status=400)
        services().stored_limits.set(account, limits, by=identify_actor())
        return redirect(url_for("pages.admin_limits", done="set"), 303)

    @bp.post("/admin/limits/clear")
    @needs_admin_session
    @error_format(show_admin_problem)
    def admin_limits_clear() -> Response | Redirection:
        try:
            account = _find(read_field("kind"), read_field("id"), read_field("tenant"))
        except InvalidAccount as error:
            return _show(_FormValues("", "", "", OwnLimits().to_texts()), fault=str(error), status=400)
        services().stored_limits.clear(account, by=identify_actor())
        return redirect(url_for("pages.admin_limits", done="cleared"), 303)


def _find(kind: str, name: str, tenant: str) -> AccountName:
    return find_account(services().authenticator.keys, kind, name, tenant=tenant or None)


def _show(
    chosen: _FormValues, *, notice: str = "", fault: str = "", fault_field: str = "", status: int = 200
) -> Response:
    built, after = services(), request.args.get("after", "")[:300]
    stored = built.stored_limits.list_all(after=after.replace("\0", ""), max_count=_ROWS)
    return admin_page(
        "limits.html",
        "Limits",
        own_tab="pages.admin_limits",
        fields=_FIELDS,
        stored=stored,
        is_first=not after,
        more=stored[-1].account.text if len(stored) == _ROWS else "",
        defaults=[(kind, built.limits.describe_defaults(kind).to_texts()) for kind in ("user", "tenant")],
        window=built.limits.window,
        chosen=chosen,
        notice=notice,
        fault=fault,
        fault_field=fault_field,
        status=status,
    )
