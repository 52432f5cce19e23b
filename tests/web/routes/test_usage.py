from __future__ import annotations

import csv
import io
import re
import secrets

import pytest

from app.auth.principal import VISITOR_SCOPES
from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import USAGE, completion

CHAT = {"messages": [{"role": "user", "content": "Hi"}]}
SECRET = "s" * 32


@pytest.fixture
def site(make_app):
    """A tenant of its own, with a key for all and one for the admin; it has asked for two users."""
    app = make_app(secret_key=SECRET, user_budget_tokens=100_000)
    tenant = f"t{secrets.token_hex(4)}"

    class Site:
        client = app.test_client()
        name = tenant

        def key(self, *scopes):
            with app.app_context():
                keys = app.extensions["gatehouse"].authenticator.keys
                return keys.create(tenant=tenant, name="k", scopes=list(scopes)).text

        def get(self, query="", *, key=None, user=None):
            headers = {"Authorization": f"Bearer {key or self.own}"} | ({"X-User-Id": user} if user else {})
            return self.client.get(f"/api/usage{query}", headers=headers)

        def asks(self, user, times=1):
            headers = {"Authorization": f"Bearer {self.own}", "X-User-Id": user}
            for _ in range(times):
                assert self.client.post("/api/chat", json=CHAT, headers=headers).status_code == 200

    site = Site()
    site.own, site.admin = site.key(*VISITOR_SCOPES), site.key(*VISITOR_SCOPES, "admin")
    site.asks("anna", 2)
    site.asks("bob")
    return site


def test_callers_see_their_own_and_what_is_left(site):
    answer = site.get(user="anna")

    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json["totals"]["requests"] == 2
    assert answer.json["totals"]["tokens"] == 2 * USAGE["total_tokens"]
    [row] = answer.json["rows"]
    assert (row["promptTokens"], row["completionTokens"]) == (
        2 * USAGE["prompt_tokens"],
        2 * USAGE["completion_tokens"],
    )
    [limit] = answer.json["limits"]
    assert (limit["of"], limit["leftTokens"]) == ("user", 100_000 - 2 * USAGE["total_tokens"])


def test_what_the_prompt_cache_saved_is_shown(site, upstream):
    """gpt-6.1-terra costs 1 USD a million, 0.05 read and 1.25 written: 1,000 * 0.95 - 2,000 * 0.25 micro-dollars."""
    details = {"cached_tokens": 1_000, "cache_write_tokens": 2_000}
    used = {
        "prompt_tokens": 4_000,
        "completion_tokens": 1,
        "total_tokens": 4_001,
        "prompt_tokens_details": details,
    }
    upstream.answers(completion("Hi") | {"usage": used, "model": "gpt-6.1-terra"})
    site.asks("eve")

    for query in ("", "?by=model", "?by=user", "?by=", "?by=route,day"):
        answer = site.get(query, user="eve").json
        for shown in (answer["totals"], answer["rows"][0]):
            assert (shown["cachedTokens"], shown["cacheWriteTokens"]) == (1_000, 2_000)
            assert shown["cacheSavedMicroUsd"] == 450
            assert shown["costMicroUsd"] == 1_000 + 50 + 2_500 + 5
    [row] = csv.DictReader(io.StringIO(site.get("?by=user&format=csv", user="eve").text))
    assert row["cacheSavedMicroUsd"] == "450"


@each_row("query", ["?user=bob", "?tenant=default", "?user=anna", "?tenant="])
def test_nobody_but_an_admin_asks_for_others(site, query):
    answer = site.get(query, user="anna")

    assert (answer.status_code, answer.json["code"]) == (400, "invalid_request")


def test_nobody_but_an_admin_is_told_of_reported_users(site):
    assert "safetyEvents" not in site.get("", user="anna").json
    assert "safetyEvents" in site.get("", key=site.admin).json


def test_an_admin_sees_anybody_of_its_tenant(site):
    def requests(query):
        return site.get(query, key=site.admin).json["totals"]["requests"]

    assert requests("") == requests(f"?tenant={site.name}") == 3
    assert requests("?user=bob") == requests(f"?tenant={site.name}&user=bob") == 1
    for other in ("nobody", "default", ""):
        refused = site.get(f"?tenant={other}", key=site.admin)
        assert (refused.status_code, refused.json["code"]) == (403, "forbidden")
    rows = site.get(f"?tenant={site.name}&by=user", key=site.admin).json["rows"]
    assert {row["user"]: row["requests"] for row in rows} == {"anna": 2, "bob": 1}


def test_an_admin_of_all_tenants_sees_them_all(site):
    key = site.key("usage", "admin", "all-tenants")

    def requests(query):
        return site.get(query, key=key).json["totals"]["requests"]

    assert requests(f"?tenant={site.name}") == 3
    assert requests("?user=bob&tenant=nobody") == 0
    assert requests("") >= 3
    assert site.name in {row["tenant"] for row in site.get("?by=tenant", key=key).json["rows"]}


@pytest.mark.parametrize("name", ["user", "tenant"])
def test_the_character_nul_is_refused(site, name):
    assert site.get(f"?{name}=%00", key=site.key("usage", "admin", "all-tenants")).status_code == 400


def test_a_key_without_the_scope_sees_nothing(site):
    assert site.get(key=site.key("chat")).status_code == 403


def test_rows_can_be_had_as_csv(site):
    answer = site.get(f"?tenant={site.name}&by=user,route&format=csv", key=site.admin)

    assert answer.mimetype == "text/csv"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["user"], row["route"], row["requests"]) for row in rows] == [
        ("anna", "/api/chat", "2"),
        ("bob", "/api/chat", "1"),
    ]


def test_a_spreadsheet_takes_no_user_for_a_formula(site):
    site.asks("=1+1")

    assert "'=1+1" in site.get("?by=user&format=csv", user="=1+1", key=site.admin).text


BAD = {
    "?from=yesterday": "from",
    "?to=2026-13-01": "to",
    "?from=20261120": "from",
    "?from=2026-11-20&to=2026-11-19": "to",
    "?by=colour": "by",
    "?format=xml": "format",
    "?x=1": "x",
}


@each_row(("query", "named"), BAD.items())
def test_a_query_that_is_off_is_refused_and_named(site, query, named):
    answer = site.get(query)

    assert answer.status_code == 400
    assert answer.json["error"].startswith(f"{named}: ")


def test_the_command_shows_a_table(site):
    run = site.client.application.test_cli_runner().invoke

    shown = run(args=["usage", "--by", "user,model", "--tenant", site.name])

    assert shown.exit_code == 0
    lines = [re.split(r" {2,}", line.strip()) for line in shown.output.splitlines()]
    assert lines[0][:3] == ["user", "model", "requests"]
    assert [(line[0], line[-7]) for line in lines[1:]] == [("anna", "2"), ("bob", "1"), ("total", "3")]


@each_row("args", [["--month", "2026-13"], ["--month", "November"], ["--by", "colour"]])
def test_the_command_says_what_it_did_not_understand(site, args):
    shown = site.client.application.test_cli_runner().invoke(args=["usage", *args])

    assert shown.exit_code == 2
    assert args[0] in shown.output
