"""Respond with a page: render a template of `app/web/templates/`, with a strict Content-Security-Policy."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from flask import Request, Response, render_template

from app.web.pages.navigation import list_links

# Text of a model or a visitor cannot become a script, even if a page fails to escape it: scripts and styles are loaded only
# from this server, never from the markup, and no script may turn text into HTML (Trusted Types without any policy).
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors {frames}; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    # Not no-referrer: browsers would send the forms of these pages with `Origin: null`.
    "Referrer-Policy": "same-origin",
}


def page_response(
    template: str,
    *,
    status: int = 200,
    cache_control: str = "no-store",
    frame_ancestors: Collection[str] = (),
    **values: Any,
) -> Response:
    """Render a template that extends base.html, or a part of a page.

    Args:
        template: the template's file name.
        status: the HTTP status.
        cache_control: not stored by default, as most pages show data of one visitor.
        frame_ancestors: the origins whose pages may show this one in a frame.
        values: the variables of the template. The default of `links` is the links of the top bar.
    """
    if "links" not in values:
        values["links"] = list_links()
    page = Response(render_template(template, **values), status=status, mimetype="text/html")
    policy = _POLICY.format(frames=" ".join(sorted(frame_ancestors)) or "'none'")
    page.headers.update({**_HEADERS, "Content-Security-Policy": policy, "Cache-Control": cache_control})
    return page


def accepts_page(request: Request) -> bool:
    """Return whether a browser requests a page. Requests of programs accept any type, or JSON."""
    return "text/html" in request.headers.get("Accept", "")
