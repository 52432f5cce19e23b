"""Serve /api/tokens: a site's server issues and revokes tokens for its visitors."""

from __future__ import annotations

import re

from flask import Blueprint, Response, g, request

from app.auth import Principal
from app.auth.principal import ALL_TENANTS, SCOPES, parse_user_id
from app.problems import Forbidden, InvalidRequest
from app.services import services
from app.web.guards import identify_actor, needs_key
from app.web.request_body import read_json_body
from app.web.responses import no_content, plain_json_response
from app.web.schemas.tokens import TokenRequest, build_token_response

bp = Blueprint("tokens", __name__, url_prefix="/tokens")

_TOKEN_ID = re.compile(r"[A-Za-z0-9_-]{22}")
# Keys that can issue tokens for calls. A key that only reads usage may not revoke the tokens of others.
_MAY_REVOKE = SCOPES - {"usage", ALL_TENANTS}


@bp.post("")
@needs_key
def create() -> Response:
    """Issue a short-lived visitor token."""
    built = services()
    grant = read_json_body(TokenRequest).to_grant(built.config.visitor_tokens, built.prompts.stored)
    token = built.authenticator.tokens.issue(grant, by=g.principal)
    return plain_json_response(build_token_response(token), status=201)


@bp.delete("/<token_id>")
@needs_key
def revoke(token_id: str) -> Response:
    """Revoke a visitor token."""
    tenant = _find_tenant()
    if not _TOKEN_ID.fullmatch(token_id):
        raise InvalidRequest("The id of a token has 22 letters, digits, underscores or hyphens.")
    services().authenticator.tokens.revoke(token_id, tenant=tenant, by=identify_actor())
    return no_content()


@bp.delete("")
@needs_key
def revoke_all() -> Response:
    """Revoke all visitor tokens of a user."""
    tenant = _find_tenant("userId")
    try:
        user = parse_user_id(request.args.get("userId", ""))
    except ValueError as error:
        raise InvalidRequest(f"{error}.", field="userId") from None
    services().authenticator.tokens.revoke_all(user, tenant=tenant, by=identify_actor())
    return no_content()


def _find_tenant(*others: str) -> str:
    """Return the tenant whose tokens the key may revoke: its own, or for an admin of all tenants the query's.

    Args:
        others: the names of other parameters of the query.
    """
    principal: Principal = g.principal
    if not any(map(principal.may, _MAY_REVOKE)):
        raise Forbidden("This key may not revoke tokens.")
    known = {*others, *(("tenant",) if principal.administers_all else ())}
    if unknown := sorted(request.args.keys() - known):
        raise InvalidRequest.unknown(f"{unknown[0][:64]!a}")
    for name in known:
        if len(request.args.getlist(name)) > 1:
            raise InvalidRequest("must be given once.", field=name)
    tenant = request.args.get("tenant", principal.tenant)
    if "\0" in tenant:
        raise InvalidRequest("must not contain the character NUL.", field="tenant")
    return tenant
