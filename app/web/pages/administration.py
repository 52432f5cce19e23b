"""What all pages of administration have: their frame, how they say what was done, and what they show without a session."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from app.auth.page_sessions.admin import SESSION_S
from app.config.formats import MIN_SECRET_CHARS
from app.problems import InvalidRequest, Problem
from app.services import services
from app.web.errors import api_error, page_error
from app.web.guards import find_admin_session
from app.web.pages.answers import accepts_page, page_response

_TABS = (
    ("pages.admin", "Live"),
    ("pages.admin_keys", "Keys and tokens"),
    ("pages.admin_limits", "Limits"),
    ("pages.admin_audit", "Changes"),
)


def admin_page(template: str, heading: str, *, fault: str = "", status: int = 200, **values: Any) -> Response:
    """Show a page of administration. `fault` says why what its form asked for was not done.

    Raises:
        InvalidRequest: there is a fault, and a program asked, which reads no page.
    """
    if fault and not accepts_page(request):
        problem = InvalidRequest(fault)
        problem.status = status
        raise problem
    session = find_admin_session()
    assert session is not None, "the view's guard has asked for it"
    sessions = services().authenticator.admin_sessions
    return page_response(
        f"admin/{template}",
        status=status,
        heading=heading,
        tabs=_TABS,
        name=session.name,
        form_token=sessions.make_form_token(session),
        fault=fault,
        **values,
    )


def show_admin_problem(problem: Problem, request_id: str) -> Response | dict[str, Any]:
    """Answer an error: people with a page, and without a session with how to come to one; programs with JSON."""
    if not accepts_page(request):
        return api_error(problem, request_id)
    if problem.status == 401:
        return sign_in_page(status=401)
    return page_error(problem, request_id)


def sign_in_page(*, link: str = "", fault: str = "", status: int = 200) -> Response:
    """Show the form of a link, or how to come to a link; if it could not be used here, why not."""
    hindrance = _find_hindrance()
    return page_response(
        "admin/sign_in.html",
        status=status,
        link="" if hindrance else link,
        fault=hindrance or fault,
        hours=SESSION_S // 3600,
        has_secret=len(services().config.secret_key) >= MIN_SECRET_CHARS,
    )


def _find_hindrance() -> str:
    """Return what in the settings keeps a browser from signing in at this URL; empty if nothing does."""
    if not services().own_hosts.has_name(request.host, request.scheme):
        return (
            f"Nobody can sign in under the name {request.host}. Add it to TRUSTED_HOSTS, and restart the server."
        )
    if request.scheme == "http" and request.headers.get("X-Forwarded-Proto", "").startswith("https"):
        return (
            "Nobody can sign in here: a proxy says that this page was opened over https, and the server does not trust"
            " it. Set TRUSTED_PROXIES to the number of proxies, and restart the server."
        )
    return ""


def read_field(name: str, *, most: int = 200) -> str:
    """Return a field of the form, without spaces around it; empty if it is missing."""
    return request.form.get(name, "").strip()[:most]
