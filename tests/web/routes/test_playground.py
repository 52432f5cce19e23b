from __future__ import annotations

import html
import json
import re
import shlex
from html.parser import HTMLParser

import pytest

from app import create_app
from app.config import Config
from tests.conftest import KEY
from tests.fakes.bodies import ROUTES

FILES = {"/static/playground.js": "text/javascript", "/static/playground.css": "text/css"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types gatehouse gatehouse-chat dompurify"
)


@pytest.fixture
def offline(monkeypatch):
    """A client of the application as it is without any key, over the real offline model, which does not wait."""
    monkeypatch.setattr("app.offline_model.completion.time.sleep", lambda _: None)
    return create_app(Config()).test_client()


class Elements(HTMLParser):
    """The elements of a page, as pairs of a tag and its attributes, and what its scripts and styles hold."""

    def __init__(self, page):
        super().__init__()
        self.all = []
        self.inline = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.all.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.cdata_elem:
            self.inline += data.strip()


def curls_of(page):
    return [html.unescape(command) for command in re.findall(r"<pre>(curl .*?)</pre>", page, re.DOTALL)]


def test_the_page_is_served_in_development(client, upstream):
    answer = client.get("/")

    assert answer.status_code == 200
    assert answer.content_type == "text/html; charset=utf-8"
    assert "<title>Gatehouse</title>" in answer.text
    assert upstream.sent == []


def test_the_page_is_guarded_by_headers(client):
    headers = client.get("/").headers

    assert headers["Content-Security-Policy"] == POLICY
    assert headers.getlist("X-Content-Type-Options") == ["nosniff"]
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers.getlist("Cache-Control") == ["no-store"]


@pytest.mark.parametrize("path", ["/api/chat", "/healthz"])
def test_the_headers_of_the_page_are_on_no_other_answer(client, path):
    assert "Content-Security-Policy" not in client.get(path).headers


@pytest.mark.parametrize(("path", "kind"), FILES.items())
def test_the_files_of_the_page_have_their_right_types(client, path, kind):
    with client.get(path) as answer:
        assert answer.status_code == 200
        assert answer.content_type == f"{kind}; charset=utf-8"
        assert answer.data


@pytest.mark.parametrize(
    "path", ["/static/../config.py", "/static/%2e%2e/config.py", "/static//etc/passwd", "/static/"]
)
def test_nothing_but_the_files_of_the_page_is_served(client, path):
    answer = client.get(path)

    assert answer.status_code == 404
    assert answer.json["code"] == "not_found"


def test_in_production_the_page_says_only_what_this_is(make_app):
    client = make_app(
        app_env="production", secret_key="s" * 32, auth_required=True, trusted_hosts=("localhost",)
    ).test_client()

    answer = client.get("/")

    assert answer.status_code == 200
    assert "<h1>This is Gatehouse</h1>" in answer.text
    assert "Set-Cookie" not in answer.headers
    assert "gpt" not in answer.text


def test_the_page_says_that_the_offline_model_asks_no_ai(offline):
    words = re.sub(r"<[^>]+>|\s+", " ", offline.get("/").text)

    assert "offline model — no AI is called; set OPENAI_API_KEY in .env" in re.sub(" +", " ", words)
    assert Config().chat_model not in words


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({}, "OpenAI"),
        ({"azure_openai_endpoint": "https://acme.openai.azure.com"}, "Azure"),
        ({"openai_base_url": "http://user:secret@models.example/v1"}, "OPENAI_BASE_URL"),
    ],
)
def test_the_page_names_the_model_and_where_it_is_asked(make_app, settings, where):
    page = make_app(chat_model="gpt-canary", **settings).test_client().get("/").text

    model = re.search(r'<p class="model">(.*?)</p>', page, re.DOTALL)[1]
    assert "gpt-canary" in model
    assert where in model
    assert "offline model" not in page
    assert not any(secret in page for secret in (KEY, "secret", "models.example"))


def test_the_page_has_no_inline_script_or_style_and_nothing_from_elsewhere(client):
    page = Elements(client.get("/").text)

    assert page.inline == ""
    for tag, attributes in page.all:
        assert tag not in {"style", "base", "iframe", "object"}
        assert not [name for name in attributes if name == "style" or name.startswith("on")], tag
        for name in ("src", "href", "action"):
            assert re.match(r"/(?!/)", attributes.get(name, "/")), attributes
    scripts = [attributes["src"] for tag, attributes in page.all if tag == "script"]
    assert [url.partition("?v=")[0] for url in scripts] == ["/static/playground.js"]


def test_what_the_model_writes_is_never_taken_for_html(client):
    with client.get("/static/playground.js") as answer:
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", answer.text)


def test_every_field_and_button_of_the_page_has_a_name(client):
    page = client.get("/").text
    elements = Elements(page).all

    labelled = {attributes["for"] for tag, attributes in elements if tag == "label"}
    assert {attributes["id"] for tag, attributes in elements if tag in {"textarea", "input"}} == labelled
    assert all(name.strip() for name in re.findall(r"<button[^>]*>(.*?)</button>", page, re.DOTALL))
    assert ("html", {"lang": "en"}) in elements


def test_the_page_lists_every_route_with_what_it_does(app):
    page = html.unescape(app.test_client().get("/").text)

    for rule in app.url_map.iter_rules():
        if not rule.endpoint.startswith("pages."):
            assert f"</b> {rule.rule}</code>" in page
            assert app.view_functions[rule.endpoint].__doc__.partition("\n")[0] in page


@pytest.mark.parametrize("route", ROUTES)
def test_the_command_of_every_route_works(offline, route):
    page = offline.get("/", base_url="http://127.0.0.1:8123").text
    words = next(words for words in map(shlex.split, curls_of(page)) if f"http://127.0.0.1:8123{route}" in words)

    answer = offline.post(route, json=json.loads(words[words.index("-d") + 1]))

    assert answer.status_code == 200, answer.text
    assert answer.data


@pytest.mark.parametrize("host", ["a'b", "<x>", "$(id)", "no host", ""])
def test_a_host_that_is_none_reaches_neither_the_page_nor_a_command(client, host):
    answer = client.get("/", headers={"Host": host})

    assert host == "" or host not in html.unescape(answer.text)
