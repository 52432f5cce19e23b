"""Serve /api/limits: the limits of individual tenants, keys and users."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, g, request

from app.auth import Principal
from app.limits.account_lookup import UnknownKey, find_account
from app.limits.account_names import AccountName, InvalidAccount
from app.limits.own_limits import OwnLimits
from app.problems import Forbidden, InvalidRequest
from app.services import services
from app.web.errors import NotFound
from app.web.guards import identify_actor, needs
from app.web.request_body import read_json_body
from app.web.responses import no_content, plain_json_response
from app.web.schemas.admin.limits import LimitsRequest, build_limits_response

bp = Blueprint("limits", __name__, url_prefix="/limits")


@bp.get("")
@needs("admin")
def list_limits() -> Response:
    """List the accounts with individual limits."""
    tenant = _read_tenant()
    found = services().stored_limits.list_all(tenant)
    return plain_json_response({"limits": [_describe(each.account, each.limits) for each in found]})


@bp.get("/<kind>/<path:name>")
@needs("admin")
def show(kind: str, name: str) -> Response:
    """Show the individual limits of a tenant, a key or a user, and the default limits."""
    account = _find(kind, name)
    return plain_json_response(_describe(account, services().stored_limits.get(account)))


@bp.put("/<kind>/<path:name>")
@needs("admin")
def replace(kind: str, name: str) -> Response:
    """Replace the individual limits of a tenant, a key or a user."""
    account = _find_changeable(kind, name)
    limits = read_json_body(LimitsRequest).to_limits()
    services().stored_limits.set(account, limits, by=identify_actor())
    return plain_json_response(_describe(account, limits))


@bp.delete("/<kind>/<path:name>")
@needs("admin")
def clear(kind: str, name: str) -> Response:
    """Remove the individual limits of a tenant, a key or a user, so that the settings' limits apply again."""
    services().stored_limits.clear(_find_changeable(kind, name), by=identify_actor())
    return no_content()


def _find_changeable(kind: str, name: str) -> AccountName:
    """Return the account if the caller may change its limits. A key may not change limits that apply to itself."""
    account, principal = _find(kind, name), _get_principal()
    if not principal.administers_all:
        if account.kind == "tenant":
            raise Forbidden("Only a key for all tenants may change the limits of a tenant.")
        # Requests of a key without a user count for a user named after the key.
        if account.id == (principal.key_id if account.kind == "key" else f"key:{principal.key_id}"):
            raise Forbidden("Only a key for all tenants may change its own limits.")
        # Otherwise two admin keys could change each other's limits, or a key those of the key that replaces it.
        key = services().authenticator.keys.find(account.id) if account.kind == "key" else None
        if key is not None and "admin" in key.scopes:
            raise Forbidden("Only a key for all tenants may change the limits of a key with the scope admin.")
    return account


def _find(kind: str, name: str) -> AccountName:
    tenant, principal = _read_tenant(), _get_principal()
    if kind == "tenant" and not principal.administers_all and name != tenant:
        raise Forbidden("This key can only see its own tenant.")
    try:
        return find_account(services().authenticator.keys, kind, name, tenant=tenant)
    except UnknownKey:
        raise NotFound from None
    except InvalidAccount as error:
        raise InvalidRequest(str(error)) from None


def _read_tenant() -> str | None:
    """Return the tenant in the query; without one the caller's own, or None for an admin of all tenants."""
    principal = _get_principal()
    for name in request.args:
        if name != "tenant" or not principal.administers_all or len(request.args.getlist(name)) > 1:
            raise InvalidRequest(
                "is not a parameter of this route, or is given twice.", field=ascii(name[:50]).strip("'")
            )
    tenant = request.args.get("tenant", None if principal.administers_all else principal.tenant)
    if tenant is not None and "\0" in tenant:
        raise InvalidRequest("must not contain the character NUL.", field="tenant")
    return tenant


def _get_principal() -> Principal:
    principal: Principal = g.principal
    return principal


def _describe(account: AccountName, own: OwnLimits) -> dict[str, Any]:
    return build_limits_response(account, own, services().limits.describe_defaults(account.kind))
