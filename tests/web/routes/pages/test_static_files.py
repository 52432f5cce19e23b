"""What browsers load: /static, in production as well."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from flask import url_for

from app.web.routes.pages import static_files
from tests.fakes.tables import each_row

SHOP = "https://shop.example"
MODULE = "/static/gatehouse.js"
FOLDER = Path(static_files.__file__).parents[2] / "static"


@pytest.fixture
def site(make_app):
    """The application of a site in production, where each request of the API needs a credential."""
    return make_app(
        app_env="production",
        secret_key="s" * 32,
        auth_required=True,
        allowed_origins=(SHOP,),
        trusted_hosts=("localhost",),
    )


@pytest.fixture
def browser(site):
    return site.test_client()


def test_a_page_of_an_allowed_origin_loads_the_module_without_a_credential(browser):
    answer = browser.get(MODULE, headers={"Origin": SHOP})

    assert answer.status_code == 200
    assert answer.data == (FOLDER / "gatehouse.js").read_bytes()
    assert answer.content_type == "text/javascript; charset=utf-8"
    assert answer.headers["Access-Control-Allow-Origin"] == SHOP
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert answer.headers.getlist("X-Content-Type-Options") == ["nosniff"]
    assert "Origin" in answer.headers["Vary"]
    assert "Set-Cookie" not in answer.headers


def test_the_browser_of_another_origin_gets_no_leave_to_run_it(browser):
    answer = browser.get(MODULE, headers={"Origin": "https://other.example"})

    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "Origin" in answer.headers["Vary"]


def test_a_url_with_the_files_version_is_kept_for_ever(browser, site):
    with site.test_request_context():
        url = url_for("pages.static", filename="gatehouse.js")

    assert url.startswith(f"{MODULE}?v=")
    assert browser.get(url).headers["Cache-Control"] == "public, max-age=31536000, immutable"


@each_row(
    "name", ["gatehouse-chat.js", "chat/texts.js", "chat/attachments.js", "console/main.js", "console/panel.js"]
)
def test_a_module_that_imports_others_is_not_kept_beyond_them(browser, site, name):
    with site.test_request_context():
        url = url_for("pages.static", filename=name)

    assert browser.get(url).headers["Cache-Control"] == "public, max-age=300"


@each_row("query", ["", "?v=", "?v=1", "?v=0123456789abcdef"])
def test_any_other_url_is_looked_up_again_after_minutes(browser, query):
    """Also one with the version of a release that this worker does not have yet, or has no more."""
    assert browser.get(MODULE + query).headers["Cache-Control"] == "public, max-age=300"


def test_what_a_browser_has_already_is_not_sent_again(browser):
    etag = browser.get(MODULE).headers["ETag"]

    for known in (etag, f"W/{etag}"):  # Nginx weakens the tag of what it compresses
        again = browser.get(MODULE, headers={"If-None-Match": known, "Origin": SHOP})
        assert (again.status_code, again.data) == (304, b"")
        assert again.headers["Access-Control-Allow-Origin"] == SHOP
        assert again.headers["Cache-Control"]
    assert browser.get(MODULE, headers={"If-None-Match": '"old"'}).status_code == 200


def test_the_version_is_the_etag(browser):
    etag = browser.get(MODULE).headers["ETag"].strip('"')

    assert "immutable" in browser.get(f"{MODULE}?v={etag}").headers["Cache-Control"]


@each_row(
    "path",
    [
        "",
        ".",
        "..",
        "chat/",
        ".hidden.js",
        ".git/config.js",
        "../templates/base.html",
        "%2e%2e/flask_app.py",
        "..%2f..%2fconfig%2fsettings.py",
        "..\\flask_app.py",
        "/etc/passwd",
        "%00.js",
        "gatehouse.js/",
        "package.json",
        "missing.js",
        "x" * 5000 + ".js",
    ],
)
def test_nothing_else_is_served(browser, path):
    answer = browser.get(f"/static/{path}")

    assert answer.status_code == 404
    assert answer.json["code"] == "not_found"
    assert "immutable" not in answer.headers.get("Cache-Control", "")


def test_no_dot_file_is_served_though_it_is_there(browser, monkeypatch, tmp_path):
    monkeypatch.setattr(static_files, "_FOLDER", tmp_path)
    for name in (".env.js", ".git/hooks.js", "shown.js"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1")

    assert [browser.get(f"/static/{name}").status_code for name in (".env.js", ".git/hooks.js", "shown.js")] == [
        404,
        404,
        200,
    ]


@each_row("method", ["POST", "PUT", "DELETE"])
def test_files_are_only_read(browser, method):
    assert browser.open(MODULE, method=method).status_code == 405


def test_the_types_are_served_for_those_who_have_no_npm(browser):
    answer = browser.get("/static/gatehouse.d.ts")

    assert answer.content_type == "text/plain; charset=utf-8"


def test_the_module_is_small():
    assert len(gzip.compress((FOLDER / "gatehouse.js").read_bytes())) <= 5_000
