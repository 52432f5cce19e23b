"""Callers without a credential, from thousands of addresses and over real workers, stay within ANONYMOUS_BUDGET_USD."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import chain

import pytest

from tests.fakes.servers import exchange
from tests.fakes.storage.redis_server import redis_server
from tests.fakes.storage.stores import PostgresDatabase, postgres_server
from tests.several_workers.test_money_together import AFFORDABLE, BUDGET, COST, Site, starting

pytestmark = pytest.mark.servers

OPEN = {
    "APP_ENV": "production",
    "OPENAI_API_KEY": "sk-canary",
    "SECRET_KEY": "s" * 40,
    "ALLOWED_ORIGINS": "https://www.example.com",
    "TRUSTED_PROXIES": "1",
    "ADDRESS_RATE_LIMIT": "20/minute",
    "ANONYMOUS_BUDGET_USD": str(BUDGET / 1e6),
    "USER_BUDGET_USD": "",
}


@pytest.fixture(params=["on_file", "on_servers"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("strangers")
    with ExitStack() as stack:
        if request.param == "on_file":
            yield stack.enter_context(starting(directory, **OPEN))
        else:
            store = PostgresDatabase(stack.enter_context(postgres_server()))
            redis = stack.enter_context(redis_server(directory))
            more = {"REDIS_URL": redis.url, "WORKER_CLASS": "gthread"}
            yield stack.enter_context(starting(directory, store, **OPEN, **more))


def addresses(number: int) -> list[str]:
    return [
        f"198.51.{index >> 8}.{index & 255}" if index % 2 else f"2001:db8:{index:x}::1" for index in range(number)
    ]


def test_all_strangers_cost_what_was_declared(site: Site) -> None:
    strangers = addresses(320)
    gate = threading.Barrier(32)

    def ask(part: list[str]) -> list[int]:
        gate.wait(10)
        statuses = []
        for address in part:
            headers = {"X-Forwarded-For": address}
            with exchange(site.port, "POST", "/api/chat", {"message": "Hello"}, headers=headers) as response:
                response.read()
                statuses.append(response.status)
        return statuses

    with ThreadPoolExecutor(32) as pool:
        statuses = chain.from_iterable(pool.map(ask, [strangers[index::32] for index in range(32)]))

    assert Counter(statuses) == {200: AFFORDABLE, 429: 320 - AFFORDABLE}
    assert site.upstream.bills == [COST] * AFFORDABLE
    with site.database.read_transaction() as connection:
        accounts = connection.fetch_rows("SELECT key, held_micro_usd, spent_micro_usd FROM accounts")
    assert accounts == [{"key": "anonymous", "held_micro_usd": 0, "spent_micro_usd": BUDGET}]
