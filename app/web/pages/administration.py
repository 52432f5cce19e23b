"""Build the responses of the administration pages: their frame, their errors, and the sign-in page."""

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
    """Respond with an administration page. `fault` says why the submitted form had no effect.

    Raises:
        InvalidRequest: there is a fault, and the request is not a browser's.
    """
    if fault and not accepts_page(request):
        problem = InvalidRequest(fault)
        problem.status = status
        raise problem
    session = find_admin_session()
    assert session is not None, "the view's guard requires one"
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
    """Return an error: as a page for browsers (the sign-in page if there is no session), as JSON for programs."""
    if not accepts_page(request):
        return api_error(problem, request_id)
    if problem.status == 401:
        return sign_in_page(status=401)
    return page_error(problem, request_id)


def sign_in_page(*, link: str = "", fault: str = "", status: int = 200) -> Response:
    """Respond with the sign-in form of a link, or with how to get a link. `fault` says why a link could not be used."""
    obstacle = _find_sign_in_obstacle()
    return page_response(
        "admin/sign_in.html",
        status=status,
        link="" if obstacle else link,
        fault=obstacle or fault,
        hours=SESSION_S // 3600,
        has_secret=len(services().config.secret_key) >= MIN_SECRET_CHARS,
    )


def _find_sign_in_obstacle() -> str:
    """Return how to change the settings so that a browser can sign in at this URL; empty if it already can."""
    if not services().own_hosts.has_name(request.host, request.scheme):
        return (
            f"Sign-in is not possible at the host {request.host}. Add it to TRUSTED_HOSTS, and restart the server."
        )
    if request.scheme == "http" and request.headers.get("X-Forwarded-Proto", "").startswith("https"):
        return (
            "Sign-in is not possible here: a proxy reports that this page was opened over https, but the server does not"
            " trust the proxy. Set TRUSTED_PROXIES to the number of proxies, and restart the server."
        )
    return ""


def read_field(name: str, *, max_chars: int = 200) -> str:
    """Return a field of the form without surrounding spaces; empty if it is missing."""
    return request.form.get(name, "").strip()[:max_chars]
