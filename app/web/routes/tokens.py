"""Serve /api/tokens: a site's server issues and revokes the tokens of its visitors."""

from __future__ import annotations

import re

import orjson
from flask import Blueprint, Response, g, request

from app.auth.principal import parse_user_id
from app.problems import InvalidRequest
from app.services import services
from app.web.guards import needs_key
from app.web.request_body import read_json_body
from app.web.schemas.tokens import TokenRequest, token_response

bp = Blueprint("tokens", __name__, url_prefix="/tokens")

_TOKEN_ID = re.compile(r"[A-Za-z0-9_-]{22}")


@bp.post("")
@needs_key
def create() -> Response:
    """Issue a short-lived visitor token."""
    built = services()
    grant = read_json_body(TokenRequest).to_grant(built.config.visitor_tokens, built.prompts.stored)
    token = built.authenticator.tokens.issue(grant, by=g.principal)
    return Response(
        orjson.dumps(token_response(token)),
        status=201,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


@bp.delete("/<token_id>")
@needs_key
def revoke(token_id: str) -> Response:
    """Revoke a visitor token."""
    if not _TOKEN_ID.fullmatch(token_id):
        raise InvalidRequest("The id of a token has 22 letters, digits, underscores or hyphens.")
    services().authenticator.tokens.revoke(token_id, tenant=g.principal.tenant)
    return Response(status=204)


@bp.delete("")
@needs_key
def revoke_all() -> Response:
    """Revoke all visitor tokens of a user."""
    if unknown := sorted(request.args.keys() - {"userId"}):
        raise InvalidRequest.unknown(f"{unknown[0][:64]!a}")
    if len(request.args.getlist("userId")) > 1:
        raise InvalidRequest("must be given once.", field="userId")
    try:
        user = parse_user_id(request.args.get("userId", ""))
    except ValueError as error:
        raise InvalidRequest(f"{error}.", field="userId") from None
    services().authenticator.tokens.revoke_all(user, tenant=g.principal.tenant)
    return Response(status=204)
