"""The page at /docs: all routes, for people, without scripts."""

from __future__ import annotations

import html
import json
import re
import shlex

import pytest

from app import create_app
from app.config import Config
from app.storage.shared_state import MemoryState
from app.web.openapi.document import list_operations
from app.web.openapi.examples import EXAMPLES
from tests.fakes.tables import each_row
from tests.fakes.wire.bodies import ROUTES


@pytest.fixture(scope="module")
def page():
    app = create_app(Config(), shared_state=MemoryState())
    answer = app.test_client().get("/docs")
    assert answer.status_code == 200
    assert answer.content_type == "text/html; charset=utf-8"
    yield answer
    app.extensions["gatehouse"].close()


def test_it_shows_every_route(app, page):
    for method, rule in list_operations(app):
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        assert f'<span class="method">{method}</span> <code>{path}</code>' in page.text


def test_it_shows_a_command_for_every_example(page):
    for path in EXAMPLES:
        assert f"https://your-server{path} " in page.text


@pytest.fixture
def offline():
    return create_app(Config()).test_client()


@each_row("route", ROUTES)
def test_the_command_of_every_route_works(page, offline, monkeypatch, route):
    monkeypatch.setattr("app.offline_model.completion.time.sleep", lambda _: None)
    commands = [html.unescape(command) for command in re.findall(r"<code>(curl .*?)</code>", page.text, re.DOTALL)]
    words = next(words for words in map(shlex.split, commands) if f"https://your-server{route}" in words)

    answer = offline.post(route, json=json.loads(words[words.index("-d") + 1]))

    assert answer.status_code == 200, answer.text
    assert answer.data


def test_its_links_lead_somewhere(page):
    anchors = set(re.findall(r'<article id="([^"]+)"', page.text))

    assert anchors == set(re.findall(r'href="#([^"]+)"', page.text)) - {"main", "errors"}


def test_it_tells_each_error_once_and_is_small(client, page):
    sentence = "A required credential is missing"

    assert page.text.count(sentence) == 1
    assert "<dt>401 <code>unauthenticated</code></dt>" in page.text
    assert "`" not in re.sub(r"<pre.*?</pre>", "", page.text, flags=re.DOTALL)
    styles = client.get("/static/pages.css").data + client.get("/docs/style.css").data
    assert len(page.data) + len(styles) < 100_000


def test_it_needs_no_script_and_no_other_server(client, page):
    assert page.headers["Content-Security-Policy"].startswith(
        "default-src 'none'; script-src 'self'; style-src 'self';"
    )
    assert "<script" not in page.text
    assert " style=" not in page.text
    assert client.get("/docs/style.css").mimetype == "text/css"


def test_it_is_there_in_production(make_app):
    app = make_app(
        app_env="production",
        secret_key="s" * 40,
        auth_required=True,
        trusted_hosts=("localhost",),
        stream_padding=0,
    )

    assert app.test_client().get("/docs").status_code == 200
