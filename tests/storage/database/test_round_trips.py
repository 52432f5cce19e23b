"""How often a call waits for PostgreSQL: each time is a millisecond, or more if it is in another zone."""

from __future__ import annotations

import pytest

from tests.fakes.site import SECRET_KEY
from tests.fakes.storage.counting_proxy import CountingProxy
from tests.fakes.tables import crossed
from tests.fakes.upstreams.openai_answers import completion, error, stream_of

MAX_ROUND_TRIPS = 5


@pytest.fixture
def proxy(postgres_server):
    with CountingProxy(postgres_server.directory) as proxy:
        yield proxy


@pytest.fixture
def app(make_app, store, database, proxy):
    """With everything that a call can ask the database for: keys, tokens, budgets, the outbox."""
    app = make_app(
        database_url=f"postgresql://gatehouse@127.0.0.1:{proxy.port}/{store.name}?sslmode=disable&gssencmode=disable",
        secret_key=SECRET_KEY,
        auth_required=True,
        user_budget_usd=100.0,
        tenant_budget_usd=1000.0,
        user_budget_tokens=10**9,
        usage_webhook_url="https://me.example/usage",
        usage_webhook_secret="whsec_" + "a" * 32,
    )
    yield app
    app.extensions["gatehouse"].database.close()


def _key(app):
    return (
        app.extensions["gatehouse"]
        .authenticator.keys.create(tenant="acme", name="shop", scopes=["chat", "admin"])
        .text
    )


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("is_streamed", "credential"), crossed({"plain": False, "streamed": True}, ["key", "key for a user", "token"])
)
def test_a_call_takes_few_round_trips(app, proxy, upstream, credential, is_streamed):
    client = app.test_client()
    headers = {"Authorization": f"Bearer {_key(app)}"}
    if credential == "key for a user":
        headers["X-User-Id"] = "ann"
    elif credential == "token":
        token = client.post(
            "/api/tokens", json={"userId": "ann", "ttlS": 600, "scopes": ["chat"]}, headers=headers
        ).get_json()["token"]
        headers = {"Authorization": f"Bearer {token}"}

    def call():
        if is_streamed:
            upstream.streams(*stream_of("Hel", "lo"))
            path = "/api/chat/stream"
        else:
            upstream.answers(completion("Hello"))
            path = "/api/chat"
        before = proxy.round_trips
        response = client.post(path, json={"message": "Hi"}, headers=headers)
        assert response.data
        assert response.status_code == 200
        return proxy.round_trips - before

    counts = [call() for _ in range(12)]

    # The first opens connections; each statement is prepared when it has been used a few times. What is read anew every
    # few seconds, such as the limits in the store, may come to one of the last ones on a busy machine.
    assert sorted(counts[-5:])[-2] <= MAX_ROUND_TRIPS - 2, counts


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_a_first_call_of_a_user_and_one_that_is_tried_again_take_few(app, proxy, upstream):
    """Their accounts are opened; the hold is increased."""
    client = app.test_client()
    key = {"Authorization": f"Bearer {_key(app)}"}
    counts = []
    for number in range(8):
        upstream.answers(error(), 500)
        upstream.answers(completion("Hello"))
        before = proxy.round_trips
        response = client.post("/api/chat", json={"message": "Hi"}, headers={**key, "X-User-Id": f"user-{number}"})
        assert (response.status_code, response.headers["X-Attempts"]) == (200, "2")
        counts.append(proxy.round_trips - before)

    assert max(counts[-2:]) <= MAX_ROUND_TRIPS, counts
