from __future__ import annotations

from app.auth import Principal
from app.billing.ledger.records import Limit
from app.config import Config
from app.limits.account_names import parse_account_kind
from app.limits.accounts import read_limits
from app.limits.rate_limiter import Rate

ADA = Principal(kind="visitor", tenant="acme", user="ada", scopes=frozenset(), token_id="t1")
ADDRESS = "192.0.2.1"


def limits_of(**settings):
    return read_limits(Config(**settings))


def test_a_request_counts_for_its_user_its_tenant_and_its_address():
    limits = limits_of(rate_limit="1/second", tenant_rate_limit="2/minute", address_rate_limit="3/hour")

    assert limits.request_rates(ADA, ADDRESS) == {
        "user:acme/ada": Rate(1, 1),
        "tenant:acme": Rate(2, 60),
        "address:192.0.2.1": Rate(3, 3600),
    }


def test_what_a_site_sends_for_all_of_its_visitors_counts_for_none_of_them():
    limits = limits_of(rate_limit="1/second", tenant_rate_limit="2/minute", address_rate_limit="3/hour")

    assert limits.request_rates_of_server(ADA, ADDRESS) == {"tenant:acme": Rate(2, 60)}


def test_each_kind_of_limit_names_the_same_accounts():
    kinds = ("user", "tenant", "address")
    rates = {f"{kind}_".replace("user_", "") + "rate_limit": "9/minute" for kind in kinds}
    tokens = {f"{kind}_".replace("user_", "") + "token_rate_limit": "9000/minute" for kind in kinds}
    streams = {f"{kind}_concurrent_streams": 9 for kind in kinds}
    limits = limits_of(**rates, **tokens, **streams, user_budget_tokens=9, tenant_budget_tokens=9)

    accounts = set(limits.request_rates(ADA, ADDRESS))
    assert len(accounts) == 3
    assert set(limits.token_rates(ADA, ADDRESS)) == set(limits.concurrent_streams(ADA, ADDRESS)) == accounts
    assert {limit.key for limit in limits.spending(ADA, ADDRESS)} < accounts


def test_a_kind_without_a_limit_names_no_account():
    limits = limits_of(tenant_concurrent_streams=4, max_stream_share=1)

    assert limits.concurrent_streams(ADA, ADDRESS) == {"tenant:acme": 4}
    assert limits.request_rates(ADA, ADDRESS) == limits.token_rates(ADA, ADDRESS) == {}
    assert limits.spending(ADA, ADDRESS) == []


def test_money_is_counted_in_micro_dollars_and_what_is_not_set_is_unlimited():
    limits = limits_of(user_budget_usd=0.000004, tenant_budget_tokens=70, budget_window="day")

    assert limits.spending(ADA, ADDRESS) == [
        Limit("user:acme/ada", "day", micro_usd=4, tokens=None),
        Limit("tenant:acme", "day", micro_usd=None, tokens=70),
    ]


def test_a_visitor_token_may_have_a_budget_of_its_own_each_month():
    principal = Principal(
        kind="visitor",
        tenant="acme",
        user="ada",
        scopes=frozenset(),
        token_id="t1",
        budget_micro_usd=0,
    )

    assert limits_of(budget_window="day").spending(principal, ADDRESS) == [Limit("token:t1", "month", micro_usd=0)]


def test_the_kind_of_an_account_is_in_its_name():
    assert parse_account_kind("user:acme/a:b") == "user"
