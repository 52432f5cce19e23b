"""The views of the pages that people open. `app/web/pages/` has what stands behind them.

ask.py            /embed/ask, the form of a page without scripts
console.py        / for the owner: try the API; and what everybody else gets there
console_facts.py  /console, what only the owner's console shows
static_files.py   /static, what browsers load
"""

from __future__ import annotations

from flask import Blueprint

from app.web.routes.pages.console import add_console
from app.web.routes.pages.static_files import add_static_files


def create_pages() -> Blueprint:
    """Create the blueprint of all pages."""
    bp = Blueprint("pages", __name__, template_folder="../../templates")
    add_console(bp)
    add_static_files(bp)
    return bp
