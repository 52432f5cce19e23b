"""The page of usage: who sees what, the figures, and the rows behind them."""

from __future__ import annotations

import csv
import io
import re
import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.conftest import ORIGIN
from tests.fakes.site import bearer
from tests.fakes.storage.rows import add_rows
from tests.fakes.tables import each_row, further
from tests.fakes.upstreams.openai_answers import USAGE

OWN = {"Origin": "http://localhost"}


@pytest.fixture
def site(make_site):
    return make_site(user_budget_usd=1.0, rate_limit="60/minute")


def sign_in(site, credential):
    browser = site.app.test_client()
    answer = browser.post("/usage/sign-in", data={"credential": credential}, headers=OWN)
    assert answer.status_code == 303, answer.text
    return browser


@pytest.fixture
def admin(site):
    printed = site.app.test_cli_runner().invoke(args=["admin", "login-url", "--url", "http://localhost"]).stdout
    browser = site.app.test_client()
    link = re.search(r"link=(\S+)", printed)[1].replace("%3A", ":")
    assert browser.post("/admin/sign-in", data={"link": link}, headers=OWN).status_code == 303
    return browser


def asks(site, user, times=1, key=None):
    for _ in range(times):
        answer = site.client.post(
            "/api/chat", json={"message": "Hi"}, headers=bearer(key or site.key) | {"X-User-Id": user}
        )
        assert answer.status_code == 200


def tile(page, name):
    return re.search(rf"<dt>{name}</dt><dd>([^<]*)", page.text)[1].strip()


class TestWhoSeesWhat:
    def test_without_a_credential_there_is_a_form(self, site):
        page = site.client.get("/usage")
        assert page.status_code == 401
        assert 'name="credential"' in page.text
        assert site.client.get("/usage.csv").status_code == 401

    def test_a_visitor_sees_their_own(self, site):
        asks(site, "anna", 2)
        asks(site, "bob", 3)
        browser = sign_in(site, site.token(scopes=["chat", "usage"]))

        page = browser.get("/usage")
        assert tile(page, "Requests") == "2"
        assert "bob" not in page.text
        assert browser.get("/usage?user=bob").status_code == 400
        assert browser.get("/usage.csv?user=bob").status_code == 400

    def test_an_admin_key_sees_its_tenant_and_no_other(self, site):
        other = site.new_key(tenant="other")
        asks(site, "anna", 2)
        asks(site, "zoe", 5, key=other)
        browser = sign_in(site, site.key)

        page = browser.get("/usage")
        assert tile(page, "Requests") == "2"
        assert "zoe" not in page.text
        assert browser.get("/usage?tenant=other").status_code == 403
        assert browser.get("/usage?user=anna").status_code == 200

    def test_an_administrator_sees_all(self, site, admin):
        asks(site, "anna", 2)
        asks(site, "zoe", 5, key=site.new_key(tenant="other"))

        assert tile(admin.get("/usage"), "Requests") == "7"
        page = admin.get("/usage?tenant=other")
        assert tile(page, "Requests") == "5"
        assert "anna" not in page.text

    def test_without_a_required_credential_an_address_sees_its_own(self, make_site):
        site = make_site(auth_required=False)
        site.client.post("/api/chat", json={"message": "Hi"})

        assert tile(site.client.get("/usage"), "Requests") == "1"
        assert tile(site.client.get("/usage", environ_base={"REMOTE_ADDR": "198.51.100.7"}), "Requests") == "0"
        assert 'name="credential"' in site.client.get("/usage", base_url="http://rebound.example").text

    def test_strangers_look_as_often_as_they_may_ask(self, make_site):
        site = make_site(auth_required=False, rate_limit="3/minute")
        statuses = [site.client.get("/usage", headers={"Accept": "text/html"}).status_code for _ in range(5)]

        assert statuses == [200] * 3 + [429] * 2

    @pytest.mark.parametrize("path", ["/usage", "/usage.csv"])
    def test_who_has_signed_in_looks_as_often_as_they_may_ask_and_takes_nothing_from_others(self, make_site, path):
        site = make_site(rate_limit="3/minute")
        anna, bob = (sign_in(site, site.token(scopes=["usage"], userId=name)) for name in ("anna", "bob"))

        assert [anna.get(path).status_code for _ in range(5)] == [200] * 3 + [429] * 2
        assert bob.get(path).status_code == 200

    def test_the_cookie_has_no_key_and_ends_with_it(self, site):
        browser = sign_in(site, site.key)
        cookie = browser.get_cookie("gatehouse-usage").value
        assert site.key[12:] not in cookie
        assert browser.get("/usage").status_code == 200

        site.auth.keys.revoke(site.key[3:11])
        assert browser.get("/usage").status_code == 401

    def test_it_ends_with_the_token_with_the_hours_and_by_signing_out(self, site, clock):
        token, of_key = sign_in(site, site.token(ttlS=60, scopes=["usage"])), sign_in(site, site.key)
        revoked = sign_in(site, site.token(scopes=["usage"], userId="bob"))
        site.auth.tokens.revoke_all("bob", tenant="acme")
        assert revoked.get("/usage").status_code == 401

        clock.move(61)
        assert (token.get("/usage").status_code, of_key.get("/usage").status_code) == (401, 200)
        leaving = sign_in(site, site.key)
        leaving.post("/usage/sign-out")
        assert leaving.get("/usage").status_code == 401
        clock.move(8 * 3600)
        assert of_key.get("/usage").status_code == 401

    def test_it_lets_nobody_use_the_api(self, site):
        browser = sign_in(site, site.key)
        assert browser.post("/api/chat", json={"message": "Hi"}, headers=OWN).status_code == 401
        assert browser.get("/api/usage").status_code == 401
        assert browser.get("/admin").status_code == 401

    @each_row(
        ("credential", "headers", "status"),
        [
            ("", OWN, 401),
            ("gh_AbCd1234_" + "x" * 43, OWN, 401),
            ("a.b.c", OWN, 401),
            ("x" * 9000, OWN, 401),
            ("KEY", {}, 403),
            ("KEY", {"Origin": "https://evil.example"}, 403),
            ("CHAT KEY", OWN, 403),
            ("BOUND", OWN, 403),
        ],
    )
    def test_who_may_not_see_usage_does_not_come_in(self, site, credential, headers, status):
        given = {
            "KEY": site.key,
            "CHAT KEY": site.new_key("chat"),
            "BOUND": site.token(scopes=["usage"], origin="https://app.example.com"),
        }.get(credential, credential)
        answer = site.client.post("/usage/sign-in", data={"credential": given}, headers=headers)

        assert answer.status_code == status
        assert "Set-Cookie" not in answer.headers
        assert given not in answer.text or not given


class TestTheFigures:
    def test_an_empty_ledger_says_so(self, admin):
        page = admin.get("/usage")
        assert "Nothing was used" in page.text
        assert "<svg class" not in page.text
        assert tile(page, "Cost") == "$0"

    def test_charts_have_a_title_a_description_and_a_table(self, site, admin):
        asks(site, "anna")
        page = admin.get("/usage").text

        assert page.count('<svg class="chart"') == page.count('role="img"') == 2
        assert len(re.findall(r'<title id="(?:cost|tokens)-title">', page)) == 2
        assert len(re.findall(r'<desc id="(?:cost|tokens)-desc">', page)) == 2
        assert re.search(r'<rect class="series-0" x="[\d.]+" y="[\d.]+" width="[\d.]+" height="[\d.]+"/>', page)
        today = datetime.now(UTC).date().isoformat()
        assert re.search(rf'<th scope="row">{today}</th>', page)

    def test_estimated_and_unpriced_requests_are_marked(self, site, admin):
        put_rows(site, [{"estimated": 1, "unpriced": 3, "requests": 9, "cached_tokens": 7, "reasoning_tokens": 5}])
        page = admin.get("/usage").text

        assert "The tokens of 1 request are estimates" in page
        assert "3 requests have no known price" in page
        assert re.search(r'<span class="badge warn"[^>]*>3</span>', page)
        assert re.search(r"<dt>Read from the prompt cache</dt><dd>7", page)
        assert re.search(r"<dt>Reasoning</dt><dd>5", page)

    def test_the_csv_has_the_same_rows(self, site, admin):
        asks(site, "anna", 2)
        page = admin.get("/usage")
        link = re.search(r'href="(/usage\.csv[^"]+)"', page.text)[1].replace("&amp;", "&")
        answer = admin.get(link)

        assert (answer.mimetype, answer.headers["Cache-Control"]) == ("text/csv", "no-store")
        [row] = csv.DictReader(io.StringIO(answer.text))
        assert (row["requests"], row["tokens"]) == ("2", str(2 * USAGE["total_tokens"]))

    def test_each_list_has_a_csv_of_all_its_rows(self, site, admin):
        put_rows(site, [{"user_id": f"u{number}", "cost_micro_usd": number} for number in range(20)])
        page = admin.get("/usage?days=7&tenant=acme").text
        lists = re.findall(r'<a href="(/usage\.csv[^"]+)">CSV of all (\w+)s</a>', page)

        assert [name for _, name in lists] == ["user", "tenant", "route"]
        rows = {
            name: list(csv.DictReader(io.StringIO(admin.get(link.replace("&amp;", "&")).text)))
            for link, name in lists
        }
        assert {row["user"]: row["costMicroUsd"] for row in rows["user"]} == {
            f"u{at}": str(at) for at in range(20)
        }
        assert [(row["tenant"], row["requests"]) for row in rows["tenant"]] == [("acme", "20")]
        assert [row["route"] for row in rows["route"]] == ["/api/chat"]

    def test_limits_and_what_is_left_are_bars(self, site):
        asks(site, "anna", 2)
        page = sign_in(site, site.token(scopes=["usage"])).get("/usage").text

        meters = re.findall(r'<meter [^>]*aria-label="([^"]+)"', page)
        assert meters == ["Budget of the user, each month", "Requests of the user in 60 s"]
        assert "3 of 60" not in page  # to look at the page is no request to the API
        assert "2 of 60" in page

    def test_how_calls_went_is_told_to_administrators(self, site, admin, upstream):
        asks(site, "anna", 3)
        upstream.answers({}, 400)
        site.chat(site.key)

        page = admin.get("/usage").text
        assert re.search(r"<dt>Failed</dt><dd>25.0 %", page)
        assert "nothing was streamed" in page
        assert "How the latest" not in sign_in(site, site.token(scopes=["usage"])).get("/usage").text

    @pytest.mark.parametrize(("query", "bars"), [*further(("?days=7", 7)), ("?days=90", 90), ("?days=365", 53)])
    def test_a_long_time_is_shown_by_weeks(self, site, admin, query, bars):
        today = datetime.now(UTC).date()
        put_rows(site, [{"day": (today - timedelta(days=number)).isoformat()} for number in range(365)])

        page = admin.get(f"/usage{query}").text
        cost = page[page.index("cost-title") : page.index("tokens-title")]
        assert cost.count("<rect class=") - cost.count('<rect class="series-0" width="12"') == bars

    def test_many_models_share_a_colour(self, site, admin):
        put_rows(site, [{"model": f"model-{number}", "cost_micro_usd": 100 - number} for number in range(12)])
        page = admin.get("/usage").text

        assert "others" in page
        assert "series-6" in page
        assert "series-7" not in page
        assert "model-11" in page  # in the table

    @each_row(
        "query",
        [
            "?from=x",
            "?to=2026-13-01",
            "?from=2026-02-01&to=2026-01-01",
            "?from=0001-01-01&to=9999-12-31",
            "?by=moon",
        ],
    )
    def test_a_time_that_is_none_is_refused(self, admin, query):
        assert admin.get(f"/usage{query}").status_code == 400

    @pytest.mark.parametrize("users", [8, pytest.param(80, marks=pytest.mark.thorough)])
    def test_a_year_of_five_million_requests_is_read_quickly(self, site, admin, users):
        """In CPU time, which neighbours on the machine do not change; measured: 0.05 s, and 0.17 for 394,000 rows."""
        today = datetime.now(UTC).date()
        put_rows(
            site,
            [
                {
                    "day": (today - timedelta(days=day)).isoformat(),
                    "user_id": f"u{user}",
                    "requests": 13_600 // users,
                }
                for day in range(365)
                for user in range(users)
            ],
        )
        site.app.extensions["gatehouse"].ledger.roll_up()
        admin.get("/usage?days=365")
        began = time.process_time()
        page = admin.get("/usage?days=365")
        assert time.process_time() - began < 0.3
        assert tile(page, "Requests") == "4.96 M"


def test_a_page_of_an_allowed_origin_does_not_read_what_who_has_signed_in_sees(make_site):
    site = make_site(cors_credentials=True)
    browser = sign_in(site, site.key)
    for path in ("/usage", "/usage.csv"):
        assert browser.get(path).status_code == 200
        assert browser.get(path, headers={"Origin": ORIGIN}).status_code == 401


def put_rows(site, rows):
    usual = {
        "day": datetime.now(UTC).date().isoformat(),
        "tenant": "acme",
        "user_id": "anna",
        "model": "gpt-6.1-terra",
        "route": "/api/chat",
        "requests": 1,
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "tokens": 15,
        "cost_micro_usd": 100,
    }
    database = site.app.extensions["gatehouse"].database
    with database.transaction(30.0) as connection:
        add_rows(connection, "daily_totals", [usual | row for row in rows])
