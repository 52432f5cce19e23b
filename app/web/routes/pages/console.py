"""Serve /: a console to try the API for the owner, and an introduction for everybody else."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request, url_for

from app.services import services
from app.web.guards import public
from app.web.pages.answers import accepts_page, page_response
from app.web.pages.console import describe_console
from app.web.pages.navigation import is_owner


def add_console(bp: Blueprint) -> None:
    """Add the view of `/`."""

    @bp.get("/")
    @public
    def console() -> Response:
        if not accepts_page(request):
            document = url_for("openapi.show", _external=True)
            return _vary(
                jsonify(
                    name="Gatehouse", description="A backend through which web sites use AI models.", api=document
                )
            )
        if not is_owner():
            return _vary(page_response("about.html"))
        page = page_response("console.html", console=describe_console(services(), request.args.get("prompt", "")))
        services().authenticator.sessions.open(request, page)
        return _vary(page)


def _vary(response: Response) -> Response:
    response.vary.add("Accept")
    return response
