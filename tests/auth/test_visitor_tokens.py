from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest

from app.auth.errors import AuthUnavailable, Unauthenticated
from app.auth.principal import Principal
from app.auth.store import LazyStore
from app.auth.visitor_tokens import JWT_TYPE, Grant, VisitorTokens
from app.problems import Forbidden
from app.storage.database.database import open_database
from tests.fakes.identity_provider import NOW, by_hand

SECRET = "s" * 40
ORIGIN = "https://www.example.com"
SCOPES = frozenset({"chat", "usage"})


@pytest.fixture
def key(keys):
    new = keys.create(tenant="acme", name="shop", scopes=["chat", "vision", "usage", "admin"]).key
    return Principal(kind="key", tenant="acme", user=f"key:{new.id}", scopes=new.scopes, key_id=new.id)


@pytest.fixture
def tokens(store):
    return VisitorTokens(SECRET, store, max_ttl_s=3600)


def issue(tokens, key, **changes):
    return tokens.issue(Grant(**{"user": "anna", "ttl_s": 600, "scopes": SCOPES, **changes}), by=key)


def reason_of(tokens, text, origin=None):
    with pytest.raises(Unauthenticated) as caught:
        tokens.verify(text, origin=origin)
    return caught.value.reason


def claims_of(token):
    body = token.text.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def test_a_token_is_known_again_with_all_that_it_allows(tokens, key):
    token = issue(tokens, key, origin=ORIGIN, prompt="support", max_tokens=500, budget_micro_usd=20_000)

    principal = tokens.verify(token.text, origin=ORIGIN)

    assert principal == Principal(
        kind="visitor",
        tenant="acme",
        user="anna",
        scopes=SCOPES,
        token_id=token.id,
        key_id=key.key_id,
        budget_micro_usd=20_000,
        max_tokens=500,
        prompt="support",
    )
    assert token.expires_at == NOW + 600
    assert token.text not in repr(token)


def test_a_token_counts_until_its_last_second_and_not_beyond(tokens, key, clock):
    token = issue(tokens, key, ttl_s=10)

    clock.move(9)
    assert tokens.verify(token.text, origin=None)
    clock.move(1)
    assert reason_of(tokens, token.text) == "expired token"


@pytest.mark.parametrize(
    "origin", [None, "", "null", "https://www.example.com.", "https://evil.example", "http://www.example.com"]
)
def test_a_token_of_one_origin_counts_at_no_other_nor_without_one(tokens, key, origin):
    token = issue(tokens, key, origin=ORIGIN)

    with pytest.raises(Forbidden):
        tokens.verify(token.text, origin=origin)


@pytest.mark.parametrize(
    "scopes", [{"structured"}, {"chat", "embeddings"}, {"admin"}, {"chat", "admin"}, {"root"}]
)
def test_a_key_cannot_give_away_what_it_has_not_nor_what_no_visitor_may_have(tokens, key, scopes):
    with pytest.raises(Forbidden, match="scopes: this key cannot grant"):
        issue(tokens, key, scopes=frozenset(scopes))


def test_a_revoked_token_ends_at_once_and_others_of_the_user_do_not(tokens, key):
    one, other = issue(tokens, key), issue(tokens, key)

    tokens.revoke(one.id, tenant="acme")
    tokens.revoke(one.id, tenant="acme")

    assert reason_of(tokens, one.text) == "revoked token"
    assert tokens.verify(other.text, origin=None)


def test_all_of_a_users_tokens_end_at_once_and_later_ones_count(tokens, key, clock):
    before, of_another = issue(tokens, key), issue(tokens, key, user="bob")

    clock.move(5)
    same_second = issue(tokens, key)
    tokens.revoke_all("anna", tenant="acme")
    clock.move(1)
    after = issue(tokens, key)

    for token in (before, same_second):
        assert reason_of(tokens, token.text) == "revoked token"
    assert tokens.verify(after.text, origin=None)
    assert tokens.verify(of_another.text, origin=None)
    tokens.revoke_all("anna", tenant="acme")
    assert reason_of(tokens, after.text) == "revoked token"


def test_a_tenant_cannot_take_back_what_another_has_given(tokens, key):
    token = issue(tokens, key)

    tokens.revoke(token.id, tenant="other")
    tokens.revoke_all("anna", tenant="other")

    assert tokens.verify(token.text, origin=None)


def test_tokens_end_with_the_key_that_made_them_and_outlive_its_rotation(tokens, keys, key, clock):
    token = issue(tokens, key)

    keys.rotate(key.key_id, grace_s=0)
    assert tokens.verify(token.text, origin=None)
    keys.revoke(key.key_id)
    assert reason_of(tokens, token.text) == "revoked token"


def test_another_worker_sees_a_revocation_at_once(tokens, key, tmp_path):
    database = open_database(f"sqlite:///{tmp_path}/credentials.sqlite3", tmp_path)
    other = VisitorTokens(SECRET, LazyStore(database), max_ttl_s=3600)
    token = issue(tokens, key)
    assert other.verify(token.text, origin=None)

    tokens.revoke(token.id, tenant="acme")

    assert reason_of(other, token.text) == "revoked token"
    database.close()


def test_those_who_take_back_the_same_token_at_once_all_succeed(tokens, key):
    token = issue(tokens, key)

    with ThreadPoolExecutor(4) as people:
        list(people.map(lambda _: tokens.revoke(token.id, tenant="acme"), range(8)))

    assert reason_of(tokens, token.text) == "revoked token"


def test_what_would_be_expired_anyway_is_not_remembered_as_revoked(tokens, key, store, clock):
    token = issue(tokens, key)
    tokens.revoke(token.id, tenant="acme")
    tokens.revoke_all("anna", tenant="acme")
    clock.move(3631)  # the clocks of others may be 30 seconds behind
    assert reason_of(tokens, token.text) == "expired token"
    tokens.revoke("x" * 22, tenant="acme")

    with store.read_transaction() as connection:
        assert connection.execute("SELECT token_id FROM revoked_tokens").fetchall() == [("x" * 22,)]
        assert connection.execute("SELECT * FROM revoked_users").fetchall() == []


def test_lowering_the_longest_lifetime_ends_the_tokens_that_would_last_longer(tokens, key, store):
    token = issue(tokens, key, ttl_s=3600)

    assert reason_of(VisitorTokens(SECRET, store, max_ttl_s=60), token.text) == "unbounded token"


@pytest.mark.parametrize(
    "change", [{"aud": "other"}, {"iss": "other"}, {"exp": None}, {"sub": None}, {"exp": NOW + 10**9}]
)
def test_a_token_with_other_claims_is_refused_even_if_it_were_signed_right(tokens, key, change):
    good = claims_of(issue(tokens, key))
    changed = {name: value for name, value in {**good, **change}.items() if value is not None}

    reason_of(tokens, jwt.encode(changed, tokens._keys[0], algorithm="HS256", headers={"typ": JWT_TYPE}))
    assert tokens.verify(jwt.encode(good, tokens._keys[0], algorithm="HS256"), origin=None)


def test_nothing_else_that_is_signed_with_the_secret_key_passes_for_a_token(tokens, key):
    claims = claims_of(issue(tokens, key))

    for secret in (SECRET, SECRET + "x", ""):
        assert (
            reason_of(tokens, by_hand({"alg": "HS256", "typ": JWT_TYPE}, claims, secret=secret.encode()))
            == "bad token"
        )
    assert reason_of(tokens, by_hand({"alg": "none", "typ": JWT_TYPE}, claims)) == "bad token"
    assert reason_of(tokens, jwt.encode(claims, tokens._keys[0], algorithm="HS512")) == "bad token"


def test_no_token_gives_a_right_that_is_not_for_visitors_whatever_it_says(tokens, key):
    claims = {**claims_of(issue(tokens, key)), "scopes": ["chat", "admin"]}

    assert tokens.verify(jwt.encode(claims, tokens._keys[0], algorithm="HS256"), origin=None).scopes == {"chat"}


def test_a_changed_claim_breaks_the_signature(tokens, key):
    token = issue(tokens, key)
    head, _, signature = token.text.split(".")
    body = by_hand({}, {**claims_of(token), "sub": "bob"}).split(".")[1]

    assert reason_of(tokens, f"{head}.{body}.{signature}") == "bad token"


@pytest.mark.parametrize("secret", ["", "s" * 31])
def test_without_a_proper_secret_there_are_no_tokens(store, key, tokens, secret):
    none = VisitorTokens(secret, store, max_ttl_s=3600)

    with pytest.raises(AuthUnavailable, match="SECRET_KEY"):
        issue(none, key)
    assert reason_of(none, issue(tokens, key).text) == "bad token"


def test_a_token_made_after_all_were_taken_back_counts_in_the_same_second(tokens, key):
    made = []
    for _ in range(3):
        made.append(issue(tokens, key).text)
        assert tokens.verify(made[-1], origin=None)
        tokens.revoke_all("anna", tenant="acme")
        assert [reason_of(tokens, text) for text in made] == ["revoked token"] * len(made)

    assert tokens.verify(issue(tokens, key).text, origin=None)
