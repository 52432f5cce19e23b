"""What all pages of administration have: their frame, how they say what was done, and what they show without a session."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from app.auth.page_sessions.admin import SESSION_S
from app.config.formats import MIN_SECRET_CHARS
from app.problems import Problem
from app.services import services
from app.web.errors import page_error
from app.web.guards import find_admin_session
from app.web.pages.answers import page_response

_TABS = (
    ("pages.admin", "Live"),
    ("pages.admin_keys", "Keys and tokens"),
    ("pages.admin_limits", "Limits"),
    ("pages.admin_audit", "Changes"),
)


def admin_page(template: str, heading: str, *, fault: str = "", status: int = 200, **values: Any) -> Response:
    """Show a page of administration. `fault` says why what its form asked for was not done."""
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


def show_admin_problem(problem: Problem, request_id: str) -> Response:
    """Answer an error: without a session with how to come to one."""
    if problem.status == 401:
        return sign_in_page(status=401)
    return page_error(problem, request_id)


def sign_in_page(*, link: str = "", fault: str = "", status: int = 200) -> Response:
    """Show the form of a link, or how to come to a link."""
    return page_response(
        "admin/sign_in.html",
        status=status,
        link=link,
        fault=fault,
        hours=SESSION_S // 3600,
        has_secret=len(services().config.secret_key) >= MIN_SECRET_CHARS,
    )


def read_field(name: str, *, most: int = 200) -> str:
    """Return a field of the form, without spaces around it; empty if it is missing."""
    return request.form.get(name, "").strip()[:most]
