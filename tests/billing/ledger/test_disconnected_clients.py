"""Clients that disconnect, and attempts that break off, with an upstream that bills everything it writes."""

from __future__ import annotations

import json
import select
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from http.server import ThreadingHTTPServer
from itertools import product
from typing import Any

import pytest
from _pytest.mark.structures import ParameterSet

from app import create_app
from app.config import Config
from app.openai_service.resilience.drain import DrainPool
from app.storage.shared_state import MemoryState
from app.upstream_http.client import UpstreamClient
from tests.fakes.servers import wait_until
from tests.fakes.tables import crossed
from tests.fakes.upstreams.costly_upstream import INPUT, OUTPUT, PRICES
from tests.fakes.upstreams.openai_answers import chunk, completion, sse
from tests.fakes.upstreams.upstream_handler import UpstreamHandler
from tests.fakes.wire.bodies import IMAGE_URL, SCHEMA, USER
from tests.web.streaming.test_leaving import Person

# How many streams are read on at once: as many as are left, or fewer.
READ_ON, BEYOND = 32, 4
POLICIES = ("cancel", "drain")
# When they are left: before anything came, or once this has come.
THINKING, WRITING = None, b'"token"'
BUDGET = 160_000
CEILING = 1_500
REASONING, TEXT = 800, 400
TOKENS_A_CHUNK = 20


def in_part(cases: Iterable[tuple[Any, ...]], *, by_default: set[tuple[Any, ...]]) -> list[ParameterSet]:
    """Return the cases as parameters, of which those not in `by_default` are left to `make thorough`."""
    return [pytest.param(*case, marks=() if case in by_default else pytest.mark.thorough) for case in cases]


class BillingUpstream(ThreadingHTTPServer):
    """Thinks at 1,000 tokens a second, then writes 20 tokens a chunk; its bill is kept whatever becomes of an answer."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bills: list[list[int]] = []
        self.breaks_after: int | None = None
        """An answer breaks off after so many tokens, those of its reasoning included."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    @property
    def billed(self) -> int:
        """In micro-dollars."""
        return sum(INPUT * prompt + OUTPUT * written for prompt, written in self.bills)

    def handle_error(self, *_: Any) -> None:
        """Stay silent: its readers leave."""


class _Handler(UpstreamHandler):
    server: BillingUpstream

    def answer(self, body: dict[str, Any]) -> None:
        self.bill = [len(str(body["messages"][-1]["content"]).split()) + 7, 0]
        self.server.bills.append(self.bill)
        is_streamed = bool(body.get("stream"))
        with suppress(OSError):
            self._answer(is_streamed)

    def _answer(self, is_streamed: bool) -> None:
        if is_streamed:
            self.begin("text/event-stream", "Transfer-Encoding", "chunked")
        for _ in range(REASONING // 50):
            time.sleep(0.05)
            if not self._write(50, is_streamed):
                return
        for _ in range(TEXT // TOKENS_A_CHUNK):
            if is_streamed:
                self.write_chunk(sse(chunk({"content": " word" * TOKENS_A_CHUNK})))
                time.sleep(0.01)
            if not self._write(TOKENS_A_CHUNK, is_streamed):
                return
        prompt, written = self.bill
        usage = {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}
        if is_streamed:
            self.write_chunk(
                sse(chunk(finish_reason="stop"), {**chunk(), "choices": [], "usage": usage}, "[DONE]")
            )
            self.write_chunk(b"")
            return
        answer = json.dumps(completion(" word" * TEXT, usage=usage)).encode()
        self.begin("application/json", "Content-Length", str(len(answer)))
        self.wfile.write(answer)

    def _write(self, tokens: int, is_streamed: bool) -> bool:
        """Bill some tokens. Return False if the answer ends here: only a stream ends for who leaves."""
        self.bill[1] += tokens
        breaks_after = self.server.breaks_after
        is_broken = breaks_after is not None and self.bill[1] >= breaks_after
        has_left = is_streamed and select.select([self.connection], [], [], 0)[0]
        self.close_connection = self.close_connection or is_broken
        return not (is_broken or has_left)


class Storm:
    """One user with a budget, who asks until it is spent."""

    def __init__(self, app: Any, upstream: BillingUpstream) -> None:
        self._app, self._upstream = app, upstream
        self._database = app.extensions["gatehouse"].database

    def ask(
        self, person: Person, route: str, *, until: bytes | None = None, body: dict[str, Any] | None = None
    ) -> None:
        with (
            self._app.test_client().post(
                route,
                json=body or {"message": "Hello"},
                environ_overrides={"gunicorn.socket": person.near},
                buffered=False,
            ) as answered,
            suppress(ConnectionError, StopIteration),
        ):
            if until is None:
                answered.get_data()
            while until is not None and until not in next(answered.response):
                pass

    def leave_all(
        self,
        route: str,
        after_s: float,
        *,
        until: bytes | None = None,
        times: int = 12,
        body: dict[str, Any] | None = None,
    ) -> None:
        with ExitStack() as stack:
            people = [stack.enter_context(closing(Person())) for _ in range(times)]
            asking = [
                threading.Thread(target=self.ask, args=(person, route), kwargs={"until": until, "body": body})
                for person in people
            ]
            for thread in asking:
                thread.start()
            if until is None:
                time.sleep(after_s)  # the upstream bills by the time that it has
                for person in people:
                    person.leaves()
            for thread in asking:
                thread.join()

    def charged(self) -> int:
        """What is spent and held, once nothing runs any more."""
        wait_until(lambda: not self._read("held_micro_usd"), "all is settled", 10)
        return self._read("spent_micro_usd")

    def _read(self, column: str) -> int:
        with self._database.read_transaction() as connection:
            return int(connection.fetch_value(f"SELECT coalesce(sum({column}), 0) FROM accounts"))


@pytest.fixture
def upstream() -> Iterator[BillingUpstream]:
    with BillingUpstream() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def storm(upstream: BillingUpstream, tmp_path: Any) -> Iterator[Any]:
    prices = tmp_path / "prices.toml"
    prices.write_text(PRICES, encoding="utf-8")
    with ExitStack() as stack:

        def make(**settings: Any) -> Storm:
            config = Config(
                openai_api_key="sk-test",
                openai_base_url=upstream.url,
                chat_fallback_models=(),
                database_url=f"sqlite:///{tmp_path}/ledger.sqlite3",
                prices_file=str(prices),
                max_tokens=CEILING,
                user_budget_usd=BUDGET / 1e6,
                heartbeat_s=0.05,
                breaker_failures=1000,
                **settings,
            )
            client = stack.enter_context(closing(UpstreamClient(upstream.url, connect_timeout_s=1)))
            app = create_app(config, http_client=client, shared_state=MemoryState())
            stack.callback(app.extensions["gatehouse"].close)
            return Storm(app, upstream)

        yield make


@pytest.mark.parametrize(
    ("policy", "places"),
    in_part(product(POLICIES, (READ_ON, BEYOND)), by_default={("drain", READ_ON), ("cancel", BEYOND)}),
)
def test_answers_in_one_piece_are_charged_whoever_waits(storm, upstream, monkeypatch, policy, places):
    monkeypatch.setattr(DrainPool, "MAX_CONCURRENT", places)
    storm = storm(disconnect_policy=policy)

    storm.leave_all("/api/chat", 0.2)

    charged = storm.charged()
    wait_until(lambda: all(written == REASONING + TEXT for _, written in upstream.bills), "all is billed", 10)
    assert upstream.billed <= charged <= (1.0 if places == READ_ON else 1.4) * upstream.billed


@pytest.mark.parametrize(
    ("policy", "places", "until"),
    in_part(
        product(POLICIES, (READ_ON, BEYOND), (THINKING, WRITING)),
        by_default={
            ("cancel", READ_ON, THINKING),
            ("drain", READ_ON, WRITING),
            ("drain", BEYOND, THINKING),
        },
    ),
)
def test_streams_that_are_left_are_charged_what_was_written(storm, upstream, monkeypatch, policy, places, until):
    monkeypatch.setattr(DrainPool, "MAX_CONCURRENT", places)
    storm = storm(disconnect_policy=policy)

    storm.leave_all("/api/chat/stream", 0.3, until=until)

    charged = storm.charged()
    assert upstream.billed <= charged <= BUDGET


# What else streams.
STREAMED: dict[str, dict[str, Any]] = {
    "/api/chat/openai": {"chatSettings": {}, "messages": [USER]},
    "/api/chat": {
        "id": "c1",
        "messages": [{"id": "1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}],
    },
    "/api/chat/stream": {"message": "Hi", "resumable": True},
    "/api/completion": {"prompt": "Hi"},
    "/api/agui": {"threadId": "t", "runId": "r", "messages": [{"id": "1", **USER}]},
    "/api/vision/stream": {"prompt": "Hi", "imageUrl": IMAGE_URL},
    "/api/structured/stream": {"prompt": "Hi", "schema": SCHEMA},
    "/v1/chat/completions": {"messages": [USER], "stream": True},
    "/v1/responses": {"input": "Hi", "stream": True},
}


@pytest.mark.parametrize(
    ("route", "until"),
    in_part(
        product(STREAMED, (None, b"word")),
        # Those that have code of their own: what can be resumed, what is checked, and OpenAI's forms.
        by_default={
            ("/api/chat/stream", None),
            ("/api/structured/stream", b"word"),
            ("/v1/chat/completions", b"word"),
            ("/v1/responses", None),
        },
    ),
)
def test_streams_of_every_form_that_are_left_are_charged_what_was_written(storm, upstream, route, until):
    storm = storm(resume_linger_s=0.1)

    storm.leave_all(route, 0.3, until=until, times=3, body=STREAMED[route])

    charged = storm.charged()
    assert len(upstream.bills) >= 3  # what is no JSON is asked for again
    assert upstream.billed <= charged <= BUDGET


@pytest.mark.parametrize(
    ("route", "breaks_after"), crossed(["/api/chat", "/api/chat/stream"], [100, REASONING + 100])
)
def test_attempts_that_break_are_charged_each(storm, upstream, route, breaks_after):
    storm = storm(retry_max_attempts=2)
    upstream.breaks_after = breaks_after

    storm.leave_all(route, 0.0, until=b"an end that never comes", times=4)

    assert len(upstream.bills) >= 4
    assert upstream.billed <= storm.charged() <= BUDGET
