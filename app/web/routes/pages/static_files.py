"""Serve `app/web/static/`: the styles and scripts of the pages."""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Response, send_from_directory

from app.web.guards import public

_FOLDER = Path(__file__).parents[2] / "static"


def add_static_files(bp: Blueprint) -> None:
    """Add the views of the static files."""

    @bp.get("/static/<path:filename>")
    @public
    def static(filename: str) -> Response:
        # Not Flask's own static route, which could not be marked as public.
        return send_from_directory(_FOLDER, filename)

    @bp.get("/favicon.ico")
    @public
    def no_icon() -> Response:
        # Browsers request it on their own, and a 404 in the console would look like an error of the page.
        return Response(status=204)
