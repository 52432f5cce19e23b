"""Whose failures a circuit has counted, over workers that share a file or a Redis."""

from __future__ import annotations

import httpx2
import pytest

from app import create_app
from app.config import Config
from app.storage.shared_state import open_state
from tests.fakes.storage.redis_server import redis_server
from tests.fakes.upstreams.openai_answers import completion, error

pytestmark = pytest.mark.one_attempt


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory):
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture(params=["file", "redis"])
def ask(request, upstream, tmp_path):
    """Asks one of two workers, from an address; whatever mentions poison fails."""
    url = request.getfixturevalue("redis_url") if request.param == "redis" else ""

    def answer(sent):
        is_poison = "poison" in str(sent.body)
        return httpx2.Response(500 if is_poison else 200, json=error() if is_poison else completion())

    upstream.otherwise = answer
    # The address of the upstream is a part of a circuit's name, so that each test has its own.
    settings = Config(
        openai_base_url=f"https://{tmp_path.name}.example/v1", openai_api_key="k", chat_fallback_models=()
    )
    states = [open_state(directory=tmp_path, redis_url=url) for _ in range(2)]
    workers = [
        create_app(settings, http_client=upstream.http_client, shared_state=state).test_client()
        for state in states
    ]

    def ask(worker, text, address="127.0.0.1"):
        overrides = {"REMOTE_ADDR": address}
        return workers[worker].post("/api/chat", json={"message": text}, environ_overrides=overrides).status_code

    yield ask
    for state in states:
        state.close()


def test_the_failures_of_one_caller_count_over_all_workers_and_close_it_to_that_caller_alone(ask):
    assert [ask(n % 2, f"poison {n}") for n in range(5)] == [502] * 5
    assert [ask(worker, "well") for worker in (0, 1)] == [503, 503]
    assert ask(1, "well", "10.0.0.2") == 200
    assert [ask(worker, "well") for worker in (0, 1)] == [200, 200], "as it works for another"


def test_the_same_request_counts_once_whichever_worker_has_it(ask):
    assert [ask(n % 2, "poison") for n in range(10)] == [502] * 10
    assert ask(0, "well") == 200


def test_one_that_fails_others_as_well_is_closed_to_all_at_every_worker(ask):
    assert [ask(0, f"poison {n}") for n in range(5)] == [502] * 5
    assert ask(1, "poison", "10.0.0.2") == 502
    assert [ask(worker, "well", f"10.0.0.{n}") for n in range(1, 4) for worker in (0, 1)] == [503] * 6
