"""Serve `app/web/static/`, the files that this server's pages and pages of allowed origins load.

A URL with `?v=` and the file's ETag, which `url_for` adds, is cached without a limit: if the file changes, so does
the URL. A module that imports others is cached for minutes only, or it could be run with modules of a later
release.
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
# Not from `mimetypes`, which depends on the machine. Files of other types are not served.
_MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".ts": "text/plain"}
_CACHE_FOREVER = "public, max-age=31536000, immutable"
_CACHE_FOR_MINUTES = "public, max-age=300"
_IMPORTS = re.compile(rb"""(?:\bfrom|\bimport)[ (]*["'`]\.""")


def add_static_files(bp: Blueprint) -> None:
    """Add the views of the static files."""

    @bp.get("/static/<path:filename>")
    @public
    def static(filename: str) -> Response:
        # Instead of Flask's static route, which cannot be marked as public.
        content = _read(filename)
        if content is None:
            abort(404)
        response = Response(content, mimetype=_find_media_type(filename))
        etag = _hash(content)
        is_fixed = request.args.get("v") == etag and not _IMPORTS.search(content)
        response.headers["Cache-Control"] = _CACHE_FOREVER if is_fixed else _CACHE_FOR_MINUTES
        # Required by pages with a Cross-Origin-Embedder-Policy. CORS decides whose scripts may read the file, and
        # its content is public.
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
        # Browsers request it automatically, and a 404 in their console would look like an error of the page.
        return no_content()


def _read(filename: str) -> bytes | None:
    """Return the content of a file; None if it does not exist, or is not for browsers."""
    name = PurePosixPath(filename)
    path = safe_join(str(_FOLDER), filename)
    if path is None or str(name) != filename or any(part.startswith(".") for part in name.parts):
        return None
    if _find_media_type(filename) is None:
        return None
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError):  # a folder, a name that is too long, a NUL
        return None


def _find_media_type(filename: str) -> str | None:
    return _MEDIA_TYPES.get(PurePosixPath(filename).suffix)


def _hash(content: bytes) -> str:
    # Of the content instead of the modification time, so that it is the same on all machines of a site.
    return hashlib.sha256(content).hexdigest()[:16]
