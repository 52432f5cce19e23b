"""The page at /: the owner's console in development, and what everybody else gets there."""

from __future__ import annotations

import html
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from app import create_app
from app.config import Config
from tests.conftest import KEY
from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import completion
from tests.media.images.pictures import encoded, exif, photo

pytestmark = pytest.mark.usefixtures("kept_side_processes")

PAGE = {"Accept": "text/html,application/xhtml+xml"}
SCRIPTS = sorted((Path(__file__).parents[4] / "app/web/static/console").glob("*.js"))
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


@pytest.fixture
def production(make_app):
    return make_app(
        app_env="production", secret_key="s" * 32, auth_required=True, trusted_hosts=("localhost",)
    ).test_client()


def open_page(client, path="/"):
    answer = client.get(path, headers=PAGE)
    assert answer.status_code == 200
    assert answer.content_type == "text/html; charset=utf-8"
    return answer


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


def words_of(page):
    return re.sub(" +", " ", re.sub(r"<[^>]+>|\s+", " ", html.unescape(page)))


@each_row("path", ["/", "/docs", "/nothing-here"])
def test_every_page_is_guarded_by_headers(client, upstream, path):
    headers = client.get(path, headers=PAGE).headers

    assert headers["Content-Security-Policy"] == POLICY
    assert headers.getlist("X-Content-Type-Options") == ["nosniff"]
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert upstream.sent == []


def test_the_console_is_kept_by_nobody(client):
    headers = open_page(client).headers

    assert headers.getlist("Cache-Control") == ["no-store"]
    assert "Accept" in headers["Vary"]


@each_row("path", ["/api/chat", "/healthz"])
def test_the_headers_of_pages_are_on_no_other_answer(client, path):
    assert "Content-Security-Policy" not in client.get(path).headers


@each_row("accept", ["*/*", "application/json", None])
def test_programs_are_told_where_the_api_is_described(client, production, accept):
    for each in (client, production):
        answer = each.get("/", headers={"Accept": accept} if accept else {})

        assert answer.json["api"] == "http://localhost/openapi.json"
        assert "Set-Cookie" not in answer.headers


def test_in_production_everybody_is_told_only_what_this_is(production):
    answer = open_page(production)

    assert "<h1>This is Gatehouse</h1>" in answer.text
    assert "Set-Cookie" not in answer.headers
    assert not re.search(r"gpt|console|Usage|Admin", answer.text)


def test_in_production_an_administrators_console_works(make_site, upstream):
    upstream.answers(completion("Yes."))
    site = make_site(app_env="production", trusted_hosts=("localhost",), rate_limit="60/minute")
    printed = site.app.test_cli_runner().invoke(args=["admin", "login-url", "--url", "http://localhost"]).stdout
    own = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    link = parse_qs(urlsplit(printed.strip()).query)["link"][0]
    assert site.client.post("/admin/sign-in", data={"link": link}, headers=own).status_code == 303

    page = open_page(site.client)
    answer = site.client.post("/api/chat", json={"message": "Hi"}, headers=own)
    form = site.client.post(
        "/embed/ask", data={"message": "Hi"}, headers={**PAGE, "Origin": "https://evil.example"}
    )

    assert "Gatehouse console" in page.text
    assert 'id="simulate"' not in page.text
    assert answer.json["reply"] == "Yes."
    assert site.client.get(f"/console/calls/{answer.headers['X-Request-ID']}").json["isSettled"] is True
    assert site.client.get("/console/fault").json == {"fault": None}
    assert form.status_code == 403


@each_row("path", ["/console/calls/1", "/console/fault"])
def test_in_production_there_are_no_facts_for_strangers(production, path):
    assert production.get(path).status_code in (401, 404)


@each_row(
    ("method", "path", "accept", "kind"),
    [
        ("GET", "/nothing", PAGE["Accept"], "text/html"),
        ("GET", "/nothing", "*/*", "application/json"),
        ("GET", "/static/nothing.js", "*/*", "application/json"),
        ("GET", "/embed/ask", PAGE["Accept"], "text/html"),
        ("GET", "/api/nothing", PAGE["Accept"], "application/json"),
        ("GET", "/v1/nothing", PAGE["Accept"], "application/json"),
        ("POST", "/", PAGE["Accept"], "text/html"),
    ],
)
def test_browsers_get_errors_as_a_page_and_programs_as_json(client, method, path, accept, kind):
    answer = client.open(path, method=method, headers={"Accept": accept})

    assert answer.status_code in (404, 405)
    assert answer.mimetype == kind
    if kind == "text/html":
        assert answer.headers["X-Request-ID"] in answer.text
        assert "<nav" not in answer.text


def test_the_page_says_that_the_offline_model_asks_no_ai():
    words = words_of(open_page(create_app(Config()).test_client()).text)

    assert "offline model no AI is called; set OPENAI_API_KEY in .env" in words
    assert "answers, at" not in words


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({}, "OpenAI"),
        ({"azure_openai_endpoint": "https://acme.openai.azure.com"}, "Azure"),
        ({"openai_base_url": "http://models.example/v1"}, "OPENAI_BASE_URL"),
    ],
)
def test_the_page_names_the_model_and_where_it_is_asked(make_app, settings, where):
    page = open_page(make_app(chat_model="gpt-canary", **settings).test_client()).text

    model = re.search(r'<p class="model[^>]*>(.*?)</p>', page, re.DOTALL)[1]
    assert "gpt-canary" in model
    assert where in model
    assert "offline model" not in page
    assert 'id="simulate"' not in page
    assert not any(secret in page for secret in (KEY, "models.example"))


def test_the_page_has_no_inline_script_or_style_and_nothing_from_elsewhere(client):
    page = Elements(open_page(client).text)

    assert page.inline == ""
    for tag, attributes in page.all:
        assert tag not in {"style", "base", "iframe", "object"}
        assert not [name for name in attributes if name == "style" or name.startswith("on")], tag
        for name in ("src", "href", "action"):
            assert re.match(r"(/(?!/)|#)", attributes.get(name, "/")), attributes
    scripts = [attributes["src"] for tag, attributes in page.all if tag == "script"]
    assert [url.partition("?v=")[0] for url in scripts] == ["/static/console/main.js"]


@each_row("script", SCRIPTS, ids=[script.name for script in SCRIPTS])
def test_what_the_model_writes_is_never_taken_for_html(script):
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|DOMParser", script.read_text()
    )


def test_every_field_and_button_of_the_page_has_a_name(client):
    page = open_page(client).text
    elements = Elements(page).all

    labelled = {attributes.get("for") for tag, attributes in elements if tag == "label"}
    fields = [attributes for tag, attributes in elements if tag in {"textarea", "input", "select"}]
    assert {attributes["id"] for attributes in fields if "id" in attributes} - {"structured-normalize"} <= labelled
    assert all(name.strip() for name in re.findall(r"<button[^>]*>(.*?)</button>", page, re.DOTALL))
    assert ("html", {"lang": "en"}) in elements


def test_a_kept_prompt_is_a_form_of_its_typed_variables(make_app, tmp_path):
    (tmp_path / "shop.toml").write_text(
        'system = "{{name}} {{tone}} {{stars}} {{open}}"\ndescription = "For <shops>"\n'
        "[variables.name]\nmax_length = 40\n"
        '[variables.tone]\nchoices = ["kind", "dry"]\ndefault = "kind"\n'
        '[variables.stars]\ntype = "integer"\nmin = 1\nmax = 5\ndefault = 3\n'
        '[variables.open]\ntype = "boolean"\ndefault = true\n'
    )
    client = make_app(prompts_dir=str(tmp_path)).test_client()
    fields = {
        attributes.get("name"): attributes
        for tag, attributes in Elements(open_page(client).text).all
        if tag in {"input", "select"}
    }

    assert fields["variables.name"]["maxlength"] == "40"
    assert "required" in fields["variables.name"]
    assert {name: fields["variables.stars"][name] for name in ("type", "step", "min", "max")} == {
        "type": "number",
        "step": "1",
        "min": "1.0",
        "max": "5.0",
    }
    assert fields["variables.open"]["data-type"] == "boolean"
    assert "For &lt;shops&gt;" in open_page(client).text
    disabled = re.search(r'<fieldset[^>]*data-prompt="shop"[^>]*>', open_page(client).text)[0]
    enabled = re.search(r'<fieldset[^>]*data-prompt="shop"[^>]*>', open_page(client, "/?prompt=shop").text)[0]
    assert "disabled" in disabled
    assert "disabled" not in enabled


def test_the_pages_own_form_works_without_scripts(make_app, upstream):
    upstream.answers(completion("**Yes.**"))
    client = make_app(secret_key="s" * 40, auth_required=True).test_client()
    form = next(attributes for tag, attributes in Elements(open_page(client).text).all if tag == "form")

    empty = {"model": "", "temperature": "", "systemPrompt": "", "promptName": "", "seed": ""}
    answer = client.post(
        form["action"],
        data={"message": "Hi", "maxTokens": "20", **empty},
        headers={**PAGE, "Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"},
    )

    assert "<strong>Yes.</strong>" in answer.text
    assert upstream.sent[-1].body["max_completion_tokens"] == 20
    foreign = client.post(form["action"], data={"message": "Hi"}, headers={**PAGE, "Sec-Fetch-Site": "cross-site"})
    assert foreign.status_code == 403


def test_server_tools_can_be_chosen_in_the_form(make_app, upstream):
    upstream.answers(completion("Noon."))
    client = make_app(allowed_tools=("current_time",)).test_client()
    assert 'value="current_time"' in open_page(client).text

    client.post("/embed/ask", data={"message": "Hi", "serverTools": ["current_time"]}, headers=PAGE)

    assert upstream.sent[-1].body["tools"][0]["function"]["name"] == "current_time"


def test_the_cost_of_a_call_is_known_once_it_is_settled(make_app, upstream, tmp_path):
    client = make_app(database_url=f"sqlite:///{tmp_path}/ledger.sqlite3").test_client()
    upstream.answers(completion())
    answer = client.post("/api/chat", json={"message": "Hi"})

    found = client.get(f"/console/calls/{answer.headers['X-Request-ID']}").json
    unknown = client.get("/console/calls/unknown").json

    assert found["isSettled"] is True
    assert found["costMicroUsd"] > 0
    assert found["isEstimated"] is False
    assert unknown == {"isSettled": False}


def test_what_intake_does_to_an_image_is_shown(client, upstream):
    picture = io.BytesIO(encoded(photo(3000, 2000), "JPEG", exif=exif(6)))

    answer = client.post("/console/image", data={"image": (picture, "a.jpg"), "detail": "low"})

    assert answer.status_code == 200, answer.text
    given, sent = answer.json["given"], answer.json["sent"]
    assert (given["type"], given["width"], given["height"]) == ("image/jpeg", 3000, 2000)
    assert sent["width"] < sent["height"], "upright"
    assert max(sent["width"], sent["height"]) < 3000, "scaled to what the model uses"
    assert sent["bytes"] < given["bytes"]
    assert answer.json["tokens"] > 0
    assert upstream.sent == []


@each_row(("data", "code"), [({}, "invalid_request"), ({"image": "no image"}, "invalid_image")])
def test_what_is_no_image_is_refused(client, data, code):
    sent = {name: (io.BytesIO(text.encode()), "a.png") for name, text in data.items()}

    answer = client.post("/console/image", data=sent, content_type="multipart/form-data")

    assert (answer.status_code, answer.json["code"]) == (400, code)


def test_the_fault_of_the_owner_is_shown(app):
    app.extensions["gatehouse"].owner_faults.find_hint = lambda: "Set another key."
    client = app.test_client()

    assert re.search(r'<p id="fault"[^>]*role="alert">Set another key.</p>', open_page(client).text)
    assert client.get("/console/fault").json == {"fault": "Set another key."}


def test_what_the_scripts_need_is_on_the_page(client):
    data = re.search(r'data-console="([^"]*)"', open_page(client).text)[1]

    facts = json.loads(html.unescape(data))
    assert facts["schema"]["type"] == "object"
    assert facts["needsToken"] is False


@each_row("host", ["a'b", "<x>", "$(id)", "no host", ""])
def test_a_host_that_is_none_reaches_neither_the_page_nor_a_command(client, host):
    answer = client.get("/", headers={"Host": host, **PAGE})

    assert host == "" or host not in html.unescape(answer.text)
