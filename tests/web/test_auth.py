from __future__ import annotations

import functools
import itertools
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.auth.failed_attempts import MAX_FAILURES, WINDOW_S
from app.runtime.log_throttle import LogThrottle
from app.storage.database.database import DatabaseUnavailable
from app.web.guards import find_guard
from tests.conftest import KEY, ORIGIN
from tests.fakes.identity_provider import by_hand, claims, pem_of, rsa_key
from tests.fakes.site import SECRET_KEY, bearer
from tests.fakes.tables import each_row, in_part
from tests.fakes.wire.bodies import EVERY_ROUTE as ROUTES
from tests.fakes.wire.bodies import EVERY_SMALLEST as SMALLEST
from tests.fakes.wire.bodies import scope_of

SCOPE_OF = {route: scope_of(route) for route in ROUTES}
HERE = "http://localhost"


def code_of(answer):
    return (answer.status_code, answer.json.get("code"))


def post(site, route, **headers):
    return site.client.post(route, json=SMALLEST[route], headers=headers)


# The rule: every route states who may call it.


@pytest.mark.parametrize(
    "settings", [{}, {"app_env": "production", "secret_key": "s" * 40, "auth_required": True}]
)
def test_every_route_states_its_guard_and_is_public_or_below_the_guarded_blueprint(make_app, settings):
    app = make_app(**settings)
    guarded = {
        blueprint
        for blueprint, hooks in app.before_request_funcs.items()
        if any(hook.__module__ == "app.web.guards" for hook in hooks)
    }

    assert "api" in guarded
    for rule in app.url_map.iter_rules():
        guard = find_guard(app.view_functions[rule.endpoint])
        assert guard is not None, f"{rule.rule} states no guard"
        if rule.endpoint.split(".")[0] in guarded:
            assert not guard.is_public
            assert guard.scopes or guard.keys_only
        else:
            # needs_admin_session() sees to its own; tests/web/routes/pages/test_admin_pages.py
            sees_to_it = hasattr(app.view_functions[rule.endpoint], "__wrapped__") and guard.scopes == ("admin",)
            assert guard.is_public or sees_to_it, f"{rule.rule} states a guard that nobody sees to"
            assert not rule.rule.startswith(("/api", "/v1"))


def test_a_route_that_states_nothing_lets_nobody_in(make_site):
    site = make_site(auth_required=False)
    site.app.view_functions["api.chat.create"] = lambda: "open"

    for headers in ({}, bearer(site.key)):
        assert site.client.post("/api/chat", headers=headers).status_code == 500


@each_row("route", [*ROUTES, "/api/tokens"])
def test_without_a_credential_no_route_does_anything(site, upstream, route):
    answer = site.client.post(route, json=SMALLEST.get(route, {}))

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json.get("code", "unauthenticated") == "unauthenticated"
    assert upstream.sent == []


def test_a_stranger_is_turned_away_before_the_body_is_looked_at(site):
    answer = site.client.post("/api/chat", data=b"{", content_type="text/plain")

    assert code_of(answer) == (401, "unauthenticated")


def test_health_and_what_is_not_there_need_no_credential(site):
    for path, status in {"/healthz": 200, "/readyz": 200, "/api/nothing": 404, "/nothing": 404}.items():
        assert site.client.get(path).status_code == status
    assert site.client.get("/api/chat").status_code == 405


# The scope matrix.


@pytest.fixture
def key_for(site):
    """Returns the site's key of a scope, made once."""
    return functools.cache(site.new_key)


@pytest.fixture
def token_for(site):
    """Returns a visitor's token of a scope, made once."""
    return functools.cache(lambda scope: site.token(scopes=[scope]))


def is_first_pair(route, scope):
    """Return whether a row is of the scope that a route needs, or of one that none of them needs."""
    return scope in (SCOPE_OF[route], "usage")


@each_row(
    ("route", "scope"),
    itertools.product(ROUTES, ["chat", "vision", "embeddings", "structured", "usage", "admin"]),
    quickly=is_first_pair,
)
def test_a_key_may_do_what_its_scopes_say_and_nothing_else(site, upstream, key_for, route, scope):
    upstream.clear()

    answer = post(site, route, **bearer(key_for(scope)))

    assert (answer.status_code == 403) is (scope != SCOPE_OF[route])
    assert bool(upstream.sent) is (scope == SCOPE_OF[route])


@each_row(
    ("route", "scope"),
    itertools.product(ROUTES, ["chat", "vision", "embeddings", "structured", "usage"]),
    quickly=is_first_pair,
)
def test_a_visitors_token_may_do_what_its_scopes_say_and_nothing_else(site, upstream, token_for, route, scope):
    upstream.clear()

    answer = post(site, route, **bearer(token_for(scope)))

    assert (answer.status_code == 403) is (scope != SCOPE_OF[route])
    assert bool(upstream.sent) is (scope == SCOPE_OF[route])


@pytest.fixture
def site_of_chats(make_site):
    return make_site(jwt_scopes=("chat",))


@each_row("route", ROUTES)
def test_a_token_of_the_identity_provider_may_do_what_the_settings_say(site_of_chats, route):
    site = site_of_chats

    answer = post(site, route, **bearer(site.provider.token()))

    assert (answer.status_code == 403) is (SCOPE_OF[route] != "chat")


# Whom a request comes from.


def test_each_kind_of_credential_gives_its_principal(site, principals):
    site.chat(site.key)
    site.chat(site.key, X_User_Id="anna")
    site.chat(site.token(userId="bob"))
    site.chat(site.provider.token(sub="carla"))

    key, named, _, token, provided = principals
    assert (key.kind, key.tenant, key.user) == ("key", "acme", f"key:{key.key_id}")
    assert (named.kind, named.tenant, named.user) == ("key", "acme", "anna")
    assert (token.kind, token.tenant, token.user) == ("visitor", "acme", "bob")
    assert (provided.kind, provided.tenant, provided.user) == ("visitor", "default", "carla")
    assert key.may("admin")
    assert not token.may("admin")


@each_row("field", ["user", "userId", "user_id", "tenant"])
def test_a_user_id_in_a_body_is_not_even_taken(site, upstream, field):
    answer = site.client.post("/api/chat", json={"message": "Hi", field: "bob"}, headers=bearer(site.key))

    assert code_of(answer) == (400, "invalid_request")
    assert upstream.sent == []


@pytest.mark.parametrize("kind", ["token", "provided", "session", "anonymous"])
def test_only_a_sites_server_may_name_a_user(make_site, upstream, kind):
    site = make_site(auth_required=False)
    credential = {"token": site.token, "provided": site.provider.token}.get(kind, lambda: None)()
    if kind == "session":
        site.client.get("/", headers={"Accept": "text/html"})

    for named in ("bob", "anna", ""):
        assert code_of(site.chat(credential, X_User_Id=named, Origin=HERE)) == (403, "forbidden")
    assert upstream.sent == []


@each_row(
    "named", ["", " ", "a b", "anna,bob", "é", "x" * 129, "a\tb", "address:203.0.113.7", "session:x", "key:x"]
)
def test_a_name_that_no_user_can_have_is_refused(site, named):
    answer = site.chat(site.key, X_User_Id=named)

    assert code_of(answer) == (400, "invalid_request")
    assert answer.json["error"].startswith("X-User-Id: ")


@each_row("named", ["a", "auth0|5f7c8ec7c33c6c004bbafe82", "anna@example.com", "x" * 128, "-", "~"])
def test_a_name_may_be_of_any_visible_ascii(site, principals, named):
    assert site.chat(site.key, X_User_Id=named).status_code == 200
    assert principals[-1].user == named


def test_a_name_sent_twice_is_refused(site):
    answer = site.client.post(
        "/api/chat",
        json={"message": "Hi"},
        headers=[("Authorization", f"Bearer {site.key}"), ("X-User-Id", "anna"), ("X-User-Id", "bob")],
    )

    assert answer.status_code == 400


# What is forged.

HS = {"alg": "HS256", "typ": "JWT"}
FORGED = {
    "nothing": "",
    "a word": "admin",
    "the upstream's key": KEY,
    "the secret key": SECRET_KEY,
    "a made-up key": "gh_AAAAAAAA_" + "x" * 43,
    "alg none": by_hand({"alg": "none"}, claims()),
    "HS256 with the public key": by_hand({**HS, "kid": "k1"}, claims(), secret=pem_of(rsa_key(1))),
    "HS256 with the secret key": by_hand(HS, claims(), secret=SECRET_KEY.encode()),
    "a visitor's token, unsigned": by_hand({"alg": "none", "typ": "gatehouse-visitor+jwt"}, claims()),
    "a visitor's token by the secret key": by_hand(
        {**HS, "typ": "gatehouse-visitor+jwt"},
        {
            **claims(iss="gatehouse", aud="gatehouse:visitor"),
            "tenant": "acme",
            "scopes": ["chat"],
            "jti": "x",
            "key": "x",
        },
        secret=SECRET_KEY.encode(),
    ),
    "the type a list": by_hand({**HS, "typ": ["gatehouse-visitor+jwt"]}, claims(), secret=b"x" * 32),
    "far too long": "a." * 9000 + "a",
    "header no JSON": "e.e.e",
    "not ASCII": "gh_é",
}


@pytest.fixture(params=[True, False])
def any_site(make_site, request):
    """A site that needs a credential, and one that needs none."""
    return make_site(auth_required=request.param)


@each_row("credential", FORGED.values(), ids=FORGED)
def test_a_forged_credential_is_refused_even_where_none_is_needed(any_site, upstream, credential):
    answer = any_site.chat(credential)

    assert code_of(answer) == (401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert upstream.sent == []


@each_row(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic {key}",
        "Token {key}",
        "{key}",
        "Bearer {key} x",
        "Bearer {key}, Bearer {key}",
        "Bearer {key}=",
        "bearer\t{key}",
    ],
)
def test_a_key_counts_only_as_a_bearer_token(site, header):
    answer = site.client.post(
        "/api/chat", json={"message": "Hi"}, headers={"Authorization": header.format(key=site.key)}
    )

    assert code_of(answer) == (401, "unauthenticated")


@each_row("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_name_of_the_scheme_may_be_written_in_any_case(site, scheme):
    headers = {"Authorization": f"{scheme}  {site.key} "}
    assert site.client.post("/api/chat", json={"message": "Hi"}, headers=headers).status_code == 200


def test_a_credential_in_the_address_or_a_cookie_does_not_count(site):
    site.client.set_cookie("Authorization", f"Bearer {site.key}")

    assert site.client.post(f"/api/chat?access_token={site.key}", json={"message": "Hi"}).status_code == 401


def test_a_token_with_padding_is_not_the_same_token(site):
    for token in (site.token(), site.provider.token()):
        for end in ("=", "=="):
            assert site.chat(token + end).status_code == 401


def test_a_token_of_the_provider_is_foreign_where_there_is_no_provider(make_site):
    site = make_site(jwt_issuer="", jwt_audience="", jwt_jwks_url="")

    assert site.chat(site.provider.token()).status_code == 401
    assert site.chat(site.token()).status_code == 200


def test_an_expired_token_is_refused(site, clock):
    tokens = [site.token(), site.provider.token()]
    for token in tokens:
        assert site.chat(token).status_code == 200

    clock.move(600)

    for token in tokens:
        assert code_of(site.chat(token)) == (401, "unauthenticated")


def test_a_key_of_one_server_is_none_of_another_with_its_own_database(make_site, tmp_path):
    one = make_site()
    other = make_site(database_url=f"sqlite:///{tmp_path}/other.sqlite3")

    assert one.chat(one.key).status_code == 200
    assert other.chat(one.key).status_code == 401


def test_a_replaced_key_counts_until_its_grace_ends(site, clock):
    new = site.auth.keys.rotate(site.key[3:11], grace_s=60)

    clock.move(59)
    assert site.chat(site.key).status_code == site.chat(new.text).status_code == 200
    clock.move(1)
    assert site.chat(site.key).status_code == 401
    assert site.chat(new.text).status_code == 200


# Guessing.


KINDS_OF_GUESSES = {
    "keys": lambda number: f"gh_AAAAAAAA_{number:043}",
    "visitors' tokens": lambda number: by_hand(
        {"alg": "HS256", "typ": "gatehouse-visitor+jwt"}, claims(), secret=b"%032d" % number
    ),
    "the provider's tokens": lambda number: by_hand(
        {"alg": "RS256", "kid": f"k{number}"}, claims(), secret=b"x" * 32
    ),
    "words": lambda number: f"word{number}",
    "the same word": lambda _: "word",
}


@pytest.fixture(params=in_part(KINDS_OF_GUESSES, by_default={*KINDS_OF_GUESSES} - {"words"}))
def guess(request):
    return request.param


def test_guessing_is_bounded_for_each_address(site, clock, guess):
    for number in range(MAX_FAILURES):
        assert code_of(site.chat(guess(number))) == (401, "unauthenticated")

    for number in range(MAX_FAILURES, 2 * MAX_FAILURES):
        refused = site.chat(guess(number))
        assert code_of(refused) == (429, "rate_limited")
    assert 0 < int(refused.headers["Retry-After"]) <= WINDOW_S
    assert code_of(site.chat()) == (401, "unauthenticated")
    elsewhere = {"environ_base": {"REMOTE_ADDR": "203.0.113.7"}, "headers": bearer(guess(0))}
    assert site.client.post("/api/chat", json={"message": "Hi"}, **elsewhere).status_code == 401

    clock.move(int(refused.headers["Retry-After"]))
    assert site.chat(guess(0)).status_code == 401


def test_what_is_right_is_never_refused_for_what_others_guess(site, guess):
    rights = [site.key, site.token(), site.token(prompt=None), site.provider.token()]
    for number in range(2 * MAX_FAILURES):
        site.chat(guess(number))

    for right in [*rights, site.new_key(), site.token(userId="bob"), site.provider.token(sub="new")]:
        assert site.chat(right).status_code == 200
    assert site.client.post("/api/tokens", json={}, headers=bearer(site.key)).status_code == 400
    assert site.client.get("/api/usage", headers=bearer(site.key)).status_code == 200


def test_one_old_token_that_a_page_repeats_takes_no_other_guess(site):
    for _ in range(5 * MAX_FAILURES):
        site.chat("old")

    assert code_of(site.chat("old")) == (429, "rate_limited")
    assert code_of(site.chat("another")) == (401, "unauthenticated")


def test_guesses_from_all_networks_of_a_48_are_bounded_together(make_site):
    site = make_site(trusted_proxies=1)

    def status(number, credential):
        forwarded = {"X_Forwarded_For": f"2001:db8:7:{number:x}::1"}
        return site.chat(credential, **forwarded).status_code

    answers = [status(number, f"wrong{number}") for number in range(5 * MAX_FAILURES)]

    assert answers == [401] * 4 * MAX_FAILURES + [429] * MAX_FAILURES
    assert status(1, site.key) == 200
    assert site.chat("wrong", X_Forwarded_For="2001:db8:8::1").status_code == 401


@pytest.mark.parametrize(
    "make_guess",
    in_part({"words": lambda number: f"wrong{number}", "the same word": lambda _: "wrong"}, by_default={"words"}),
)
def test_guesses_at_once_are_counted_one_by_one(make_site, make_guess, monkeypatch):
    site = make_site()
    state = site.auth.failures._state
    real, gate = state.update, threading.Barrier(50)

    def update_together(key, change, **options):
        if key != "refusals":  # of the board, which one of the requests writes
            gate.wait(10)
        return real(key, change, **options)

    monkeypatch.setattr(state, "update", update_together)
    with ThreadPoolExecutor(50) as pool:
        codes = list(
            pool.map(
                lambda number: (
                    site.app.test_client().get("/api/usage", headers=bearer(make_guess(number))).status_code
                ),
                range(100),
            )
        )

    assert (codes.count(401), codes.count(429)) == (MAX_FAILURES, 100 - MAX_FAILURES)


def test_a_flood_of_guesses_costs_no_more_writes_and_fetches_few_keys(site, monkeypatch):
    written = []
    state = site.auth.failures._state
    put = state._set

    def put_and_note(key, value, ttl_s):
        if key != "refusals":  # of the board: one a second
            written.append(value)
        put(key, value, ttl_s)

    monkeypatch.setattr(state, "_set", put_and_note)

    for number in range(4 * MAX_FAILURES):
        site.chat(KINDS_OF_GUESSES["the provider's tokens"](number))

    assert len(written) == MAX_FAILURES
    assert max(map(len, written)) < 25 * MAX_FAILURES
    assert len(site.provider.asked) <= 2


def test_what_was_once_good_is_no_guess(site, clock):
    token, revoked = site.token(), site.new_key()
    site.auth.keys.revoke(revoked[3:11])
    clock.move(600)

    for _ in range(MAX_FAILURES):
        assert site.chat(token).status_code == site.chat(revoked).status_code == 401
    assert site.chat(site.key).status_code == 200


def test_guesses_are_counted_over_all_workers(make_site):
    one = make_site()
    other = make_site()
    other.auth.failures._state = one.auth.failures._state

    for site in (one, other) * (MAX_FAILURES // 2):
        assert site.chat("wrong").status_code == 401
    assert one.chat("wrong").status_code == other.chat("wrong").status_code == 429


# Network addresses.


def anonymous(site, principals, address, forwarded=None, **headers):
    if forwarded is not None:
        headers["X-Forwarded-For"] = forwarded
    site.client.post("/api/chat", json={"message": "Hi"}, headers=headers, environ_base={"REMOTE_ADDR": address})
    principal = principals.pop()
    assert (principal.kind, principal.tenant) == ("anonymous", "default")
    return principal.user


def test_without_a_trusted_proxy_no_header_changes_who_an_anonymous_visitor_is(make_site, principals):
    site = make_site(auth_required=False)

    for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "True-Client-IP", "CF-Connecting-IP", "X-Client-IP"):
        assert anonymous(site, principals, "198.51.100.1", **{name: "203.0.113.7"}) == "address:198.51.100.1"


@pytest.fixture
def site_behind(make_site):
    """The site behind so many trusted proxies."""
    return functools.cache(lambda proxies: make_site(auth_required=False, trusted_proxies=proxies))


@each_row(
    ("proxies", "forwarded", "user"),
    [
        (1, "203.0.113.7", "203.0.113.7"),
        (1, "1.2.3.4, 203.0.113.7", "203.0.113.7"),
        (1, "1.2.3.4,, 203.0.113.7", "203.0.113.7"),
        (2, "1.2.3.4, 203.0.113.7, 10.0.0.1", "203.0.113.7"),
        (2, "203.0.113.7", "198.51.100.1"),
        (1, None, "198.51.100.1"),
        (1, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        (1, "2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        (1, "::ffff:203.0.113.7", "203.0.113.7"),
        (1, "::FFFF:203.0.113.7", "203.0.113.7"),
        (1, "64:ff9b::203.0.113.7", "203.0.113.7"),
        (1, "2001:DB8:1:2::1", "2001:db8:1:2::/64"),
        (1, "203.0.113.7:4711", "203.0.113.7"),
        (1, "1.2.3.4:1, 203.0.113.7:4711", "203.0.113.7"),
        (2, "203.0.113.7:4711, 10.0.0.1:80", "203.0.113.7"),
        (1, "[203.0.113.7]:4711", "203.0.113.7"),
        (1, '"203.0.113.7:4711"', "203.0.113.7"),
        (1, "[2001:db8:1:2::1]", "2001:db8:1:2::/64"),
        (1, "[2001:db8:1:2::1]:443", "2001:db8:1:2::/64"),
        (1, '"[2001:db8:1:2::1]:443"', "2001:db8:1:2::/64"),
        (1, "[2001:db8:1:2::1%eth0]:443", "2001:db8:1:2::/64"),
        (1, "2001:db8:1:2:3:4:5:6:443", "2001:db8:1:2::/64"),
        (1, "[::ffff:203.0.113.7]:443", "203.0.113.7"),
        (1, "::203.0.113.7", "203.0.113.7"),
        (1, "::ffff:cb00:7107", "203.0.113.7"),
        (1, "[::1]:443", "::/64"),
        (1, "fe80::1%25eth0", "fe80::/64"),
        (1, "\t203.0.113.7 ", "203.0.113.7"),
        (1, "203.0.113.7:", "203.0.113.7"),
        (1, "203.0.113.7:_SEVKISEK", "203.0.113.7"),
        (1, "[2001:db8:1:2::1]:_p.1-x", "2001:db8:1:2::/64"),
        (1, "for=203.0.113.7", "203.0.113.7"),
        (1, "1.2.3.4, For=203.0.113.7:4711;proto=https;by=10.0.0.1", "203.0.113.7"),
        (1, 'for="[2001:DB8:1:2::1]:443"', "2001:db8:1:2::/64"),
        (1, 'for = "[2001:db8:1:2::1]" ; proto=https', "2001:db8:1:2::/64"),
        (1, "for=unknown", "unknown"),
        (1, "UNKNOWN:80", "unknown"),
        (1, '"unknown"', "unknown"),
        (1, " ", "unknown"),
        (1, "-", "unknown"),
        (1, "(null)", "unknown"),
        (1, "1.2.3.4, unknown", "unknown"),
        (1, "1.2.3.4,", "unknown"),
        (2, "1.2.3.4,, 10.0.0.1", "unknown"),
        (1, "unix:", "unknown"),
    ],
)
def test_the_address_is_what_the_trusted_proxy_says(site_behind, principals, proxies, forwarded, user):
    assert anonymous(site_behind(proxies), principals, "198.51.100.1", forwarded) == f"address:{user}"


def test_addresses_that_cannot_be_read_are_not_shared_and_do_not_change_with_the_port(make_site, principals):
    site = make_site(auth_required=False, trusted_proxies=1)
    texts = ["_other:1", "1.2.3.4.5", "01.2.3.4", "1.2.3.4/32", "host.example.org", "[::1", "x" * 5_000]
    same = ["_hidden:1", "_hidden:2", "_HIDDEN", "for=_hidden", 'For="_hidden:_x";proto=http']

    of_one = {anonymous(site, principals, "198.51.100.1", text) for text in same}
    users = [anonymous(site, principals, "198.51.100.1", text) for text in texts]

    assert len(of_one) == 1
    assert len({*users, *of_one}) == len(texts) + 1
    assert all(user.startswith("address:unreadable-") and len(user) < 50 for user in users)


def test_an_address_that_cannot_be_read_is_told_once_a_minute(make_site, principals, caplog, clock, monkeypatch):
    monkeypatch.setattr("app.auth.address._throttle", LogThrottle())
    site = make_site(auth_required=False, trusted_proxies=1)
    monkeypatch.setattr(logging.getLogger("app"), "propagate", True)

    def told():
        return [record.shape for record in caplog.records if record.message == "address.unreadable"]

    for number in range(20):
        anonymous(site, principals, "198.51.100.1", f"_client{number}")
    assert told() == ["_aaaaaa9"]
    clock.move(61)
    anonymous(site, principals, "198.51.100.1", "unknown")
    anonymous(site, principals, "198.51.100.1", "203.0.113.7:80")
    assert told() == ["_aaaaaa9", "aaaaaaa"]


def test_behind_a_socket_without_trusted_proxies_all_visitors_are_one(make_site, principals):
    assert anonymous(make_site(auth_required=False), principals, "") == "address:unknown"


def test_an_anonymous_visitor_may_do_what_visitors_do(make_site, upstream):
    site = make_site(auth_required=False)

    for route in ROUTES:
        assert post(site, route).status_code not in (401, 403)
    assert code_of(site.client.post("/api/tokens", json={})) == (401, "unauthenticated")


# Pages of other origins.


@each_row("route", [*ROUTES, "/api/tokens"])
def test_a_preflight_needs_no_credential(site, route):
    answer = site.client.options(
        route,
        headers={
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization, content-type",
        },
    )

    assert answer.status_code in (200, 204)
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "authorization" in answer.headers["Access-Control-Allow-Headers"].lower()


@each_row("credential", [None, "wrong"])
def test_a_page_can_read_that_its_credential_does_not_count(site, credential):
    answer = site.chat(credential, Origin=ORIGIN)

    assert answer.status_code == 401
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Origin" in answer.vary


# When the store is away.


def test_nobody_is_let_in_while_keys_cannot_be_looked_up(site, upstream, monkeypatch):
    token = site.token()

    def away():
        raise DatabaseUnavailable("away")

    for way in ("read_transaction", "read_once"):
        monkeypatch.setattr(site.auth.keys._store, way, away)
    for credential in (site.key, token):
        answer = site.chat(credential)
        assert code_of(answer) == (503, "store_unavailable")
        assert answer.headers["Retry-After"]
    assert upstream.sent == []


def test_a_provider_that_is_away_is_a_503_and_no_one_is_let_in(site, upstream):
    site.provider.is_away = True

    answer = site.chat(site.provider.token())

    assert code_of(answer) == (503, "auth_unavailable")
    assert upstream.sent == []


def test_whoever_shows_nothing_is_let_in_without_a_look_at_the_keys(make_app, monkeypatch):
    monkeypatch.setattr("app.auth.store.LazyStore._get_database", None)
    client = make_app(secret_key=SECRET_KEY).test_client()

    assert client.post("/api/chat", json={"message": "Hi"}).status_code == 200
    client.get("/", headers={"Accept": "text/html"})
    assert client.post("/api/chat", json={"message": "Hi"}, headers={"Origin": HERE}).status_code == 200


# What is written down.


def test_no_credential_is_in_any_log_or_answer(site, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("app"), "propagate", True)
    caplog.set_level(logging.DEBUG)
    token = site.token()
    provided = site.provider.token()
    wrong = "gh_AAAAAAAA_" + "canary" * 7 + "x"
    caplog.clear()

    answers = [
        *(site.chat(credential) for credential in (site.key, token, provided, wrong, token[:-5], provided + "x")),
        site.chat(token, X_User_Id="canary-name"),
        site.chat(site.key, X_User_Id="canary name"),
        site.token_answer(key=site.new_key("chat"), scopes=["usage"]),
    ]
    site.auth.keys.revoke(site.key[3:11])
    answers += [site.chat(site.key), site.chat(token)]

    seen = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    seen += "".join(answer.text + str(answer.headers) for answer in answers)
    for secret in (
        site.key[12:],
        token,
        token.split(".")[2],
        provided.split(".")[2],
        wrong[12:],
        SECRET_KEY,
        "canary",
    ):
        assert secret not in seen
    assert "auth.refused" in caplog.text


# Pages served here.


def session_cookie(answer):
    [header] = answer.headers.getlist("Set-Cookie")
    name, _, rest = header.partition("=")
    return name, [part.strip() for part in rest.split(";")[1:]]


def test_a_page_served_here_gives_each_browser_a_session_that_counts_for_its_address(make_site, principals):
    site = make_site()
    browsers = [site.app.test_client() for _ in range(2)]

    for browser in browsers:
        name, attributes = session_cookie(browser.get("/", headers={"Accept": "text/html"}))
        assert name == "gatehouse"
        assert {"HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=28800"} <= set(attributes)
        assert "Secure" not in attributes
        for _ in range(2):
            browser.get("/", headers={"Accept": "text/html"})  # a page opened again goes on with the session
            assert browser.post("/api/chat", json={"message": "Hi"}, headers={"Origin": HERE}).status_code == 200

    assert {principal.user for principal in principals} == {"address:127.0.0.1"}
    assert {(principal.kind, principal.may("admin")) for principal in principals} == {("session", False)}


def test_a_new_cookie_is_no_new_user(make_site):
    site = make_site(rate_limit="3/minute", auth_required=False)
    statuses = []
    for _ in range(5):
        browser = site.app.test_client()
        browser.get("/", headers={"Accept": "text/html"})
        statuses.append(browser.post("/api/chat", json={"message": "Hi"}, headers={"Origin": HERE}).status_code)

    assert statuses == [200, 200, 200, 429, 429]
    assert site.chat().status_code == 429  # nor is it one to have none


def test_production_accepts_no_session_of_a_page_that_it_does_not_serve(make_site):
    development = make_site()
    development.client.get("/", headers={"Accept": "text/html"})
    cookie = development.client.get_cookie("gatehouse").value
    production = make_site(app_env="production", auth_required=True, trusted_hosts=("localhost",))
    production.client.set_cookie("gatehouse", cookie)

    assert code_of(production.chat(Origin=HERE)) == (401, "unauthenticated")


def test_over_https_the_cookie_is_bound_to_this_host_and_secure(make_site, principals):
    site = make_site(trusted_proxies=1)
    https = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"}

    name, attributes = session_cookie(
        site.client.get("/", headers={**https, "Accept": "text/html"}, base_url="https://localhost")
    )

    assert name == "__Host-gatehouse"
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(attributes)
    assert not any(attribute.startswith("Domain") for attribute in attributes)
    headers = {**https, "Origin": "https://localhost", "Sec-Fetch-Site": "same-origin"}
    assert (
        site.client.post(
            "/api/chat", json={"message": "Hi"}, headers=headers, base_url="https://localhost"
        ).status_code
        == 200
    )
    assert principals[0].kind == "session"


def test_a_cookie_set_over_http_does_not_count_over_https(make_site):
    site = make_site(trusted_proxies=1)
    site.client.get("/", headers={"Accept": "text/html"})

    answer = site.chat(Origin="https://localhost", X_Forwarded_Proto="https")

    assert answer.status_code == 401


@each_row(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": HERE}, 200),
        ({"Sec-Fetch-Site": "same-origin", "Origin": HERE}, 200),
        ({}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Sec-Fetch-Site": ""}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": HERE}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": ORIGIN}, 403),
        ({"Origin": ORIGIN}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://localhost"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, 403),
        ({"Referer": "http://localhost/"}, 403),
    ],
)
def test_a_session_counts_only_on_requests_of_this_servers_own_pages(any_site, upstream, headers, status):
    upstream.clear()
    browser = any_site.app.test_client()
    browser.get("/", headers={"Accept": "text/html"})

    assert browser.post("/api/chat", json={"message": "Hi"}, headers=headers).status_code == status
    assert bool(upstream.sent) is (status == 200)


@each_row("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_form_of_another_site_cannot_use_a_session(site, upstream, content_type):
    site.client.get("/", headers={"Accept": "text/html"})

    answer = site.client.post(
        "/api/chat", data=b'{"message": "Hi"}', content_type=content_type, headers={"Sec-Fetch-Site": "cross-site"}
    )

    assert answer.status_code == 403
    assert upstream.sent == []


def test_a_session_ends_after_its_time_and_opening_a_page_prolongs_it(make_site, clock):
    site = make_site(session_ttl_s=100)
    site.client.get("/", headers={"Accept": "text/html"})
    clock.move(90)
    site.client.get("/", headers={"Accept": "text/html"})
    clock.move(90)
    assert site.chat(Origin=HERE).status_code == 200
    clock.move(11)
    assert site.chat(Origin=HERE).status_code == 401
    site.client.get("/", headers={"Accept": "text/html"})
    assert site.chat(Origin=HERE).status_code == 200


def test_a_forged_cookie_is_none(site):
    site.client.get("/", headers={"Accept": "text/html"})
    good = site.client.get_cookie("gatehouse").value
    session_id, time, signature = good.split(".")

    for forged in (
        "",
        "x",
        session_id,
        f"x.{time}.{signature}",
        f"{session_id}.{time}.x",
        good[:-1],
        f"{good}x",
        "é",
    ):
        site.client.set_cookie("gatehouse", forged)
        assert code_of(site.chat(Origin=HERE)) == (401, "unauthenticated")
    site.client.set_cookie("gatehouse", good)
    assert site.chat(Origin=HERE).status_code == 200


def test_a_credential_goes_before_a_session_and_needs_no_page(site, principals):
    site.client.get("/", headers={"Accept": "text/html"})

    assert site.chat(site.key).status_code == 200
    assert site.chat("wrong", Origin=HERE).status_code == 401
    assert [principal.kind for principal in principals] == ["key"]


def test_without_a_secret_key_there_are_no_sessions(make_app):
    answer = make_app().test_client().get("/", headers={"Accept": "text/html"})

    assert "Set-Cookie" not in answer.headers


def test_a_session_cannot_make_tokens(site):
    site.client.get("/", headers={"Accept": "text/html"})

    answer = site.client.post("/api/tokens", json={}, headers={"Origin": HERE})

    assert code_of(answer) == (403, "forbidden")
