"""The views of the pages for browsers. `app/web/pages/` has their logic.

ask.py            /embed/ask, the form of a page without scripts
console.py        /: the owner's console to try the API, and an introduction for everybody else
console_facts.py  /console: data that only the owner's console shows
admin.py          /admin: sign-in and sign-out, the board, the audit trail
admin_keys.py     /admin/keys
admin_limits.py   /admin/limits
usage.py          /usage and /usage.csv
static_files.py   /static: scripts, styles and images
"""

from __future__ import annotations

from functools import cache

from flask import Blueprint

from app.web.routes.pages.admin import add_admin
from app.web.routes.pages.admin_keys import add_admin_keys
from app.web.routes.pages.admin_limits import add_admin_limits
from app.web.routes.pages.console import add_console
from app.web.routes.pages.static_files import add_static_files
from app.web.routes.pages.usage import add_usage


@cache
def create_pages() -> Blueprint:
    """Create the blueprint of all pages, which find the services of their application when they are called."""
    bp = Blueprint("pages", __name__, template_folder="../../templates")
    add_console(bp)
    add_admin(bp)
    add_admin_keys(bp)
    add_admin_limits(bp)
    add_usage(bp)
    add_static_files(bp)
    return bp
