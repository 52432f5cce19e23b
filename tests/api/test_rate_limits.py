from __future__ import annotations

import threading

import pytest

from app.rate_limits import Rate, RateLimited, RateLimiter
from app.shared_state import MemoryState
from tests.fakes.openai_answers import stream_of

CHAT = {"messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
def now(monkeypatch):
    """The time, which stands still until it is moved."""

    class Now:
        s = 1_800_000_000.0  # the start of a minute

    monkeypatch.setattr("app.rate_limits.time.time", lambda: Now.s)
    return Now


class TestTheWindow:
    @pytest.fixture
    def limiter(self, now):
        return RateLimiter(MemoryState())

    def admitted(self, limiter, times, key="user:a"):
        count = 0
        for _ in range(times):
            try:
                limiter.admit({key: Rate(10, 60)})
            except RateLimited:
                continue
            count += 1
        return count

    def test_lets_in_exactly_the_limit(self, limiter):
        assert self.admitted(limiter, 25) == 10

    def test_forgets_the_one_before_as_it_slides(self, limiter, now):
        self.admitted(limiter, 10)

        now.s += 60 + 30

        assert self.admitted(limiter, 25) == 5

    def test_is_empty_two_windows_later(self, limiter, now):
        self.admitted(limiter, 10)

        now.s += 120

        assert self.admitted(limiter, 25) == 10

    @pytest.mark.parametrize("into_s", [0, 10, 59, 60, 75, 90, 119])
    def test_says_how_long_to_wait_and_not_much_longer(self, limiter, now, into_s):
        self.admitted(limiter, 10)
        now.s += into_s
        self.admitted(limiter, 10)
        with pytest.raises(RateLimited) as refusal:
            limiter.admit({"user:a": Rate(10, 60)})

        now.s += refusal.value.retry_after_s - 0.5
        assert self.admitted(limiter, 1) == 0
        now.s += 0.51
        assert self.admitted(limiter, 1) == 1

    def test_of_one_account_is_not_that_of_another(self, limiter):
        self.admitted(limiter, 10)

        assert self.admitted(limiter, 10, key="user:b") == 10

    def test_charges_nobody_for_what_one_account_refuses(self, limiter):
        self.admitted(limiter, 10, key="tenant:t")
        for _ in range(5):
            with pytest.raises(RateLimited):
                limiter.admit({"user:a": Rate(10, 60), "tenant:t": Rate(10, 60)})

        assert self.admitted(limiter, 25) == 10

    def test_is_exact_for_many_at_once(self, limiter):
        counts = []
        threads = [threading.Thread(target=lambda: counts.append(self.admitted(limiter, 5))) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sum(counts) == 10

    def test_starts_anew_where_the_store_holds_something_else(self, now):
        state = MemoryState()
        state.update("rate:user:a", lambda _: b"of another version", ttl_s=60)

        assert self.admitted(RateLimiter(state), 25) == 10


@pytest.mark.usefixtures("now")
class TestARequest:
    def test_is_told_what_is_left(self, make_app):
        answer = make_app(rate_limit="3/minute").test_client().post("/api/chat", json=CHAT)

        told = [answer.headers[f"RateLimit-{name}"] for name in ("Limit", "Remaining", "Reset")]
        assert (answer.status_code, told) == (200, ["3", "2", "60"])

    def test_that_is_one_too_many_costs_nothing(self, make_app, upstream, records):
        client = make_app(rate_limit="2/minute").test_client()
        answers = [client.post("/api/chat", json=CHAT) for _ in range(4)]

        assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
        last = answers[-1]
        assert last.json["code"] == "rate_limited"
        assert last.headers["RateLimit-Remaining"] == "0"
        assert 60 <= int(last.headers["Retry-After"]) <= 120
        assert (len(upstream.sent), len(records)) == (2, 2)

    def test_counts_for_its_address(self, make_app):
        client = make_app(address_rate_limit="2/minute", trusted_proxies=1).test_client()

        def status_from(address):
            return client.post("/api/chat", json=CHAT, headers={"X-Forwarded-For": address}).status_code

        assert [status_from("192.0.2.1") for _ in range(3)] == [200, 200, 429]
        assert status_from("192.0.2.2") == 200

    def test_counts_although_it_is_off(self, make_app):
        client = make_app(rate_limit="1/minute").test_client()

        assert client.post("/api/chat", json={}).status_code == 400
        assert client.post("/api/chat", json=CHAT).status_code == 429

    def test_of_a_preflight_or_for_the_health_is_free(self, make_app):
        client = make_app(rate_limit="1/minute").test_client()
        for _ in range(3):
            assert client.get("/healthz").status_code == 200
            assert client.options("/api/chat").status_code < 300

        assert client.post("/api/chat", json=CHAT).status_code == 200


class TestStreamsAtOnce:
    @pytest.mark.parametrize("whose", ["user", "tenant", "address"])
    def test_are_so_many_for_each(self, make_app, upstream, whose):
        client = make_app(**{f"{whose}_concurrent_streams": 1}).test_client()
        for _ in range(2):
            upstream.streams(*stream_of("a"))
        first = client.post("/api/chat/stream", json=CHAT)

        refused = client.post("/api/chat/stream", json=CHAT)

        assert (refused.status_code, refused.json["code"]) == (429, "concurrency_limit")
        assert (refused.headers["Retry-After"], len(upstream.sent)) == ("1", 1)
        first.close()
        assert client.post("/api/chat/stream", json=CHAT).status_code == 200

    def test_that_are_refused_take_nothing_of_another_account(self, make_app, upstream):
        client = make_app(user_concurrent_streams=5, address_concurrent_streams=1).test_client()
        for _ in range(2):
            upstream.streams(*stream_of("a"))
        first = client.post("/api/chat/stream", json=CHAT)
        for _ in range(9):
            assert client.post("/api/chat/stream", json=CHAT).status_code == 429
        first.close()

        assert client.post("/api/chat/stream", json=CHAT).status_code == 200
