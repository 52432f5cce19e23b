from __future__ import annotations

import re
from datetime import UTC, datetime

from tests.conftest import ORIGIN
from tests.fakes.identity_provider import NOW
from tests.fakes.site import bearer
from tests.fakes.tables import each_row
from tests.fakes.wire.bodies import refusal_of

OTHER = "https://app.example.com"
GOOD = {"userId": "anna", "ttlS": 600, "scopes": ["chat"]}


def code_of(answer):
    return (answer.status_code, answer.json.get("code"))


def revoke(site, token_id, key=None):
    return site.client.delete(f"/api/tokens/{token_id}", headers=bearer(key or site.key))


def test_a_sites_server_gets_a_token_for_its_visitor(site, principals):
    answer = site.token_answer()

    assert answer.status_code == 201
    assert list(answer.json) == ["token", "tokenId", "formToken", "expiresAt"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json["expiresAt"] == f"{datetime.fromtimestamp(NOW + 600, UTC):%Y-%m-%dT%H:%M:%SZ}"
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", answer.json["tokenId"])
    assert site.chat(answer.json["token"]).status_code == 200
    assert principals[-1].token_id == answer.json["tokenId"]


def test_a_token_carries_what_its_visitor_may_spend(site, principals, upstream):
    token = site.token(origin=ORIGIN, maxTokens=500, budgetUsd=25)

    assert site.chat(token, Origin=ORIGIN).status_code == 200
    principal = principals[-1]
    assert (principal.budget_micro_usd, principal.max_tokens, principal.prompt) == (25_000_000, 500, None)
    assert upstream.sent[-1].body["max_completion_tokens"] == 500


def test_tokens_of_two_visitors_are_two_users_and_neither_can_name_the_other(site, principals):
    anna, bob = site.token(userId="anna"), site.token(userId="bob")

    assert site.chat(anna).status_code == site.chat(bob).status_code == 200
    assert [principal.user for principal in principals[-2:]] == ["anna", "bob"]
    assert site.chat(anna, X_User_Id="bob").status_code == 403


@each_row(
    ("origin", "sent", "status"),
    [
        (ORIGIN, ORIGIN, 200),
        (ORIGIN, OTHER, 403),
        (ORIGIN, None, 403),
        (ORIGIN, "http://localhost", 403),
        (OTHER, OTHER, 200),
        (OTHER, ORIGIN, 403),
        (None, ORIGIN, 200),
        (None, None, 200),
    ],
)
@each_row("path", ["/api/chat", "/api/chat/stream"])
def test_a_token_bound_to_an_origin_counts_at_no_other(site, upstream, path, origin, sent, status):
    token = site.token(**({"origin": origin} if origin else {}))

    answer = site.chat(token, path, **({"Origin": sent} if sent else {}))

    assert answer.status_code == status or (path.endswith("stream") and status == 200 and upstream.sent)
    assert bool(upstream.sent) is (status == 200)


def test_a_stolen_token_replayed_from_elsewhere_or_too_late_is_refused(site, clock):
    answer = site.token_answer(origin=ORIGIN)
    token = answer.json["token"]
    assert site.chat(token, Origin=ORIGIN).status_code == 200

    assert code_of(site.chat(token, Origin=OTHER)) == (403, "forbidden")
    assert code_of(site.chat(token)) == (403, "forbidden")
    revoke(site, answer.json["tokenId"])
    assert code_of(site.chat(token, Origin=ORIGIN)) == (401, "unauthenticated")


def test_a_revoked_token_is_refused_by_another_worker_at_once(make_site):
    one, other = make_site(), make_site()
    answer = one.token_answer()
    assert other.chat(answer.json["token"]).status_code == 200

    assert revoke(one, answer.json["tokenId"]).status_code == 204
    assert revoke(one, answer.json["tokenId"]).status_code == 204

    assert code_of(other.chat(answer.json["token"])) == (401, "unauthenticated")


def test_all_tokens_of_a_user_can_be_taken_back(site, clock):
    anna, bob = [site.token() for _ in range(3)], site.token(userId="bob")

    answer = site.client.delete("/api/tokens?userId=anna", headers=bearer(site.key))

    assert (answer.status_code, answer.data) == (204, b"")
    assert {site.chat(token).status_code for token in anna} == {401}
    assert site.chat(bob).status_code == 200
    clock.move(1)
    assert site.chat(site.token()).status_code == 200


def test_a_tenant_cannot_take_back_the_tokens_of_another(site):
    answer = site.token_answer()
    foreign = site.new_key(tenant="other")

    assert revoke(site, answer.json["tokenId"], foreign).status_code == 204
    assert site.client.delete("/api/tokens?userId=anna", headers=bearer(foreign)).status_code == 204
    assert site.chat(answer.json["token"]).status_code == 200


def test_a_key_that_only_reads_usage_takes_no_token_back(site):
    reader, admin = site.new_key("usage"), site.new_key("admin")
    token = site.token_answer().json

    for scopes in ("usage", "usage,vision"):
        key = site.new_key(scopes)
        status = 204 if "vision" in scopes else 403
        assert revoke(site, "A" * 22, key).status_code == status
        assert site.client.delete("/api/tokens?userId=nobody", headers=bearer(key)).status_code == status
    assert code_of(revoke(site, token["tokenId"], reader)) == (403, "forbidden")
    assert site.chat(token["token"]).status_code == 200
    assert revoke(site, token["tokenId"], admin).status_code == 204
    assert site.chat(token["token"]).status_code == 401


def test_only_an_admin_of_all_tenants_takes_back_the_tokens_of_others(site, clock):
    one, two = site.token_answer().json, site.token_answer(userId="bob").json
    elsewhere = site.new_key("admin,chat", tenant="other")
    everywhere = site.new_key("admin,all-tenants", tenant="other")

    for path in (f"/{one['tokenId']}?tenant=acme", "?userId=bob&tenant=acme"):
        assert site.client.delete(f"/api/tokens{path}", headers=bearer(elsewhere)).status_code == 400
    assert site.chat(one["token"]).status_code == site.chat(two["token"]).status_code == 200
    for path in (f"/{one['tokenId']}?tenant=acme", "?userId=bob&tenant=acme"):
        assert site.client.delete(f"/api/tokens{path}", headers=bearer(everywhere)).status_code == 204
    assert site.chat(one["token"]).status_code == site.chat(two["token"]).status_code == 401


def test_the_same_user_id_in_two_tenants_is_two_users(site, principals):
    site.chat(site.token())
    site.chat(site.token(key=site.new_key(tenant="other")))

    users = {(p.tenant, p.user) for p in principals if p.kind == "visitor"}
    assert users == {("acme", "anna"), ("other", "anna")}


def test_the_tokens_of_a_revoked_key_end_with_it(site):
    key = site.new_key("chat")
    token = site.token(key)

    site.auth.keys.revoke(key[3:11])

    assert code_of(site.chat(token)) == (401, "unauthenticated")


def test_a_key_cannot_give_away_more_than_it_has(site):
    answer = site.token_answer(site.new_key("chat"), scopes=["chat", "usage"])

    assert code_of(answer) == (403, "forbidden")
    assert answer.json["error"] == "scopes: this key cannot grant 'usage'."


@each_row("credential", ["token", "provided"])
@each_row(("method", "path"), [("POST", ""), ("DELETE", "/" + "x" * 22), ("DELETE", "?userId=anna")])
def test_a_visitor_can_neither_make_tokens_nor_take_them_back(site, credential, method, path):
    shown = site.token() if credential == "token" else site.provider.token()

    answer = site.client.open(f"/api/tokens{path}", method=method, json=GOOD, headers=bearer(shown))

    assert code_of(answer) == (403, "forbidden")


@each_row("token_id", ["x", "x" * 21, "x" * 23, "x" * 21 + "'", "é" * 22])
def test_what_is_no_tokens_id_is_refused(site, token_id):
    assert code_of(revoke(site, token_id)) == (400, "invalid_request")


@each_row("query", ["", "?userId=", "?userId=a%20b", "?userId=a&userId=b"])
def test_whose_tokens_are_meant_must_be_said(site, query):
    answer = site.client.delete(f"/api/tokens{query}", headers=bearer(site.key))

    assert refusal_of(answer).startswith("userId: ")


def test_no_other_field_is_passed_over(site):
    answer = site.client.delete("/api/tokens?userId=anna&tokenId=1", headers=bearer(site.key))

    assert refusal_of(answer) == "Unknown field 'tokenId'."


BAD = [
    ({"userId": None}, "userId"),
    ({"userId": ""}, "userId"),
    ({"userId": 7}, "userId"),
    ({"userId": "a b"}, "userId"),
    ({"userId": "a,b"}, "userId"),
    ({"userId": "anna\n"}, "userId"),
    ({"userId": "é"}, "userId"),
    ({"userId": "x" * 129}, "userId"),
    ({"userId": "session:x"}, "userId"),
    ({"userId": "address:203.0.113.7"}, "userId"),
    ({"ttlS": 0}, "ttlS"),
    ({"ttlS": -1}, "ttlS"),
    ({"ttlS": "600"}, "ttlS"),
    ({"ttlS": 600.5}, "ttlS"),
    ({"ttlS": True}, "ttlS"),
    ({"ttlS": 86_401}, "ttlS"),
    ({"ttlS": 10**30}, "ttlS"),
    ({"scopes": []}, "scopes"),
    ({"scopes": "chat"}, "scopes"),
    ({"scopes": ["admin"]}, "scopes.0"),
    ({"scopes": ["chat", "root"]}, "scopes.1"),
    ({"scopes": ["chat"] * 6}, "scopes"),
    ({"origin": "*"}, "origin"),
    ({"origin": ""}, "origin"),
    ({"origin": "https://evil.example"}, "origin"),
    ({"origin": ORIGIN + "/"}, "origin"),
    ({"prompt": "a b"}, "prompt"),
    ({"maxTokens": 0}, "maxTokens"),
    ({"budgetUsd": 0}, "budgetUsd"),
    ({"budgetUsd": -1}, "budgetUsd"),
    ({"budgetUsd": 1e9}, "budgetUsd"),
    ({"budgetUsd": "1"}, "budgetUsd"),
    ({"tenant": "other"}, "Unknown field tenant"),
    ({"user": "bob"}, "Unknown field user"),
]


@each_row(("change", "named"), BAD, ids=[str(change)[:60] for change, _ in BAD])
def test_a_request_for_a_token_that_is_off_is_refused_and_the_field_named(site, change, named):
    body = {**GOOD, **change}
    answer = site.client.post(
        "/api/tokens",
        json={name: value for name, value in body.items() if value is not None},
        headers=bearer(site.key),
    )

    assert named in refusal_of(answer)


def test_the_longest_lifetime_is_the_settings(make_site):
    site = make_site(token_max_ttl_s=60)

    assert site.token_answer(ttlS=60).status_code == 201
    assert "at most 60" in refusal_of(site.token_answer(ttlS=61))


def test_a_token_needs_a_secret_key_to_be_signed_with(make_site):
    site = make_site(auth_required=False, secret_key="")

    answer = site.token_answer()

    assert code_of(answer) == (503, "auth_unavailable")
    assert "SECRET_KEY" in answer.json["error"]
