"""The pages of administration: who comes in, what a form needs, and what is left of each change."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest

from app.storage.database.connections.connection import Connection
from app.storage.database.database import DatabaseUnavailable
from tests.conftest import ORIGIN
from tests.fakes.site import ALL, bearer
from tests.fakes.tables import each_row, in_part

OWN = {"Origin": "http://localhost"}
PAGE = {"Accept": "text/html"}
PAGES = ("/admin", "/admin/board", "/admin/keys", "/admin/limits", "/admin/audit")
FORMS = {
    "/admin/keys": {"tenant": "acme", "name": "new", "scope.chat": "on"},
    "/admin/keys/{key}/rotate": {"hours": "1"},
    "/admin/keys/{key}/revoke": {},
    "/admin/tokens/revoke": {"tenant": "acme", "user": "anna"},
    "/admin/limits/set": {"kind": "user", "tenant": "acme", "id": "anna", "budget_usd": "0"},
    "/admin/limits/clear": {"kind": "user", "tenant": "acme", "id": "anna"},
    "/admin/sign-out": {},
}


@pytest.fixture
def site(make_site):
    return make_site()


@pytest.fixture
def command(site):
    """Runs a command on the server."""
    return lambda *words: site.app.test_cli_runner().invoke(args=list(words))


@pytest.fixture
def trail(site):
    return site.app.extensions["gatehouse"].audit


def new_link(command, *words):
    printed = command("admin", "login-url", "--url", "http://localhost", *words).stdout.strip()
    return parse_qs(urlsplit(printed).query)["link"][0]


def sign_in(client, link, **headers):
    return client.post("/admin/sign-in", data={"link": link}, headers=OWN | PAGE | headers)


@pytest.fixture
def admin(site, command):
    """The browser of an administrator."""
    browser = site.app.test_client()
    assert sign_in(browser, new_link(command, "--name", "grace")).status_code == 303
    return browser


def form_token(browser):
    return unescape(re.search(r'name="formToken" value="([^"]+)"', browser.get("/admin/keys").text)[1])


def send(browser, path, data=None, **headers):
    return browser.post(
        path, data={"formToken": form_token(browser), **(data or {})}, headers=OWN | PAGE | headers
    )


class TestTheWayIn:
    def test_a_link_opens_the_pages_once(self, site, command, admin):
        link = new_link(command)
        asked = site.client.get(f"/admin/sign-in?link={link}")
        assert asked.status_code == 200
        assert all(browser.get("/admin").status_code == 401 for browser in (site.client, site.app.test_client()))

        first, second = site.app.test_client(), site.app.test_client()
        assert sign_in(first, link).status_code == 303
        refused = sign_in(second, link)
        assert (refused.status_code, "used before" in refused.text) == (401, True)
        assert (first.get("/admin").status_code, second.get("/admin").status_code) == (200, 401)

    def test_two_workers_agree_that_a_link_was_used(self, make_site, command):
        link = new_link(command)
        workers = [make_site().app for _ in range(2)]  # over the same database

        statuses = [sign_in(app.test_client(), link).status_code for app in workers]
        assert statuses == [303, 401]

    def test_a_session_holds_in_each_worker_and_ends_in_each(self, make_site, site, admin):
        other = make_site().app.test_client()
        cookie = admin.get_cookie("gatehouse-admin")
        other.set_cookie("gatehouse-admin", cookie.value)
        assert other.get("/admin").status_code == 200

        assert send(admin, "/admin/sign-out").status_code == 303
        assert other.get("/admin").status_code == 401
        assert admin.get_cookie("gatehouse-admin") is None

    def test_a_link_is_over_after_its_minutes_and_a_session_after_its_hours(self, site, command, admin, clock):
        link = new_link(command, "--minutes", "2")
        clock.move(121)
        assert sign_in(site.client, link).status_code == 401

        assert admin.get("/admin").status_code == 200
        clock.move(8 * 3600)
        assert admin.get("/admin").status_code == 401

    @pytest.mark.parametrize("end", ["end-sessions", "other secret"])
    def test_sessions_are_ended_at_once(self, make_site, command, admin, end):
        if end == "end-sessions":
            assert "Ended sessions: 1." in command("admin", "end-sessions").stdout
            assert admin.get("/admin").status_code == 401
        else:
            other = make_site(secret_key="o" * 40).app.test_client()
            other.set_cookie("gatehouse-admin", admin.get_cookie("gatehouse-admin").value)
            assert other.get("/admin").status_code == 401

    def test_the_cookie_is_for_this_server_alone(self, site, command):
        plain = sign_in(site.client, new_link(command)).headers["Set-Cookie"]
        for part in ("gatehouse-admin=", "HttpOnly", "SameSite=Strict", "Path=/"):
            assert part in plain
        command_line = site.app.test_cli_runner()
        printed = command_line.invoke(args=["admin", "login-url", "--url", "https://localhost"]).stdout
        link = parse_qs(urlsplit(printed.strip()).query)["link"][0]
        secure = site.app.test_client().post(
            "/admin/sign-in",
            data={"link": link},
            headers={"Origin": "https://localhost"},
            base_url="https://localhost",
        )
        assert secure.headers["Set-Cookie"].startswith("__Host-gatehouse-admin=")
        assert "Secure" in secure.headers["Set-Cookie"]
        assert "Domain" not in secure.headers["Set-Cookie"]

    @each_row("link", ["", "x", "a.b", "a:99999999999:root.c2ln", "é" * 40])
    def test_what_is_no_link_opens_nothing(self, site, link):
        assert sign_in(site.client, link).status_code == 401

    def test_guessing_is_bounded(self, site):
        statuses = {sign_in(site.client, f"guess-{number}").status_code for number in range(40)}
        assert statuses == {401, 429}

    @each_row("headers", [{"Origin": ORIGIN}, {"Origin": "https://evil.example"}, {}])
    def test_only_this_servers_own_page_uses_a_link(self, site, command, headers):
        answer = site.client.post("/admin/sign-in", data={"link": new_link(command)}, headers=headers)
        assert answer.status_code == 403
        assert "Set-Cookie" not in answer.headers

    def test_it_works_in_production_under_a_trusted_name(self, make_site):
        site = make_site(app_env="production", trusted_hosts=("ai.example.com",), rate_limit="60/minute")
        base = "https://ai.example.com"
        printed = site.app.test_cli_runner().invoke(args=["admin", "login-url"])
        assert printed.stdout.startswith(f"{base}/admin/sign-in?link=")
        link = parse_qs(urlsplit(printed.stdout.strip()).query)["link"][0]

        opened = site.client.post("/admin/sign-in", data={"link": link}, headers={"Origin": base}, base_url=base)
        assert opened.status_code == 303
        assert site.client.get("/admin", base_url=base).status_code == 200

        def opens_console(browser):
            page = browser.get("/", base_url=base, headers={"Accept": "text/html"}).text
            return "This is Gatehouse" not in page and "/admin" in page

        assert opens_console(site.client)
        assert not opens_console(site.app.test_client())
        chat = site.client.post("/api/chat", json={"message": "Hi"}, headers={"Origin": base}, base_url=base)
        assert chat.status_code == 200

    def test_the_command_says_what_it_needs(self, make_site):
        def output(*words, **settings):
            answer = make_site(**settings).app.test_cli_runner().invoke(args=["admin", "login-url", *words])
            assert answer.exit_code == 1
            return answer.output

        assert "TRUSTED_HOSTS" in output(app_env="production", rate_limit="60/minute")
        assert "TRUSTED_HOSTS" in output("--url", "https://other.example")
        assert "SECRET_KEY" in output(
            secret_key="", auth_required=False, jwt_issuer="", jwt_audience="", jwt_jwks_url=""
        )
        assert "letters" in output("--name", "a b")

    @each_row("url", ["https://localhost/x", "https://localhost/?x", "https://localhost#x", "localhost"])
    def test_a_command_prints_no_link_that_leads_nowhere(self, command, url):
        refused = command("admin", "login-url", "--url", url)
        assert (refused.exit_code, refused.stdout) == (2, "")


class TestEveryPage:
    @each_row("path", PAGES)
    def test_needs_the_session(self, site, admin, path):
        assert admin.get(path).status_code == 200
        assert site.client.get(path).status_code == 401
        assert site.client.get(path, headers=bearer(site.new_key(f"{ALL},all-tenants"))).status_code == 401

    @pytest.mark.parametrize(
        "path",
        in_part(
            {path: path for path in FORMS},
            by_default={"/admin/keys", "/admin/keys/{key}/revoke", "/admin/limits/set", "/admin/sign-out"},
        ),
    )
    def test_a_form_needs_the_session_an_origin_and_a_token(self, site, admin, trail, path):
        where = path.format(key=site.key[3:11])
        token, before = form_token(admin), len(trail.list_newest(100))
        data = {**FORMS[path], "formToken": token}

        assert site.client.post(where, data=data, headers=OWN).status_code == 401
        bare = {"Sec-Fetch-Site": "same-origin"}  # of a browser that says no Origin
        for headers in ({}, bare, {"Origin": "null"}, {"Origin": ORIGIN}, {"Origin": "http://localhost:81"}):
            assert admin.post(where, data=data, headers=headers).status_code == 403
        assert admin.post(where, data=data, headers=OWN | {"Sec-Fetch-Site": "cross-site"}).status_code == 403
        for wrong in ("", "x", token[:-1]):
            assert admin.post(where, data={**data, "formToken": wrong}, headers=OWN).status_code == 403
        assert len(trail.list_newest(100)) == before

        assert admin.post(where, data=data, headers=OWN).status_code in (200, 303)
        assert len(trail.list_newest(100)) == before + 1

    def test_a_token_is_of_one_session(self, site, command, admin):
        other = site.app.test_client()
        sign_in(other, new_link(command))
        data = {**FORMS["/admin/tokens/revoke"], "formToken": form_token(other)}

        assert admin.post("/admin/tokens/revoke", data=data, headers=OWN).status_code == 403

    def test_it_may_load_and_run_nothing_but_its_own(self, admin):
        for path in PAGES:
            answer = admin.get(path)
            assert "default-src 'none'; script-src 'self'" in answer.headers["Content-Security-Policy"]
            assert answer.headers["Cache-Control"] == "no-store"
            assert not re.search(r"<script(?![^>]*src)|\sstyle=|\son\w+=", answer.text)


class TestWhoAsks:
    """People get pages, and programs JSON, errors too."""

    @each_row("path", PAGES)
    @each_row("accept", ["application/json", "*/*", ""])
    def test_a_program_without_a_session_reads_json(self, site, path, accept):
        told = site.client.get(path, headers={"Accept": accept})
        assert (told.status_code, told.json["code"]) == (401, "unauthenticated")
        asked = site.client.get(path, headers=PAGE)
        assert (asked.status_code, "flask admin login-url" in asked.text) == (401, True)

    @each_row(
        ("path", "data"),
        [
            ("/admin/keys", {"tenant": "a b", "name": "x", "scope.chat": "on"}),
            ("/admin/limits/set", {"kind": "user", "id": "anna", "request_rate": "often"}),
        ],
    )
    def test_a_program_reads_what_is_wrong_with_its_form(self, admin, path, data):
        refused = send(admin, path, data, Accept="application/json")
        assert (refused.status_code, refused.json["code"]) == (400, "invalid_request")
        assert refused.json["error"] in unescape(send(admin, path, data).text)

    def test_a_program_reads_that_a_link_was_used(self, site, command):
        link = new_link(command)
        statuses = [sign_in(site.client, link, Accept="application/json").status_code for _ in range(2)]
        assert statuses == [303, 401]
        assert sign_in(site.client, link, Accept="application/json").json["code"] == "unauthenticated"


class TestAServerThatIsNotSetUpForIt:
    @pytest.mark.parametrize(
        ("headers", "setting"),
        [
            ({"Host": "ai.example.com"}, "TRUSTED_HOSTS"),
            ({"X-Forwarded-Proto": "https"}, "TRUSTED_PROXIES"),
            ({"Host": "<b>ai.example.com"}, "TRUSTED_HOSTS"),
        ],
    )
    def test_says_so_before_a_link_is_used(self, site, command, headers, setting):
        link = new_link(command)
        page = site.client.get(f"/admin/sign-in?link={link}", headers=PAGE | headers).text
        assert (setting in page, link in page, "<b>" in page) == (True, False, False)

        assert sign_in(site.client, link).status_code == 303

    def test_behind_a_trusted_proxy_it_works_over_https(self, make_site):
        site = make_site(trusted_hosts=("ai.example.com",), trusted_proxies=1)
        printed = site.app.test_cli_runner().invoke(args=["admin", "login-url"]).stdout.strip()
        link = parse_qs(urlsplit(printed).query)["link"][0]
        proxied = {"Host": "ai.example.com", "X-Forwarded-Proto": "https", "X-Forwarded-For": "198.51.100.7"}

        page = site.client.get(f"/admin/sign-in?link={link}", headers=PAGE | proxied).text
        assert link in unescape(page)
        opened = sign_in(site.client, link, **proxied, **{"Origin": "https://ai.example.com"})
        assert opened.status_code == 303
        cookie = opened.headers["Set-Cookie"]
        assert cookie.startswith("__Host-gatehouse-admin=")
        cookie = cookie.partition(";")[0]
        audit = site.app.test_client(use_cookies=False).get(
            "/admin/audit", headers=PAGE | proxied | {"Cookie": cookie}
        )
        assert (audit.status_code, "198.51.100.7" in audit.text) == (200, True)


class TestKeys:
    def test_a_key_is_created_and_shown_once(self, site, admin):
        made = send(admin, "/admin/keys", {"tenant": "acme", "name": "shop", "scope.chat": "on"})
        key = re.search(r"gh_[\w-]{52}", made.text)[0]

        assert site.chat(key).status_code == 200
        assert key not in admin.get("/admin/keys").text
        assert made.headers["Cache-Control"] == "no-store"

    def test_a_key_is_rotated_and_revoked(self, site, admin):
        rotated = send(admin, f"/admin/keys/{site.key[3:11]}/rotate", {"hours": "0"})
        new = re.search(r"gh_[\w-]{52}", rotated.text)[0]
        assert (site.chat(site.key).status_code, site.chat(new).status_code) == (401, 200)

        send(admin, f"/admin/keys/{new[3:11]}/revoke")
        assert site.chat(new).status_code == 401

    def test_what_was_entered_stays_until_it_is_right(self, admin):
        page = send(admin, "/admin/keys", {"tenant": "a b", "name": "till <3", "scope.vision": "on"}).text
        assert 'value="till &lt;3"' in page
        assert 'value="a b"' in page
        assert re.findall(r'name="scope\.([\w-]+)" checked', page) == ["vision"]
        page = send(admin, "/admin/tokens/revoke", {"tenant": "acme", "user": "a b"}).text
        assert 'id="token-user" name="user" required maxlength="128" value="a b"' in page
        assert len(re.findall(r'name="scope\.[\w-]+" checked', page)) == 5

    def test_the_trail_has_its_state_before_and_after(self, site, admin, trail):
        send(admin, f"/admin/keys/{site.key[3:11]}/rotate", {"hours": "1"})
        send(admin, f"/admin/keys/{site.key[3:11]}/revoke")

        states = [row.details["state"] for row in trail.list_newest(2)]
        assert states == [["replaced", "revoked"], ["active", "replaced"]]
        assert "replaced → revoked" in admin.get("/admin/audit").text

    def test_the_tokens_of_a_user_are_revoked(self, site, admin):
        token, other = site.token(), site.token(userId="bob")
        send(admin, "/admin/tokens/revoke", {"tenant": "acme", "user": "anna"})

        assert (site.chat(token).status_code, site.chat(other).status_code) == (401, 200)

    @each_row(
        ("path", "data"),
        [
            ("/admin/keys", {"tenant": "a b", "name": "x", "scope.chat": "on"}),
            ("/admin/keys", {"tenant": "acme", "name": "", "scope.chat": "on"}),
            ("/admin/keys", {"tenant": "acme", "name": "x"}),
            ("/admin/keys/AbCd1234/revoke", {}),
            ("/admin/keys/AbCd1234/rotate", {"hours": "1"}),
            ("/admin/keys/AbCd1234/rotate", {"hours": "nan"}),
            ("/admin/tokens/revoke", {"tenant": "acme", "user": "a b"}),
            ("/admin/tokens/revoke", {"tenant": "", "user": "anna"}),
            ("/admin/limits/set", {"kind": "user", "id": "anna", "request_rate": "often"}),
            ("/admin/limits/set", {"kind": "key", "id": "AbCd1234", "budget_usd": "1"}),
            ("/admin/limits/set", {"kind": "planet", "id": "x", "budget_usd": "1"}),
            ("/admin/limits/clear", {"kind": "user", "id": ""}),
        ],
    )
    def test_what_cannot_be_done_is_explained_and_leaves_no_row(self, admin, trail, path, data):
        before = len(trail.list_newest(100))
        answer = send(admin, path, data)

        assert answer.status_code == 400
        assert 'role="alert"' in answer.text
        assert len(trail.list_newest(100)) == before


def test_limits_are_set_and_cleared_by_forms(site, admin):
    token = site.token()
    send(admin, "/admin/limits/set", {"kind": "user", "tenant": "acme", "id": "anna", "request_rate": "0"})
    assert "user <span" in admin.get("/admin/limits").text
    assert site.chat(token).status_code == 429

    send(admin, "/admin/limits/clear", {"kind": "user", "tenant": "acme", "id": "anna"})
    assert site.chat(token).status_code == 200


def test_many_accounts_are_shown_part_by_part(site, admin, monkeypatch):
    monkeypatch.setattr("app.web.routes.pages.admin_limits._ROWS", 2)
    for user in ("a/b?c", "anna", "bob"):
        send(admin, "/admin/limits/set", {"kind": "user", "tenant": "acme", "id": user, "budget_usd": "1"})

    def read(url):
        page = admin.get(url).text
        more = re.search(r'href="([^"]+)">More', page)
        return re.findall(r'user <span class="mono">([^<]+)', page), more and unescape(more[1])

    first, more = read("/admin/limits")
    assert (first, read(more)) == (["a/b?c", "anna"], (["bob"], None))
    assert "There are no more accounts." in admin.get("/admin/limits?after=user:z").text


def test_what_is_shown_of_others_is_text(site, admin):
    name = "<img src=x onerror=alert(1)>"
    send(admin, "/admin/keys", {"tenant": "acme", "name": name, "scope.chat": "on"})
    send(
        admin,
        "/admin/limits/set",
        {"kind": "user", "tenant": "acme", "id": "<script>alert(1)</script>", "budget_usd": "1"},
    )

    for path in PAGES:
        assert not re.search(r"<img|<script>", admin.get(path).text)


def test_the_board_shows_what_happens_and_nothing_of_what_was_said(site, admin, upstream):
    site.chat("gh_wrong")
    site.client.post("/api/chat", json={"message": "a CANARY", "nope": 1}, headers=bearer(site.key))
    state = site.app.extensions["gatehouse"].shared_state
    lease = state.take_lease({"streams": 10})

    board = admin.get("/admin/board").text
    assert "CANARY" not in board
    assert board.index("invalid_request") < board.index("unauthenticated")
    assert "/api/chat" in board
    assert re.search(r"<dt>Streams running</dt><dd>1 ", board)
    assert board.count("answers</span>") == 2
    assert "gpt-" in board
    lease.release()


def test_the_board_says_so_if_workers_do_not_know_of_each_other(site, admin, monkeypatch):
    assert "for all workers" in admin.get("/admin/board").text

    def fail():
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(site.app.extensions["gatehouse"].shared_state, "check", fail)
    board = admin.get("/admin/board").text
    assert "for all workers" not in board
    assert "No request was refused" not in board
    assert "each worker shows only its own" in board


def test_the_trail_says_who_what_when_and_from_where(site, command, admin):
    send(admin, "/admin/limits/set", {"kind": "tenant", "id": "acme", "budget_usd": "5"})
    command("keys", "create", "--name", "by-command", "--tenant", "acme")
    site.client.delete("/api/tokens?userId=anna", headers=bearer(site.key))

    page = admin.get("/admin/audit").text
    for shown in (
        "admin:grace",
        "127.0.0.1",
        "limits.set",
        "tenant:acme",
        f"key:{site.key[3:11]}",
        "tokens.revoke_all",
    ):
        assert shown in page
    printed = command("admin", "audit").stdout
    assert printed.index("tokens.revoke_all") < printed.index("key.create") < printed.index("limits.set")
    assert "command:" in printed
    assert site.key not in page + printed


@each_row("path", [*PAGES, "/usage"])
def test_a_database_that_is_away_is_told_on_a_page(admin, site, monkeypatch, path):
    def fail(*_, **__):
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(site.app.extensions["gatehouse"].database, "read_transaction", fail)
    answer = admin.get(path, headers={"Accept": "text/html"})

    assert answer.status_code == 503
    assert "Retry-After" in answer.headers
    assert "<h1>" in answer.text


def test_an_administrator_may_use_the_api_from_these_pages_only(site, admin):
    body = {"message": "Hi"}
    assert admin.post("/api/chat", json=body, headers=OWN).status_code == 200
    assert admin.post("/api/chat", json=body).status_code == 403
    assert admin.post("/api/chat", json=body, headers={"Origin": ORIGIN}).status_code == 403
    assert admin.get("/api/limits").status_code == 200
    assert admin.put("/api/limits/tenant/acme", json={"budgetUsd": 1}, headers=OWN).status_code == 200


def test_a_page_of_an_allowed_origin_reads_nothing_as_an_administrator(make_site):
    # Its browser sends the cookie with what it requests from another host of the same site.
    site = make_site(cors_credentials=True)
    browser = site.app.test_client()
    link = new_link(lambda *words: site.app.test_cli_runner().invoke(args=list(words)))
    assert sign_in(browser, link).status_code == 303
    for path in (*PAGES, "/usage", "/usage.csv", "/api/limits", "/api/usage"):
        assert browser.get(path).status_code == 200
        read = browser.get(path, headers={"Origin": ORIGIN})
        assert read.headers["Access-Control-Allow-Credentials"] == "true"
        assert read.status_code == 401, path


@pytest.fixture
def strict_database(monkeypatch):
    """Refuses NUL in a text, as PostgreSQL does."""
    execute = Connection.execute

    def check(connection, sql, values=()):
        assert "\\x00" not in repr(values)
        return execute(connection, sql, values)

    monkeypatch.setattr(Connection, "execute", check)


@pytest.mark.usefixtures("strict_database")
@each_row(
    ("path", "status"),
    [
        ("/admin/audit?before=%00", 200),
        ("/admin/limits?after=%00", 200),
        ("/admin/limits?kind=key&id=%00", 404),
        ("/admin/limits?kind=user&tenant=%00&id=a", 404),
        ("/usage?user=%00", 400),
        ("/usage?tenant=%00", 400),
        ("/console/calls/%00", 200),
    ],
)
def test_no_url_brings_a_nul_to_the_database(admin, path, status):
    assert admin.get(path).status_code == status


@pytest.mark.usefixtures("strict_database")
@each_row("path", ["/admin/keys/%00/rotate", "/admin/keys/%00/revoke"])
def test_no_form_brings_a_nul_to_the_database(admin, path):
    refused = send(admin, path, {"hours": "1"})
    assert (refused.status_code, "There is no key" in refused.text) == (400, True)
