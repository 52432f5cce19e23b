"""Serve /usage: usage and remaining limits, of all users for administrators, otherwise of the viewer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlencode

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as Redirection

from app.auth import Principal
from app.auth.address import client_address
from app.auth.errors import Unauthenticated
from app.auth.identify import make_admin_principal
from app.billing.ledger.totals_query import Grouping
from app.limits.account_names import name_usage_view
from app.problems import Forbidden, InvalidRequest, Problem
from app.services import services
from app.web.forms.bodies import read_text_form
from app.web.guards import find_admin_session, public
from app.web.pages.answers import page_response
from app.web.pages.usage_figures import collect_figures, show_count, show_money, show_used
from app.web.schemas.usage import UsageQuery, parse_usage_query, read_rows, write_usage_csv

_PERIODS = (("7", "7 days"), ("30", "30 days"), ("90", "90 days"), ("365", "a year"))
_MAX_DAYS = 3660  # ten years: the chart has a bar for each day
_PAGE_PARAMETERS = ("days",)  # they are replaced by parameters of the API


def add_usage(bp: Blueprint) -> None:
    """Add the views."""

    @bp.get("/usage")
    @public
    def usage() -> Response:
        viewer = _find_viewer()
        if viewer is None:
            return page_response("usage_sign_in.html", status=401, fault="")
        return _show(viewer)

    @bp.get("/usage.csv")
    @public
    def usage_rows() -> Response:
        viewer = _find_viewer()
        if viewer is None:
            raise Unauthenticated("no session")
        built, query = services(), _read_query(viewer)
        rows, savings = read_rows(query, built.reports, built.prices)
        name = f"usage-{query.first_day}-{query.last_day}.csv"
        headers = {"Content-Disposition": f"attachment; filename={name}"}
        return Response(write_usage_csv(query, rows, savings), mimetype="text/csv", headers=headers)

    @bp.post("/usage/sign-in")
    @public
    def usage_sign_in() -> Response | Redirection:
        credential, authenticator = read_text_form().get("credential", "").strip(), services().authenticator
        origin = request.headers.get("Origin")
        if origin is None or not authenticator.own_hosts.is_own_origin(request, origin):
            raise Forbidden("This form can only be sent by this server's own page.")
        answer = redirect(url_for("pages.usage"), 303)
        try:
            authenticator.caller_sessions.open(credential, _identify, request, answer)
        except Problem as problem:
            fault = "This key or token is not valid." if problem.status == 401 else problem.message
            return page_response("usage_sign_in.html", status=problem.status, fault=fault)
        return answer

    @bp.post("/usage/sign-out")
    @public
    def usage_sign_out() -> Redirection:
        answer = redirect(url_for("pages.usage"), 303)
        services().authenticator.caller_sessions.close(request, answer)
        return answer


def _find_viewer() -> Principal | None:
    """Return the viewer: an administrator, a signed-in caller, or a visitor by address; None if not allowed."""
    session, authenticator = find_admin_session(), services().authenticator
    if session is not None:
        return make_admin_principal(session)
    found = authenticator.caller_sessions.find(request, _identify)
    if found is None and authenticator.own_hosts.include(request):
        try:
            found = authenticator.identify(request)
        except (Unauthenticated, Forbidden):
            return None
    if found is not None:
        _count_view(found)
    return found if found is not None and (found.may("usage") or found.may("admin")) else None


def _count_view(found: Principal) -> None:
    """Count a view in the rate limits: for anonymous viewers as a request to the API, for others separately.

    Views by administrators are not counted. A view takes as much work as a request to /api/usage, which is
    counted.
    """
    built = services()
    rates = built.limits.request_rates(found, client_address(request))
    built.rate_limiter.admit(
        {name_usage_view(each): rate for each, rate in rates.items()} if found.is_named else rates
    )


def _identify(credential: str) -> Principal:
    return services().authenticator.identify_credential(credential, request)


def _show(viewer: Principal) -> Response:
    built, query = services(), _read_query(viewer)
    figures = collect_figures(built, query, viewer, client_address(request))
    return page_response(
        "usage.html",
        query=query,
        figures=figures,
        viewer=viewer,
        periods=_PERIODS,
        days=request.args.get("days", ""),
        money=show_money,
        count=show_count,
        show_used=show_used,
        csv_url=lambda by: f"{url_for('pages.usage_rows')}?{urlencode(_to_parameters(query, viewer, by))}",
        is_signed_in=viewer.kind in ("key", "visitor"),
    )


def _read_query(viewer: Principal) -> UsageQuery:
    """Return the query in the URL. `days` is a number of days up to today, 30 without any dates."""
    given = {name: text for name, text in request.args.items() if text and name not in _PAGE_PARAMETERS}
    days = request.args.get("days", "" if given.keys() & {"from", "to"} else "30")
    if days in dict(_PERIODS):
        today = datetime.now(UTC).date()
        given |= {"from": (today - timedelta(days=int(days) - 1)).isoformat(), "to": today.isoformat()}
    query = parse_usage_query(given, viewer)
    span = date.fromisoformat(query.last_day) - date.fromisoformat(query.first_day)
    if span.days >= _MAX_DAYS:
        raise InvalidRequest(f"must be less than {_MAX_DAYS:,} days after from.", field="to")
    return query


def _to_parameters(query: UsageQuery, viewer: Principal, by: Sequence[Grouping]) -> dict[str, str]:
    parameters = {"from": query.first_day, "to": query.last_day, "by": ",".join(by)}
    if viewer.may("admin"):
        parameters |= {"user": query.user} if query.user else {}
        if viewer.administers_all and query.tenant:
            parameters["tenant"] = query.tenant
    return parameters
