"""Serve /api/usage: usage and remaining limits."""

from __future__ import annotations

from flask import Blueprint, Response, g, request

from app.auth.address import client_address
from app.limits.limit_status import find_limit_status
from app.services import services
from app.web.guards import needs
from app.web.responses import plain_json_response
from app.web.schemas.usage import (
    build_usage_response,
    format_safety_event,
    parse_usage_query,
    read_rows,
    write_usage_csv,
)

bp = Blueprint("usage", __name__, url_prefix="/usage")


@bp.get("")
@needs("usage")
def show() -> Response:
    """Report the caller's usage and remaining budgets; with an admin key, the usage of any user of its tenant."""
    built = services()
    query = parse_usage_query(request.args, g.principal)
    rows, savings = read_rows(query, built.reports, built.prices)
    if query.is_csv:
        return Response(write_usage_csv(query, rows, savings), mimetype="text/csv")
    limit_status = find_limit_status(
        built.limits, built.rate_limiter, built.reports, g.principal, client_address(request)
    )
    answer = build_usage_response(query, rows, savings, limit_status)
    if g.principal.may("admin"):
        events = built.safety_events.list_all(
            tenant=query.tenant, first_day=query.first_day, last_day=query.last_day
        )
        answer["safetyEvents"] = [format_safety_event(event) for event in events]
    return plain_json_response(answer)
