"""A rate that is changed while it is counted, over each store that processes share."""

from __future__ import annotations

import pytest

from app.limits.rate_limiter import Rate, RateLimited, RateLimiter


def test_a_changed_rate_holds_for_what_other_processes_have_counted(store, monkeypatch):
    monkeypatch.setattr("app.runtime.clock.now", lambda: 1_800_000_000.0)
    one, other = RateLimiter(store.open()), RateLimiter(store.open())
    for _ in range(6):
        one.admit({"user:a": Rate(10, 60)})

    with pytest.raises(RateLimited):
        other.admit({"user:a": Rate(5, 60)})
    assert other.read_quotas({"user:a": Rate(7, 60)})["user:a"].remaining == 1
    assert other.admit({"user:a": Rate(7, 60)}).remaining == 0
    with pytest.raises(RateLimited) as blocked:
        one.admit({"user:a": Rate(0, 60)})
    assert (blocked.value.retry_after_s, blocked.value.quota.remaining) == (None, 0)
    one.admit({"user:a": Rate(10, 60)})


def test_all_accounts_of_a_request_are_counted_in_one_round_trip(store, monkeypatch):
    monkeypatch.setattr("app.runtime.clock.now", lambda: 1_800_000_000.0)
    state, asked = store.open(), []
    limiter = RateLimiter(state)
    rates = {"user:a": Rate(9, 60), "tenant:t": Rate(5, 3600), "address:1": Rate(7, 86_400)}
    for _ in range(3):
        assert limiter.admit(rates).limit == 5
    for name in ("read", "read_many", "compare_and_swap", "swap_many"):
        call = getattr(state._store, name)
        monkeypatch.setattr(
            state._store, name, lambda *each, name=name, call=call: asked.append(name) or call(*each)
        )

    assert limiter.admit(rates, 2).remaining == 0
    limiter.release(rates, 1, taken_at=1_800_000_000.0)
    assert asked == ["swap_many", "swap_many"]
    asked.clear()
    with pytest.raises(RateLimited) as refusal:
        limiter.admit(rates, 2)
    assert asked == ["read_many"]
    assert (refusal.value.quota.limit, refusal.value.quota.remaining) == (5, 1)
    assert {key: quota.remaining for key, quota in limiter.read_quotas(rates).items()} == {
        "user:a": 5,
        "tenant:t": 1,
        "address:1": 3,
    }
