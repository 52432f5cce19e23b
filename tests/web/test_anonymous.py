"""What callers without a credential may do, and what all of them together may cost and hold."""

from __future__ import annotations

from collections import Counter

import httpx2
import pytest

from app.storage.shared_state import MemoryState
from tests.fakes.site import bearer
from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import completion, stream_of
from tests.fakes.wire.bodies import EVERY_ROUTE as ROUTES
from tests.fakes.wire.bodies import EVERY_SMALLEST as SMALLEST
from tests.fakes.wire.bodies import scope_of

CHAT = {"message": "Hi", "maxTokens": 100}
USED = {"prompt_tokens": 100, "completion_tokens": 100, "total_tokens": 200}
HERE = "http://localhost"


def ask(client, address="192.0.2.1", path="/api/chat", **options):
    return client.post(path, json=CHAT, headers={"X-Forwarded-For": address} | options.pop("headers", {}))


@pytest.fixture
def make_public(make_site, tmp_path):
    """A production server that is open to everybody, within bounds."""
    prices = tmp_path / "prices.toml"
    prices.write_text(
        '[models."gpt-6.1-terra"]\ninput = 1\noutput = 5\n[models."gpt-6-luna"]\ninput = 1\noutput = 5\n'
    )

    def make(**settings):
        public = {
            "app_env": "production",
            "auth_required": False,
            "trusted_proxies": 1,
            "address_rate_limit": "1000/minute",
            "anonymous_budget_usd": 0.01,
            "prices_file": str(prices),
        }
        return make_site(**{**public, **settings})

    return make


@each_row("scopes", [None, (), ("embeddings", "usage")])
def test_strangers_may_do_what_the_setting_says(make_public, upstream, scopes):
    site = make_public(anonymous_scopes=scopes, anonymous_budget_usd=100)
    allowed = ("chat",) if scopes is None else scopes

    for route in ROUTES:
        answer = site.client.post(route, json=SMALLEST[route])
        assert (answer.status_code != 401) is (scope_of(route) in allowed), route
    assert (site.client.get("/api/usage").status_code == 200) is ("usage" in allowed)
    for method, path in (
        ("POST", "/api/batches"),
        ("GET", "/api/batches"),
        ("POST", "/api/tokens"),
        ("DELETE", "/api/tokens?userId=a"),
    ):
        assert site.client.open(path, method=method, json={}).status_code == 401


@pytest.mark.parametrize("strangers", [60, pytest.param(10_000, marks=pytest.mark.neighbours)])
def test_all_strangers_together_cost_no_more_than_their_budget(make_public, upstream, strangers):
    upstream.otherwise = lambda sent: httpx2.Response(200, json=completion(usage=USED))
    site = make_public(user_budget_usd=0.005)

    def address(number):
        return f"192.0.{number >> 8}.{number & 255}" if number % 2 else f"2001:db8:{number:x}::1"

    statuses = Counter()
    for number in range(strangers):
        answer = ask(site.client, address(number))
        statuses[answer.status_code] += 1

    assert statuses == {200: len(upstream.sent), 429: strangers - len(upstream.sent)}
    assert answer.json["code"] == "budget_exceeded"
    assert int(answer.headers["Retry-After"]) > 60
    spent = len(upstream.sent) * (100 + 5 * 100)
    assert 5_000 < spent <= 10_000
    assert ask(site.client, headers=bearer(site.key)).status_code == 200  # nobody else pays for them
    shown = site.client.get("/api/usage", headers=bearer(site.key)).json["limits"]
    assert [limit["of"] for limit in shown] == ["user"]


def test_a_stranger_is_told_what_all_have_left(make_public, upstream):
    upstream.otherwise = lambda sent: httpx2.Response(200, json=completion(usage=USED))
    site = make_public(anonymous_scopes=("chat", "usage"), user_budget_usd=0.005, budget_window="day")
    assert ask(site.client, "2001:db8::1").status_code == ask(site.client, "192.0.2.7").status_code == 200

    answer = site.client.get("/api/usage", headers={"X-Forwarded-For": "192.0.2.7"}).json

    assert answer["totals"]["requests"] == 1
    assert [
        (limit["of"], limit["window"], limit["microUsd"], limit["leftMicroUsd"]) for limit in answer["limits"]
    ] == [
        ("user", "day", 5_000, 4_400),
        ("anonymous", "day", 10_000, 8_800),
    ]


def test_a_stranger_may_not_use_a_model_without_a_price(make_public, upstream):
    site = make_public(allowed_models=("unheard-of",))

    answer = site.client.post("/api/chat", json={**CHAT, "model": "unheard-of"})

    assert (answer.status_code, answer.json["code"]) == (403, "forbidden")
    assert upstream.sent == []
    assert (
        site.client.post("/api/chat", json={**CHAT, "model": "unheard-of"}, headers=bearer(site.key)).status_code
        == 200
    )


def test_a_new_cookie_is_not_a_new_share_of_the_budget(make_public, upstream):
    upstream.otherwise = lambda sent: httpx2.Response(200, json=completion(usage=USED))
    site = make_public(app_env="development", trusted_proxies=0)
    statuses = []
    for _ in range(25):
        browser = site.app.test_client()
        browser.get("/", headers={"Accept": "text/html"})
        statuses.append(browser.post("/api/chat", json=CHAT, headers={"Origin": HERE}).status_code)

    assert set(statuses) == {200, 429}
    assert 600 * statuses.count(200) <= 10_000
    assert 600 * len(upstream.sent) <= 10_000


@pytest.mark.parametrize("setting", ["rate_limit", "address_rate_limit"])
def test_ipv6_counts_by_64_and_by_48(make_public, upstream, setting):
    site = make_public(**{"anonymous_budget_usd": 100, setting: "3/minute"})
    of_one_64 = [f"2001:db8:1:1:{number:x}::1" for number in range(5)]

    assert [ask(site.client, address).status_code for address in of_one_64] == [200] * 3 + [429] * 2
    others = [ask(site.client, f"2001:db8:1:{number:x}::1").status_code for number in range(2, 14)]
    assert others == [200] * 9 + [429] * 3
    assert ask(site.client, "2001:db8:2::1").status_code == ask(site.client, "192.0.2.9").status_code == 200


def test_the_budgets_of_strangers_count_by_48_as_well(make_public, upstream):
    upstream.otherwise = lambda sent: httpx2.Response(200, json=completion(usage=USED))
    site = make_public(anonymous_budget_usd=100, user_budget_usd=0.002)

    spent = [ask(site.client, f"2001:db8:1:{number:x}::1").status_code for number in range(20)].count(200) * 600

    assert 4_000 < spent <= 4 * 2_000
    assert ask(site.client, "2001:db8:2::1").status_code == 200


# Streams.


def hold_streams(site, upstream, clients, **options):
    """Begin a stream for each, and leave it open; their statuses."""
    answers = []
    for headers in clients:
        upstream.streams(*stream_of("a"))
        answers.append(site.client.post("/api/chat/stream", json=CHAT, headers=headers))
    return [(answer.status_code, (answer.json or {}).get("code")) for answer in answers]


FULL, SERVER_FULL, BEGUN = (429, "concurrency_limit"), (503, "concurrency_limit"), (200, None)


def of_strangers(site, number):
    return {"X-Forwarded-For": "192.0.2.1"}


def of_a_64(site, number):
    return {"X-Forwarded-For": f"2001:db8:1:1:{number:x}::1"}


def of_a_48(site, number):
    return {"X-Forwarded-For": f"2001:db8:1:{number:x}::1"}


def of_a_token(site, number):
    return bearer(site.token()) | {"X-Forwarded-For": f"192.0.2.{number}"}


def of_users_at_an_address(site, number):
    return bearer(site.token(userId=f"user{number}")) | {"X-Forwarded-For": "192.0.2.1"}


def of_a_key(site, number):
    return bearer(site.key) | {"X-Forwarded-For": f"192.0.2.{number}"}


@each_row(
    "whose",
    [of_strangers, of_a_64, of_a_48, of_a_token, of_users_at_an_address, of_a_key],
    ids=["strangers", "a /64", "a /48", "a token", "users at an address", "a key"],
)
def test_nobody_holds_more_than_a_quarter_of_all_streams(make_public, upstream, whose):
    site = make_public(anonymous_budget_usd=100, max_concurrent_streams=10)

    statuses = hold_streams(site, upstream, [whose(site, number) for number in range(5)])

    assert statuses == [BEGUN] * 3 + [FULL] * 2
    assert hold_streams(site, upstream, [{"X-Forwarded-For": "198.51.100.7"}]) == [BEGUN]


def test_a_sites_server_may_hold_all_for_its_users(make_public, upstream):
    site = make_public(max_concurrent_streams=4)
    users = [bearer(site.key) | {"X-User-Id": f"user{number}"} for number in range(5)]

    assert hold_streams(site, upstream, users) == [BEGUN] * 4 + [SERVER_FULL]


@each_row(
    "settings",
    [
        {"max_stream_share": 1, "max_concurrent_streams": 4},
        {"address_concurrent_streams": 4, "max_concurrent_streams": 4},
        {"max_stream_share": 0.5, "max_concurrent_streams": 8},
    ],
)
def test_the_share_can_be_set_and_switched_off(make_public, upstream, settings):
    site = make_public(anonymous_budget_usd=100, **settings)

    statuses = hold_streams(site, upstream, [of_strangers(site, number) for number in range(5)])

    assert statuses[:4] == [BEGUN] * 4
    assert statuses[4][1] == "concurrency_limit"


def test_a_single_stream_is_nobodys_share(make_public, upstream):
    site = make_public(anonymous_budget_usd=100, max_concurrent_streams=1)

    assert hold_streams(site, upstream, [of_strangers(site, number) for number in range(2)]) == [
        BEGUN,
        SERVER_FULL,
    ]
    assert isinstance(site.app.extensions["gatehouse"].shared_state, MemoryState)
