"""A rate that is changed while it is counted, over each store that processes share."""

from __future__ import annotations

import pytest

from app.limits.rate_limiter import Rate, RateLimited, RateLimiter


def test_a_changed_rate_holds_for_what_other_processes_have_counted(store, monkeypatch):
    monkeypatch.setattr("app.limits.rate_limiter.time.time", lambda: 1_800_000_000.0)
    one, other = RateLimiter(store.open()), RateLimiter(store.open())
    for _ in range(6):
        one.admit({"user:a": Rate(10, 60)})

    with pytest.raises(RateLimited):
        other.admit({"user:a": Rate(5, 60)})
    assert other.look({"user:a": Rate(7, 60)})["user:a"].remaining == 1
    assert other.admit({"user:a": Rate(7, 60)}).remaining == 0
    with pytest.raises(RateLimited) as blocked:
        one.admit({"user:a": Rate(0, 60)})
    assert (blocked.value.retry_after_s, blocked.value.quota.remaining) == (None, 0)
    one.admit({"user:a": Rate(10, 60)})
