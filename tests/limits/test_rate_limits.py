from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import httpx2
import pytest

from app.config import Config, ConfigError
from app.limits.rate_limiter import Rate, RateLimited, RateLimiter
from app.limits.token_rate_limit import TokenRateLimit
from app.storage.shared_state import MemoryState
from tests.fakes.upstreams.openai_answers import completion, stream_of

CHAT = {"messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
def now(monkeypatch):
    """The time, which stands still until it is moved."""

    class Now:
        s = 1_800_000_000.0  # the start of a minute

    monkeypatch.setattr("app.runtime.clock.now", lambda: Now.s)
    return Now


@pytest.fixture
def together():
    """Runs calls in threads of their own."""
    with ThreadPoolExecutor(4) as threads:
        yield threads.submit


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


class TestTokens:
    """Of each call its bound is counted first, and what it has used remains: 7 for each of these chats."""

    LIMITS: ClassVar = {"max_tokens": 1_000, "retry_max_attempts": 1, "chat_fallback_models": ()}
    USED: ClassVar = completion(usage={"prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7})

    @pytest.fixture
    def client(self, make_app, upstream, now):
        upstream.otherwise = lambda sent: httpx2.Response(200, json=self.USED)
        return make_app(token_rate_limit="1500/minute", **self.LIMITS).test_client()

    def left(self, client, path="/api/chat"):
        answer = client.post(path, json=CHAT)
        assert answer.status_code == 200, answer.json
        answer.get_data()
        return int(client.post("/api/chat", json=CHAT).headers["RateLimit-Remaining"])

    def bound(self, client):
        """The most that a chat may use."""
        return 1500 - int(client.post("/api/chat", json=CHAT).headers["RateLimit-Remaining"])

    def test_a_call_counts_for_what_it_used_when_it_has_ended(self, client):
        bound = self.bound(client)

        assert 1_000 < bound < 1_500
        assert self.left(client) == 1500 - 7 - 7 - bound

    def test_a_stream_does_as_well(self, client, upstream):
        bound = self.bound(client)
        upstream.streams(*stream_of("Hel", "lo", usage=self.USED["usage"]))

        assert self.left(client, "/api/chat/stream") == 1500 - 7 - 7 - bound

    @pytest.mark.parametrize("status", [400, 401])
    def test_one_that_nobody_billed_does_not(self, client, upstream, status):
        bound = self.bound(client)
        upstream.answers({"error": {"message": "no"}}, status=status)
        assert client.post("/api/chat", json=CHAT).status_code >= 400

        assert self.left(client) == 1500 - 7 - 7 - bound

    def test_one_that_another_limit_refuses_does_not(self, make_app, upstream, now):
        client = make_app(token_rate_limit="1500/minute", user_budget_tokens=5, **self.LIMITS).test_client()

        for _ in range(3):
            assert client.post("/api/chat", json=CHAT).json["code"] == "budget_exceeded"

        assert upstream.sent == []

    def test_more_than_are_left_are_refused_before_anything_is_asked(self, client, upstream, together):
        begun, go = threading.Event(), threading.Event()

        def answer(sent):
            begun.set()
            assert go.wait(5)
            return httpx2.Response(200, json=self.USED)

        upstream.otherwise = answer
        running = together(client.application.test_client().post, "/api/chat", json=CHAT)
        assert begun.wait(5)
        refused = client.post("/api/chat", json=CHAT)
        go.set()

        assert (refused.status_code, refused.json["code"]) == (429, "rate_limited")
        assert refused.json["error"] == "Too many tokens in a short time."
        assert refused.headers["RateLimit-Limit"] == "1500"
        assert int(refused.headers["Retry-After"]) > 60
        assert running.result(5).status_code == 200
        assert client.post("/api/chat", json=CHAT).status_code == 200

    def test_a_request_that_never_fits_is_told_so(self, client, upstream):
        answer = client.post("/api/chat", json={"message": "x" * 600})

        assert (answer.status_code, answer.json["code"]) == (429, "rate_limited")
        assert answer.json["error"] == "This request may use more tokens than the rate limit allows."
        assert upstream.sent == []

    @pytest.mark.parametrize("whose", ["tenant_", "address_"])
    def test_of_a_tenant_and_an_address_count_as_well(self, make_app, upstream, now, whose):
        limits = {f"{whose}token_rate_limit": "1500/minute"}
        client = make_app(**limits, **self.LIMITS).test_client()

        assert client.post("/api/chat", json={"message": "x" * 600}).status_code == 429
        assert client.post("/api/chat", json=CHAT).headers["RateLimit-Limit"] == "1500"

    def test_what_is_scarcer_is_told(self, make_app, upstream, now):
        client = make_app(rate_limit="1000/minute", token_rate_limit="1500/minute", **self.LIMITS).test_client()

        assert client.post("/api/chat", json=CHAT).headers["RateLimit-Limit"] == "1500"

    @pytest.mark.parametrize("used", [0, 20, 80, 100, 130])
    def test_what_is_taken_back_is_taken_from_the_windows_it_was_counted_in(self, now, used):
        limiter, rate = RateLimiter(MemoryState()), Rate(150, 60)
        tokens = TokenRateLimit(limiter, {"user:a": rate})
        tokens.reserve(80)
        now.s += 60
        tokens.reserve(50)
        tokens.release_unused(used)
        of_the_first, of_the_second = min(used, 80), max(0, used - 80)

        assert limiter.admit({"tokens:user:a": rate}, 0).remaining == 150 - of_the_first - of_the_second
        now.s += 30  # half of the first window has passed
        assert limiter.admit({"tokens:user:a": rate}, 0).remaining == 150 - of_the_first / 2 - of_the_second

    def test_a_limit_below_the_longest_answer_is_refused_at_the_start(self):
        with pytest.raises(ConfigError, match="TOKEN_RATE_LIMIT is less than MAX_TOKENS"):
            Config(token_rate_limit="8000/minute", max_tokens=8192)


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
