"""/api/limits at the wire: what a key may change, and what it does to those whom it is about."""

from __future__ import annotations

import pytest

from tests.fakes.site import ALL, bearer
from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import stream_of
from tests.fakes.wire.reading import events_of

PATH = "/api/limits/user/anna"
NOTHING = dict.fromkeys(("requestRate", "tokenRate", "concurrentStreams", "budgetUsd", "budgetTokens"))


@pytest.fixture
def site(make_site):
    return make_site(rate_limit="60/minute", user_budget_usd=1.0)


@pytest.fixture
def owner(site):
    """Asks with a key for all tenants."""
    headers = bearer(site.new_key("usage,admin,all-tenants", tenant="owner"))

    def ask(method, path, **given):
        return site.client.open(path, method=method, headers=headers, **given)

    return ask


def ask_as_admin(site, method, path, key=None, **given):
    return site.client.open(path, method=method, headers=bearer(key or site.key), **given)


def test_limits_are_put_shown_listed_and_deleted(site):
    put = ask_as_admin(
        site, "PUT", PATH, json={"requestRate": "5/hour", "budgetUsd": 2.5, "concurrentStreams": "none"}
    )

    wanted = NOTHING | {"requestRate": "5/hour", "budgetUsd": 2.5, "concurrentStreams": "none"}
    assert (put.status_code, put.json["limits"]) == (200, wanted)
    shown = ask_as_admin(site, "GET", PATH)
    assert (shown.json["kind"], shown.json["tenant"], shown.json["id"]) == ("user", "acme", "anna")
    assert shown.json == put.json
    assert shown.json["defaults"]["requestRate"] == "60/minute"
    assert (shown.json["defaults"]["budgetUsd"], shown.json["defaults"]["tokenRate"]) == (1.0, "none")
    assert ask_as_admin(site, "GET", "/api/limits").json["limits"] == [put.json]

    assert ask_as_admin(site, "DELETE", PATH).status_code == 204
    assert ask_as_admin(site, "GET", PATH).json["limits"] == NOTHING
    assert ask_as_admin(site, "GET", "/api/limits").json["limits"] == []


def test_what_is_put_replaces_all_that_was_there(site):
    ask_as_admin(site, "PUT", PATH, json={"requestRate": "5/hour", "tokenRate": 0})
    answer = ask_as_admin(site, "PUT", PATH, json={"budgetTokens": 7, "requestRate": None})

    assert answer.json["limits"] == NOTHING | {"budgetTokens": 7}


LOWEST = [
    ({"requestRate": 0}, "rate_limited"),
    ({"requestRate": "0"}, "rate_limited"),
    ({"tokenRate": 0}, "rate_limited"),
    ({"tokenRate": "1/day"}, "rate_limited"),
    ({"budgetUsd": 0}, "budget_exceeded"),
    ({"budgetUsd": 0.000001}, "budget_exceeded"),
    ({"budgetTokens": 1}, "budget_exceeded"),
]
LIMITED = ["/api/limits/user/anna?tenant=acme", "/api/limits/tenant/acme", "/api/limits/key/{key}"]


@each_row(
    ("path", "body", "code"),
    [(path, *row) for path in LIMITED for row in LOWEST],
    quickly=lambda path, body, code: path == LIMITED[0] or (body, code) in (LOWEST[0], LOWEST[-1]),
)
def test_a_limit_refuses_those_it_is_about_at_once_and_nobody_else(site, owner, path, body, code):
    token = site.token(scopes=["chat"])
    other_key = site.new_key(tenant="other")
    assert site.chat(token).status_code == 200

    assert owner("PUT", path.format(key=site.key[3:11]), json=body).status_code == 200

    refused = site.chat(token)
    assert (refused.status_code, refused.json["code"]) == (429, code)
    if next(iter(body.values())) in (0, "0"):
        assert "Retry-After" not in refused.headers
        assert refused.headers["X-Should-Retry"] == "false"
    assert site.chat(site.token(other_key, scopes=["chat"], userId="anna")).status_code == 200
    assert owner("DELETE", path.format(key=site.key[3:11])).status_code == 204
    assert site.chat(token).status_code == 200


@each_row("path", ["/api/limits/user/anna?tenant=acme", "/api/limits/tenant/acme", "/api/limits/key/{key}"])
def test_no_stream_runs_where_none_is_allowed(site, owner, upstream, path):
    token = site.token(scopes=["chat"])
    owner("PUT", path.format(key=site.key[3:11]), json={"concurrentStreams": 0})

    refused = site.chat(token, "/api/chat/stream")
    assert (refused.status_code, refused.json["code"]) == (429, "concurrency_limit")
    assert "Retry-After" not in refused.headers
    assert site.chat(token).status_code == 200

    owner("PUT", path.format(key=site.key[3:11]), json={"concurrentStreams": "none"})
    upstream.streams(*stream_of("Hi"))
    streamed = site.chat(token, "/api/chat/stream")
    assert events_of(streamed.data)[-1]["done"]


def test_a_limit_holds_for_batches_and_for_openais_clients_too(site, owner):
    owner("PUT", "/api/limits/tenant/acme", json={"requestRate": 0})

    body = {"requests": [{"id": "a", "chat": {"message": "Hi"}}]}
    assert site.client.post("/api/batches", json=body, headers=bearer(site.key)).status_code == 429
    chat = {"model": "gpt-5.4-mini", "messages": [{"role": "user", "content": "Hi"}]}
    assert site.client.post("/v1/chat/completions", json=chat, headers=bearer(site.key)).status_code == 429


@pytest.mark.parametrize("lower", ["user/anna?tenant=acme", "tenant/acme", "key/{key}"])
def test_the_lowest_of_several_limits_refuses(site, owner, lower):
    token = site.token()
    for path in ("user/anna?tenant=acme", "tenant/acme", "key/{key}"):
        rate = "2/hour" if path == lower else "900/hour"
        put = owner("PUT", f"/api/limits/{path.format(key=site.key[3:11])}", json={"requestRate": rate})
        assert put.status_code == 200

    assert [site.chat(token).status_code for _ in range(3)] == [200, 200, 429]
    owner("DELETE", f"/api/limits/{lower.format(key=site.key[3:11])}")
    assert site.chat(token).status_code == 200


def test_callers_see_the_limits_that_hold_for_them(site, owner):
    token = site.token(scopes=["chat", "usage"])
    owner("PUT", "/api/limits/user/anna?tenant=acme", json={"requestRate": "5/hour", "budgetUsd": 3})
    owner("PUT", f"/api/limits/key/{site.key[3:11]}", json={"tokenRate": "1000000/day", "concurrentStreams": 2})
    owner("PUT", "/api/limits/tenant/acme", json={"budgetUsd": "none"})
    site.chat(token)

    seen = site.client.get("/api/usage", headers=bearer(token)).json
    assert [(row["of"], row["microUsd"]) for row in seen["limits"]] == [("user", 3_000_000)]
    requests, tokens = seen["rates"]
    assert (requests["of"], requests["counts"], requests["limit"], requests["windowS"]) == (
        "user",
        "requests",
        5,
        3600,
    )
    assert requests["left"] == 5 - 2
    assert (tokens["of"], tokens["counts"], tokens["limit"]) == ("key", "tokens", 1_000_000)
    assert 0 < tokens["left"] < 1_000_000
    assert {"of": "key", "limit": 2} in seen["streams"]


class TestWhoMayChangeWhat:
    def test_only_admins(self, site):
        for credential in (site.new_key("chat,usage"), site.token(scopes=["chat", "usage"])):
            for method in ("GET", "PUT", "DELETE"):
                assert ask_as_admin(site, method, PATH, credential, json={}).status_code == 403
        assert site.client.get(PATH).status_code == 401

    def test_an_admin_of_one_tenant_sees_no_other(self, site, owner):
        other = site.new_key(ALL, tenant="other")
        owner("PUT", "/api/limits/user/anna?tenant=acme", json={"budgetUsd": 1})

        assert ask_as_admin(site, "GET", "/api/limits", other).json == {"limits": []}
        assert ask_as_admin(site, "GET", PATH, other).json["limits"] == NOTHING  # the anna of its own
        assert ask_as_admin(site, "GET", "/api/limits/tenant/acme", other).status_code == 403
        assert ask_as_admin(site, "GET", f"/api/limits/key/{site.key[3:11]}", other).status_code == 404
        assert ask_as_admin(site, "GET", f"{PATH}?tenant=acme", other).status_code == 400

    def test_no_key_lifts_what_binds_itself(self, site):
        own = site.key[3:11]
        for path in ("/api/limits/tenant/acme", f"/api/limits/key/{own}", f"/api/limits/user/key:{own}"):
            assert ask_as_admin(site, "GET", path).status_code == 200
            for method in ("PUT", "DELETE"):
                refused = ask_as_admin(site, method, path, json={"budgetUsd": "none"})
                assert (refused.status_code, refused.json["code"]) == (403, "forbidden")
        neighbour = site.new_key("chat,admin")
        assert ask_as_admin(site, "GET", f"/api/limits/key/{neighbour[3:11]}").status_code == 200
        for method in ("PUT", "DELETE"):
            refused = ask_as_admin(site, method, f"/api/limits/key/{neighbour[3:11]}", json={})
            assert (refused.status_code, "scope admin" in refused.json["error"]) == (403, True)
        neighbour = site.new_key("chat")
        assert ask_as_admin(site, "PUT", f"/api/limits/key/{neighbour[3:11]}", json={}).status_code == 200


@each_row(
    ("body", "field"),
    [
        ({"requestRate": "60"}, "requestRate"),
        ({"requestRate": 60}, "requestRate"),
        ({"tokenRate": "0/minute"}, "tokenRate"),
        ({"concurrentStreams": -1}, "concurrentStreams"),
        ({"concurrentStreams": 1.5}, "concurrentStreams"),
        ({"budgetUsd": -1}, "budgetUsd"),
        ({"budgetUsd": 1e300}, "budgetUsd"),
        ({"budgetUsd": 0.00000001}, "budgetUsd"),
        ({"budgetUsd": True}, "budgetUsd"),
        ({"budgetUsd": [1]}, "budgetUsd"),
        ({"budgetTokens": "many"}, "budgetTokens"),
        ({"budgetTokens": 10**18}, "budgetTokens"),
        ({"budgetTokens": "٣"}, "budgetTokens"),
        ({"budgetUsd": "٣.٥"}, "budgetUsd"),
        ({"budget": 1}, "budget"),
    ],
)
def test_what_is_no_limit_is_named(site, body, field):
    refused = ask_as_admin(site, "PUT", PATH, json=body)

    assert (refused.status_code, refused.json["code"]) == (400, "invalid_request")
    assert field in refused.json["error"]


@each_row(
    ("path", "status"),
    [
        ("/api/limits/address/192.0.2.1", 400),
        ("/api/limits/user/a%20b", 400),
        ("/api/limits/user/%00", 400),
        ("/api/limits/user/a%2Fb%3Fc", 200),
        ("/api/limits/user/address:192.0.2.1", 200),
        ("/api/limits/key/AbCd1234", 404),
        ("/api/limits/key/gh_AbCd1234", 404),
        ("/api/limits/key/nope", 400),
        ("/api/limits/tenant/acme?tenant=other", 400),
        ("/api/limits/tenant/acme?tenant=acme", 200),
        ("/api/limits/user/", 404),
        ("/api/limits?tenant=%00", 400),
        ("/api/limits?tenant=a&tenant=b", 400),
        ("/api/limits?x=1", 400),
    ],
)
def test_an_account_is_found_or_refused_with_a_reason(owner, path, status):
    assert owner("GET", path).status_code == status


def test_each_change_is_in_the_audit_trail(site, owner):
    trail = site.app.extensions["gatehouse"].audit
    ask_as_admin(site, "PUT", PATH, json={"budgetUsd": 4}, environ_base={"REMOTE_ADDR": "198.51.100.9"})
    ask_as_admin(site, "DELETE", "/api/tokens?userId=anna")
    ask_as_admin(site, "DELETE", f"/api/tokens/{'x' * 22}")

    one, all_of_user, limits = trail.list_newest(3)
    assert (one.action, one.target) == ("token.revoke", f"token:{'x' * 22}")
    assert (all_of_user.action, all_of_user.target) == ("tokens.revoke_all", "user:acme/anna")
    assert (limits.action, limits.details) == ("limits.set", {"budget_usd": [None, "4"]})
    assert (limits.actor, limits.address) == (f"key:{site.key[3:11]}", "198.51.100.9")
