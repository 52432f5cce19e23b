"""Each route that may be billed counts in every limit. The routes are those of the URL map, so that a new one is among them."""

from __future__ import annotations

import pytest

from app.web.guards import find_guard
from tests.fakes.site import bearer
from tests.fakes.tables import each_row, in_part
from tests.fakes.wire.bodies import EVERY_SMALLEST, SCHEMA, USER, scope_of

BILLED = {"chat", "vision", "embeddings", "structured"}
# Those that call no model, and batches, which nobody may send without a credential.
FREE = {"/api/chat/stream/<stream_id>/stop", "/console/image"}
BATCHES = {"/api/batches", "/api/batches/<batch_id>/cancel"}
BODIES = {
    **EVERY_SMALLEST,
    "/api/structured": {"prompt": "Hi", "schema": SCHEMA},
    "/api/structured/stream": {"prompt": "Hi", "schema": SCHEMA},
    "/api/completion": {"prompt": "Hi"},
    "/api/agui": {"threadId": "t", "runId": "r", "messages": [{"id": "1", **USER}]},
    "/embed/ask": None,
}
UI_BODY = {"id": "c", "messages": [{"id": "1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}]}


def posted_routes(app):
    guards = {rule.rule: find_guard(app.view_functions[rule.endpoint]) for rule in app.url_map.iter_rules()}
    posts = {rule.rule for rule in app.url_map.iter_rules() if "POST" in rule.methods}
    return {name for name in posts if (guard := guards[name]) and not BILLED.isdisjoint(guard.scopes)}


def send(client, route, *, from_address="127.0.0.1"):
    where = {"REMOTE_ADDR": from_address}
    if route == "/embed/ask":
        return client.post(route, data={"message": "Hi"}, environ_overrides=where)
    path = route.replace("<stream_id>", "x").replace("<batch_id>", "x")
    return client.post(path, json=BODIES.get(route, {}), environ_overrides=where)


def test_the_routes_that_are_known_here_are_all_there_are(app):
    assert posted_routes(app) - FREE - BATCHES == BODIES.keys()


@pytest.fixture
def limited(make_app):
    """An application of which each limit lets one request an hour through, by the limit's name."""
    return {name: make_app(**{name: "1/hour"}) for name in ("rate_limit", "address_rate_limit")}


@each_row(("number", "route"), enumerate(sorted(BODIES.keys() | FREE)))
@each_row("limit", ["rate_limit", "address_rate_limit"])
def test_one_too_many_is_refused(limited, upstream, number, route, limit):
    client, address = limited[limit].test_client(), f"10.0.0.{number}"
    send(client, route, from_address=address).get_data()
    sent = len(upstream.sent)

    assert send(client, route, from_address=address).status_code == 429
    assert len(upstream.sent) == sent


@pytest.mark.parametrize(
    "route",
    in_part(
        {route: route for route in sorted(BODIES.keys() | FREE)},
        by_default={"/api/chat", "/api/structured/stream", "/v1/embeddings", "/embed/ask", "/console/image"},
    ),
)
def test_one_too_many_of_a_tenant_is_refused(make_app, upstream, route):
    client = make_app(tenant_rate_limit="1/hour").test_client()
    send(client, route).get_data()
    sent = len(upstream.sent)

    assert send(client, route).status_code == 429
    assert len(upstream.sent) == sent


@pytest.fixture
def allowing(make_app):
    """An application that allows strangers these scopes, by the scopes."""
    return {scopes: make_app(anonymous_scopes=scopes) for scopes in ((), ("usage",), ("chat",), ("embeddings",))}


@each_row("route", sorted(BODIES.keys() | FREE | BATCHES))
@each_row("scopes", [(), ("usage",), ("chat",), ("embeddings",)])
def test_strangers_may_do_only_what_the_owner_allows(allowing, upstream, route, scopes):
    client = allowing[scopes].test_client()
    is_allowed = route != "/console/image" and scope_of(route) in scopes
    sent = len(upstream.sent)

    answer = send(client, route)
    answer.get_data()

    if route in BATCHES or not is_allowed:
        assert answer.status_code == 401
        assert len(upstream.sent) == sent
    else:
        assert answer.status_code != 401


@pytest.fixture
def too_dear(make_app):
    """An application whose budget is less than any request may cost, by the budget's name."""
    return {name: make_app(**{name: 0.000001}) for name in ("anonymous_budget_usd", "user_budget_usd")}


@each_row("budget", ["anonymous_budget_usd", "user_budget_usd"])
@each_row("route", [*sorted(BODIES), "UI"])
def test_without_a_budget_nothing_is_sent(too_dear, upstream, route, budget):
    client = too_dear[budget].test_client()

    answer = client.post("/api/chat", json=UI_BODY) if route == "UI" else send(client, route)

    assert "budget" in answer.text
    assert answer.status_code == 429
    assert not upstream.sent


@pytest.mark.parametrize("limit", ["rate_limit", "address_rate_limit"])
def test_a_visitor_who_loads_a_page_again_and_again_takes_no_tokens_from_others(make_site, upstream, limit):
    site = make_site(**{limit: "1/hour"})
    tokens = [site.token(userId=user) for user in ("anna", "anna", "bob")]

    assert site.chat(tokens[0]).status_code == 200
    assert site.chat(tokens[1]).status_code == 429
    assert site.client.delete("/api/tokens?userId=anna", headers=bearer(site.key)).status_code == 204


def test_the_tokens_of_a_tenant_can_be_limited(make_site):
    site = make_site(tenant_rate_limit="1/hour")
    assert site.token_answer().headers["RateLimit-Remaining"] == "0"

    assert site.token_answer().status_code == 429
