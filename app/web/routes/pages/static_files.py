"""Serve `app/web/static/`: what this server's pages load, and the pages of allowed origins with them.

A URL with `?v=` and the file's ETag may be kept for ever: if the file changes, so does the URL. `url_for` adds it. A module
that imports others is kept for minutes all the same, or it would be run with those of a later release.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path, PurePosixPath
from typing import Any

from flask import Blueprint, Response, abort, request
from werkzeug.security import safe_join

from app.web.guards import public
from app.web.responses import no_content

_FOLDER = Path(__file__).parents[2] / "static"
# By our own list: those of the machine may differ, and nothing else is meant to be served.
_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".ts": "text/plain"}
_FOR_EVER = "public, max-age=31536000, immutable"
_FOR_MINUTES = "public, max-age=300"
_IMPORTS = re.compile(rb"""(?:\bfrom|\bimport)[ (]*["'`]\.""")


def add_static_files(bp: Blueprint) -> None:
    """Add the views of the static files."""

    @bp.get("/static/<path:filename>")
    @public
    def static(filename: str) -> Response:
        # Not Flask's own static route, which could not be marked as public.
        content = _read(filename)
        if content is None:
            abort(404)
        response = Response(content, mimetype=_find_kind(filename))
        etag = _hash(content)
        is_fixed = request.args.get("v") == etag and not _IMPORTS.search(content)
        response.headers["Cache-Control"] = _FOR_EVER if is_fixed else _FOR_MINUTES
        # For pages that load nothing from elsewhere without it (Cross-Origin-Embedder-Policy). Whose scripts may read
        # the file, CORS decides; there is nothing secret in it.
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        response.set_etag(etag)
        response.make_conditional(request)
        return response

    @bp.app_url_defaults
    def add_version(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == f"{bp.name}.static" and (content := _read(values["filename"])) is not None:
            values["v"] = _hash(content)

    @bp.get("/favicon.ico")
    @public
    def no_icon() -> Response:
        # Browsers request it on their own, and a 404 in the console would look like an error of the page.
        return no_content()


def _read(filename: str) -> bytes | None:
    """Return the content of a file; None if there is none of this name, or it is not meant for browsers."""
    name = PurePosixPath(filename)
    path = safe_join(str(_FOLDER), filename)
    if path is None or str(name) != filename or any(part.startswith(".") for part in name.parts):
        return None
    if _find_kind(filename) is None:
        return None
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError):  # a folder, a name that is too long, a NUL
        return None


def _find_kind(filename: str) -> str | None:
    return _KINDS.get(PurePosixPath(filename).suffix)


def _hash(content: bytes) -> str:
    # Of the content and not of its time, so that all machines of a site give the same.
    return hashlib.sha256(content).hexdigest()[:16]
