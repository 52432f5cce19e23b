"""Serve /admin: sign-in and sign-out, the board, and the audit trail."""

from __future__ import annotations

import re

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as Redirection

from app.auth.address import client_address
from app.auth.errors import Unauthenticated
from app.problems import Forbidden
from app.runtime.times import format_minute
from app.services import services
from app.web.errors import error_format
from app.web.forms.bodies import read_text_form
from app.web.guards import find_admin_session, identify_actor, needs_admin_session, public
from app.web.pages.administration import admin_page, show_admin_problem, sign_in_page
from app.web.pages.answers import accepts_page, page_response
from app.web.pages.board import collect_board

_ROWS = 100
_ROW_ID = re.compile("[0-9a-f]{1,64}")
_NOT_USABLE = "This link was used before, or has expired. Run `flask admin login-url` to get another one."


def add_admin(bp: Blueprint) -> None:
    """Add the views, and the template filter that formats times."""
    bp.add_app_template_filter(format_minute, "minute")

    @bp.get("/admin")
    @needs_admin_session
    @error_format(show_admin_problem)
    def admin() -> Response:
        return admin_page("board.html", "Live", board=collect_board())

    @bp.get("/admin/board")
    @needs_admin_session
    @error_format(show_admin_problem)
    def admin_board() -> Response:
        return page_response("admin/board_part.html", board=collect_board(), links=())

    @bp.get("/admin/audit")
    @needs_admin_session
    @error_format(show_admin_problem)
    def admin_audit() -> Response:
        before = request.args.get("before", "")
        rows = services().audit.list_newest(_ROWS, before=before if _ROW_ID.fullmatch(before) else "")
        return admin_page("audit.html", "Changes", rows=rows, older=rows[-1].id if len(rows) == _ROWS else "")

    @bp.get("/admin/sign-in")
    @public
    def admin_sign_in() -> Response:
        # Only submitting this page's form uses up the link, as link scanners open URLs, but send no forms.
        return sign_in_page(link=request.args.get("link", "")[:500])

    @bp.post("/admin/sign-in")
    @public
    @error_format(show_admin_problem)
    def admin_sign_in_by_link() -> Response | Redirection:
        token, authenticator = read_text_form().get("link", "")[:500], services().authenticator
        origin = request.headers.get("Origin")
        if origin is None or not authenticator.own_hosts.is_own_origin(request, origin):
            raise Forbidden("A sign-in link can only be used on this server's own page.")
        address = client_address(request)
        try:
            session = authenticator.admin_sessions.open(token, request, address)
        except Unauthenticated as error:
            if error.is_guess:
                authenticator.failures.count(address, token)
            if not accepts_page(request):
                raise
            return sign_in_page(fault=_NOT_USABLE, status=401)
        answer = redirect(url_for("pages.admin"), 303)
        authenticator.admin_sessions.set_cookie(session, request, answer)
        return answer

    @bp.post("/admin/sign-out")
    @needs_admin_session
    @error_format(show_admin_problem)
    def admin_sign_out() -> Redirection:
        session, sessions = find_admin_session(), services().authenticator.admin_sessions
        assert session is not None
        sessions.end(session, by=identify_actor())
        answer = redirect(url_for("pages.admin_sign_in"), 303)
        sessions.delete_cookie(request, answer)
        return answer
