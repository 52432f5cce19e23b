"""Several keys: where the upstream refuses one, or its quota is used up, the same call is sent with the next one."""

from __future__ import annotations

import httpx2
import openai
import pytest

from app.config import Config, ConfigError
from app.openai_service import BatchSender, build_client
from tests.fakes.tables import crossed
from tests.fakes.upstreams.openai_answers import completion, embeddings, error, sse, stream_of
from tests.fakes.wire.bodies import EVERY_SMALLEST, ONE_OF_EACH_KIND, OTHER_ROUTES
from tests.fakes.wire.reading import events_of

CHAT = {"message": "Hi"}
FIRST, SECOND, THIRD = (f"sk-canary-{name}-key-{name[:4]}" for name in ("first", "second", "third"))
KEY_FAULTS = [(401, "invalid_api_key"), (429, "insufficient_quota")]
FAULTS = [
    (401, {"code": "invalid_api_key"}, "key"),
    (401, {}, "key"),
    (400, {"code": "invalid_api_key"}, "key"),
    (429, {"code": "insufficient_quota"}, "quota"),
    (402, {}, "quota"),
]


class Account:
    """An upstream that knows some keys only, and refuses the others."""

    def __init__(self, upstream):
        self.upstream = upstream
        self.refused = {}
        self.text = "Hello"
        upstream.otherwise = self.answer

    def answer(self, sent):
        key = sent.headers.get("authorization", "").removeprefix("Bearer ") or sent.headers["api-key"]
        if key in self.refused:
            status, members = self.refused[key]
            return httpx2.Response(status, json=error(f"no, {key}", **members))
        if sent.body.get("stream"):
            return self.upstream.event_stream([sse(chunk) for chunk in stream_of(self.text)])
        if (texts := sent.body.get("input")) and "messages" not in sent.body:
            return httpx2.Response(200, json=embeddings([[0.25]] * (1 if isinstance(texts, str) else len(texts))))
        return httpx2.Response(200, json=completion(self.text))

    @property
    def used(self):
        return [sent.headers.get("authorization", "").removeprefix("Bearer ") for sent in self.upstream.sent]


@pytest.fixture
def account(upstream):
    return Account(upstream)


@pytest.fixture
def make_client(make_app):
    def make(*keys, **settings):
        own = {"openai_api_key": "", "openai_api_keys": keys or (FIRST, SECOND), "chat_fallback_models": ()}
        return make_app(**own | settings).test_client()

    return make


@pytest.fixture
def told(monkeypatch):
    """What the owner is told."""
    lines = []
    monkeypatch.setattr(
        "app.openai_service.resilience.key_ring.log.error",
        lambda event, extra: lines.append({"event": event} | extra),
    )
    return lines


@pytest.mark.parametrize(("upstream_api", "status", "members", "fault"), crossed(["auto", "responses"], FAULTS))
def test_the_next_key_answers_the_same_call(make_client, account, records, told, waits, *, status, members, fault):
    client = make_client(retry_max_attempts=1, breaker_failures=1)
    account.refused[FIRST] = status, members

    assert client.post("/api/chat", json=CHAT).json["reply"] == "Hello"
    answer = client.post("/api/chat/stream", json=CHAT)
    assert "Hello" in answer.text

    assert account.used == [FIRST, SECOND, SECOND]
    assert [len(record.attempt_log) for record in records] == [1, 1]
    assert not waits
    (line,) = told
    assert (line["event"], line["key"], line["fault"]) == ("upstream.key_set_aside", f"…{FIRST[-4:]}", fault)
    assert "canary" not in str(line)
    services = client.application.extensions["gatehouse"]
    assert services.openai_service.read_retry_budget()[0] == 0
    assert {
        state.value if hasattr(state, "value") else state
        for state in services.openai_service.read_circuits().values()
    } == {"closed"}


def test_a_stream_that_begins_with_the_refusal_is_begun_with_the_next_key(make_client, upstream, account):
    upstream.streams(error("You exceeded your current quota", code="insufficient_quota"))
    account.refused[FIRST] = 401, {}

    answer = make_client().post("/api/chat/stream", json=CHAT)

    assert [event for event in events_of(answer.data) if "error" in event] == []
    assert "Hello" in answer.text
    assert account.used == [FIRST, SECOND]


def test_other_operations_use_the_same_keys(make_client, account):
    client = make_client(moderation="input")
    account.refused[FIRST] = 401, {}

    client.post("/api/chat", json=CHAT)
    client.post("/api/embeddings", json={"input": "Hi"})

    assert account.used[0] == FIRST
    assert FIRST not in account.used[1:]


@pytest.mark.parametrize(
    ("route", "status", "code"),
    [*crossed(ONE_OF_EACH_KIND, KEY_FAULTS), *crossed(OTHER_ROUTES, KEY_FAULTS, by_default=[])],
)
def test_every_route_goes_on_with_the_next_key_and_comes_back(make_client, account, clock, route, status, code):
    client = make_client()
    account.text = '{"a": 1}'
    account.refused[FIRST] = status, {"code": code}
    for _ in range(2):
        answer = client.post(route, json=EVERY_SMALLEST[route])
        assert (answer.status_code, "upstream_" in answer.text) == (200, False), answer.text
        account.refused.clear()
        clock.move(300)

    assert account.used == [FIRST, SECOND, FIRST]


def test_a_key_is_tried_again_after_five_minutes(make_client, account, clock):
    client = make_client()
    account.refused[FIRST] = 401, {}
    client.post("/api/chat", json=CHAT)
    account.refused.clear()

    clock.move(299)
    client.post("/api/chat", json=CHAT)
    clock.move(1)
    client.post("/api/chat", json=CHAT)

    assert account.used == [FIRST, SECOND, SECOND, FIRST]


def test_all_keys_are_tried_once_and_then_one_for_each_call(make_client, account, told, clock):
    client = make_client(FIRST, SECOND, THIRD)
    account.refused = dict.fromkeys((FIRST, SECOND, THIRD), (401, {}))

    assert client.post("/api/chat", json=CHAT).status_code == 502
    assert account.used == [FIRST, SECOND, THIRD]
    for _ in range(4):
        clock.move(0.1)
        assert client.post("/api/chat", json=CHAT).status_code == 502
    assert account.used[3:] == [FIRST, SECOND, THIRD, FIRST]
    assert len(told) == 3  # of each key once a minute

    account.refused = {}
    assert client.post("/api/chat", json=CHAT).status_code == 200


@pytest.mark.parametrize(
    ("status", "members"), [(429, {"code": "rate_limit_exceeded"}), (500, {}), (403, {}), (404, {}), (400, {})]
)
@pytest.mark.one_attempt
def test_what_is_not_the_keys_fault_sets_none_aside(make_client, account, told, status, members):
    client = make_client(retry_max_attempts=1)
    account.refused[FIRST] = status, members
    client.post("/api/chat", json=CHAT)
    client.post("/api/chat", json=CHAT)

    assert set(account.used) == {FIRST}
    assert not told


def test_a_single_key_is_used_whatever_the_upstream_says(make_client, account, told):
    client = make_client(FIRST)
    account.refused[FIRST] = 401, {}
    assert client.post("/api/chat", json=CHAT).status_code == 502
    account.refused.clear()
    assert client.post("/api/chat", json=CHAT).status_code == 200
    assert not told


def test_keys_of_an_azure_resource_are_sent_as_it_takes_them(make_client, account):
    client = make_client(azure_openai_endpoint="https://acme.openai.azure.com", chat_model="mine")
    account.refused[FIRST] = 401, {}

    assert client.post("/api/chat", json=CHAT).status_code == 200
    assert [sent.headers["api-key"] for sent in account.upstream.sent] == [FIRST, SECOND]


def test_a_short_key_is_not_shown_at_all(make_client, account, told):
    client = make_client("sk-canary", SECOND)
    account.refused["sk-canary"] = 401, {}
    client.post("/api/chat", json=CHAT)

    assert [line["key"] for line in told] == ["…"]


def test_openai_api_key_is_the_first_of_all_keys():
    assert Config(openai_api_key=FIRST, openai_api_keys=(SECOND, FIRST)).api_keys == (FIRST, SECOND)
    assert Config(openai_api_keys=(SECOND,)).is_offline is False
    with pytest.raises(ConfigError, match="OPENAI_API_KEYS contains a space"):
        Config(openai_api_keys=(SECOND, "a b"))


class TestBatches:
    """What belongs to a key's project is asked for with the first key, whatever was refused before."""

    @pytest.fixture
    def send(self):
        """Sends a request over the wire to an upstream that answers each key as it is told; returns status and keys."""
        used = []

        def send_with(answers, **how):
            def answer(request):
                used.append(request.headers["authorization"].removeprefix("Bearer "))
                return httpx2.Response(answers[used[-1]], json=error("no"))

            http = httpx2.Client(transport=httpx2.MockTransport(answer))
            batches = BatchSender(build_client(Config(openai_api_keys=tuple(answers)).connection, http).keys)
            try:
                response = batches.send_json("get", "/batches/b", **how)
            except openai.APIStatusError as refusal:
                return refusal.status_code, used
            return response.status_code, used

        return send_with

    @pytest.mark.parametrize("stream", [False, True])
    def test_the_first_key_that_is_accepted_answers(self, send, stream):
        assert send({FIRST: 401, SECOND: 200, THIRD: 200}, stream=stream) == (200, [FIRST, SECOND])

    def test_that_another_keys_project_does_not_have_it_says_nothing(self, send):
        assert send({FIRST: 401, SECOND: 404}) == (401, [FIRST, SECOND])

    def test_if_all_are_refused_the_first_refusal_counts(self, send):
        assert send({FIRST: 402, SECOND: 401}) == (402, [FIRST, SECOND])

    def test_other_errors_are_of_the_first_key(self, send):
        assert send({FIRST: 404, SECOND: 200}) == (404, [FIRST])
        assert send({FIRST: 500, SECOND: 200})[0] == 500


def test_files_are_uploaded_with_the_next_key_as_well():
    def answer(request):
        status = 401 if FIRST in request.headers["authorization"] else 200
        return httpx2.Response(status, json=error("no"))

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    keys = build_client(Config(openai_api_keys=(FIRST, SECOND)).connection, http).keys

    assert BatchSender(keys).send_file("/files", {"purpose": "batch"}, "b.jsonl", b"{}\n").status_code == 200
