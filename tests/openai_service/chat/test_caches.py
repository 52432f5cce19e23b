"""What is answered without asking again: embeddings of texts that were embedded before, and the very same requests."""

from __future__ import annotations

import json
import re
from contextlib import closing
from hashlib import sha256

import httpx2
import pytest

from app import create_app
from app.config import Config
from app.runtime import sqlite
from tests.fakes.person import Person
from tests.fakes.site import bearer
from tests.fakes.tables import crossed, each_row
from tests.fakes.upstreams.openai_answers import MODEL, USAGE, chunk, completion, error, sse, stream_of
from tests.fakes.wire.bodies import SMALLEST, TOOL
from tests.fakes.wire.reading import events_of

CHAT, STREAM, STRUCTURED, STRUCTURED_STREAM = (
    "/api/chat",
    "/api/chat/stream",
    "/api/structured",
    "/api/structured/stream",
)
EMBEDDINGS, SIMILARITY = "/api/embeddings", "/api/embeddings/similarity"
NO_TOKENS = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
# As OpenAI writes numbers, and as no other writer of floats would write them all.
DIGITS = "0.0023064255,-1.0e-7,3,0.10000000149011612"


@pytest.fixture
def clock(monkeypatch):
    """Of what the caches keep."""
    times = [1_800_000_000.0]
    monkeypatch.setattr("app.runtime.clock.now", lambda: times[0])

    def move(seconds):
        times[0] += seconds

    return move


@pytest.fixture
def somebody(make_app, tmp_path):
    """Somebody new at an application whose caches are those of all others of the test."""

    def make(**settings):
        own = {"state_dir": str(tmp_path), "embedding_cache_entries": 100_000}
        return Person(make_app(**{**own, **settings}))

    return make


@pytest.fixture
def person(somebody):
    return somebody()


@pytest.fixture
def kept(tmp_path):
    """What is in the file of the caches, and a way to change it."""

    def run(statement="SELECT value FROM entries", *values):
        with closing(sqlite.connect(tmp_path / "cache.sqlite3")) as connection:
            return connection.execute(statement, values).fetchall()

    return run


def told(answer):
    """The JSON of an answer, or of the end of a stream, but for what no cache can know."""
    if answer.content_type.startswith("text/event-stream"):
        *_, end = events_of(answer.get_data())
        return end
    return answer.json


class TestEmbeddings:
    @pytest.fixture(autouse=True)
    def vectors(self, upstream):
        """Each text has a vector of its own, which begins with DIGITS."""

        def vector_of(text):
            return b"[%b,%d]" % (DIGITS.encode(), int(sha256(text.encode()).hexdigest()[:6], 16))

        def embeddings_of(sent):
            items = [
                b'{"object":"embedding","index":%d,"embedding":%b}' % (index, vector_of(text))
                for index, text in enumerate(sent.body["input"])
            ]
            tokens = len(items)
            content = (
                b'{"object":"list","data":[%b],"model":"served","usage":{"prompt_tokens":%d,"total_tokens":%d}}'
            )
            return httpx2.Response(200, content=content % (b",".join(items), tokens, tokens))

        upstream.otherwise = embeddings_of
        return lambda *texts: [json.loads(vector_of(text)) for text in texts]

    @staticmethod
    def asked(upstream):
        return [sent.body["input"] for sent in upstream.sent]

    def test_the_same_text_is_not_asked_for_again(self, person, upstream, vectors):
        first = person.ask(EMBEDDINGS, input="a")
        second = person.ask(EMBEDDINGS, input="a")

        assert self.asked(upstream) == [["a"]]
        assert first.json == {
            "embeddings": vectors("a"),
            "model": "served",
            "usage": {"prompt_tokens": 1, "total_tokens": 1},
        }
        assert second.json == {"embeddings": vectors("a"), "model": "served", "usage": NO_TOKENS, "cached": 1}
        assert (second.headers["X-Model"], second.headers["X-Attempts"]) == ("served", "0")

    def test_its_numbers_keep_their_digits(self, person):
        person.ask(EMBEDDINGS, input="a")

        assert DIGITS.encode() in person.ask(EMBEDDINGS, input="a").get_data()

    def test_it_is_one_row_at_no_cost_and_reported_so(self, person):
        person.ask(EMBEDDINGS, input="a")
        person.ask(EMBEDDINGS, input="a")

        first, second = person.rows()
        assert (first["source"], first["tokens"]) == ("reported", 1)
        assert (second["state"], second["outcome"], second["source"]) == ("settled", "complete", "cached")
        assert (second["tokens"], second["cost_micro_usd"], second["attempts"]) == (0, 0, 0)
        assert (second["model"], second["served_model"]) == ("text-embedding-3-small", "served")

    def test_only_what_is_missing_is_asked_for_and_the_order_stays(self, person, upstream, vectors):
        person.ask(EMBEDDINGS, input=["b", "d"])

        answer = person.ask(EMBEDDINGS, input=["a", "b", "c", "d", "e"])

        assert self.asked(upstream) == [["b", "d"], ["a", "c", "e"]]
        assert answer.json["embeddings"] == vectors("a", "b", "c", "d", "e")
        assert (answer.json["cached"], answer.json["usage"]["total_tokens"]) == (2, 3)
        assert answer.headers["X-Attempts"] == "1"
        row = person.rows()[-1]
        assert (row["source"], row["tokens"]) == ("reported", 3)

    def test_a_text_that_comes_twice_is_asked_for_once(self, person, upstream, vectors):
        answer = person.ask(EMBEDDINGS, input=["a", "b", "a"])

        assert self.asked(upstream) == [["a", "b"]]
        assert answer.json["embeddings"] == vectors("a", "b", "a")
        assert "cached" not in answer.json
        assert person.ask(EMBEDDINGS, input=["a", "b", "a"]).json["cached"] == 3

    def test_comparing_texts_asks_for_no_more_either(self, person, upstream):
        person.ask(EMBEDDINGS, input=["Hi", "c"])
        first = person.ask(SIMILARITY)
        second = person.ask(SIMILARITY)

        assert self.asked(upstream) == [["Hi", "c"], ["Ho"]]
        assert first.json["cached"] == 1
        assert second.json == {"similarity": first.json["similarity"], "cached": 2}

    def test_another_model_or_number_of_dimensions_is_another_question(self, somebody, upstream):
        person = somebody(allowed_models=("other",))
        for fields in ({}, {"dimensions": 2}, {"dimensions": 3}, {"model": "other"}):
            assert "cached" not in person.ask(EMBEDDINGS, input="a", **fields).json
        for fields in ({}, {"dimensions": 2}, {"dimensions": 3}, {"model": "other"}):
            assert person.ask(EMBEDDINGS, input="a", **fields).json["cached"] == 1
        assert len(upstream.sent) == 4

    @pytest.mark.parametrize("other", ["A", "a ", "á", "á"])
    def test_another_text_is_another_question(self, person, upstream, other):
        person.ask(EMBEDDINGS, input="a")

        assert "cached" not in person.ask(EMBEDDINGS, input=other).json

    def test_it_is_off_by_default(self, make_app, upstream):
        person = Person(make_app())
        for _ in range(2):
            assert "cached" not in person.ask(EMBEDDINGS, input=["a", "a"]).json

        assert self.asked(upstream) == [["a", "a"], ["a", "a"]]

    def test_users_of_one_tenant_share_it_and_tenants_do_not(self, make_site, upstream, tmp_path):
        site = make_site(state_dir=str(tmp_path), embedding_cache_entries=100)
        other = site.new_key(tenant="other")

        def ask(key, user):
            headers = {**bearer(key), "X-User-Id": user}
            return site.client.post(EMBEDDINGS, json={"input": "a"}, headers=headers).json

        assert "cached" not in ask(site.key, "anna")
        assert ask(site.key, "ben")["cached"] == 1
        assert "cached" not in ask(other, "anna")
        assert ask(other, "anna")["cached"] == 1
        assert len(upstream.sent) == 2

    def test_all_workers_share_it(self, somebody, upstream):
        somebody().ask(EMBEDDINGS, input="a")

        assert somebody().ask(EMBEDDINGS, input="a").json["cached"] == 1
        assert len(upstream.sent) == 1

    @pytest.mark.parametrize(
        "there",
        [
            {"openai_base_url": "http://127.0.0.1:9/v1"},
            {"azure_openai_endpoint": "http://127.0.0.1:9"},
            {"openai_api_key": ""},
        ],
        ids=["compatible", "azure", "offline"],
    )
    def test_what_another_upstream_has_said_does_not_count(self, somebody, there):
        somebody(**there).ask(EMBEDDINGS, input="a")

        assert "cached" not in somebody().ask(EMBEDDINGS, input="a").json

    def test_no_more_are_kept_than_may_be(self, somebody, vectors, kept):
        person = somebody(embedding_cache_entries=2)
        texts = list("abcdefghij")

        for _ in range(2):
            assert person.ask(EMBEDDINGS, input=texts).json["embeddings"] == vectors(*texts)
        assert len(kept()) == 2

    def test_it_is_kept_for_its_time(self, somebody, clock):
        person = somebody(embedding_cache_ttl_s=60)
        person.ask(EMBEDDINGS, input="a")

        clock(59)
        assert person.ask(EMBEDDINGS, input="a").json["cached"] == 1
        clock(2)
        assert "cached" not in person.ask(EMBEDDINGS, input="a").json

    @pytest.mark.parametrize(
        "damage",
        [
            lambda value: value[:-1],
            lambda value: value[:-1] + b"x",
            lambda value: b"x" + value[1:],
            lambda value: value[:33] + b"\0" + value[34:],
            lambda value: value[:20],
            lambda value: b"",
        ],
        ids=["cut", "changed", "of another key", "another sum", "cut short", "empty"],
    )
    def test_what_is_damaged_counts_as_gone(self, person, kept, vectors, damage):
        person.ask(EMBEDDINGS, input="a")
        [[value]] = kept()
        kept("UPDATE entries SET value = ?", damage(value))

        answer = person.ask(EMBEDDINGS, input="a")

        assert answer.json["embeddings"] == vectors("a")
        assert "cached" not in answer.json
        assert person.ask(EMBEDDINGS, input="a").json["cached"] == 1

    def test_without_its_store_everything_is_asked_for(self, somebody, tmp_path, vectors):
        (tmp_path / "state").write_text("no directory")
        person = somebody(state_dir=str(tmp_path / "state"))

        for _ in range(2):
            answer = person.ask(EMBEDDINGS, input="a")
            assert (answer.status_code, answer.json["embeddings"]) == (200, vectors("a"))
            assert "cached" not in answer.json

    @pytest.mark.one_attempt
    def test_a_failure_is_not_kept(self, person, upstream, vectors):
        upstream.answers(error(), status=500)
        assert person.ask(EMBEDDINGS, input="a").status_code == 502

        assert person.ask(EMBEDDINGS, input="a").json["embeddings"] == vectors("a")

    def test_a_budget_that_is_used_up_lets_it_pass(self, somebody):
        person = somebody(user_budget_tokens=200)
        person.ask(EMBEDDINGS, input="a" * 20)
        assert person.ask(EMBEDDINGS, input="b" * 200).status_code == 429

        assert person.ask(EMBEDDINGS, input="a" * 20).json["cached"] == 1

    def test_a_model_without_a_price_has_none(self, somebody):
        person = somebody(embedding_model="of-nobody")
        for _ in range(2):
            person.ask(EMBEDDINGS, input="a")

        assert [row["cost_micro_usd"] for row in person.rows()] == [None, 0]


QUESTION = {"temperature": 0, "cache": True}


class TestAnswers:
    def test_the_same_request_is_answered_as_before(self, person, upstream):
        first = person.ask(**QUESTION)
        second = person.ask(**QUESTION)

        assert len(upstream.sent) == 1
        assert first.json["usage"] == USAGE
        assert "cached" not in first.json
        assert second.json == {**first.json, "usage": NO_TOKENS, "cached": True}
        assert (second.headers["X-Model"], second.headers["X-Attempts"]) == (MODEL, "0")

    def test_it_is_one_row_at_no_cost(self, person):
        person.ask(**QUESTION)
        person.ask(**QUESTION)

        row = person.rows()[-1]
        assert (row["state"], row["outcome"], row["source"]) == ("settled", "complete", "cached")
        assert (row["tokens"], row["cost_micro_usd"], row["attempts"]) == (0, 0, 0)
        assert (row["held_micro_usd"], row["held_tokens"]) == (0, 0)

    def test_the_usage_report_counts_it_and_adds_nothing(self, make_site, tmp_path):
        site = make_site(state_dir=str(tmp_path))
        for _ in range(3):
            site.client.post(CHAT, json={"message": "Hi", **QUESTION}, headers=bearer(site.key))

        totals = site.client.get("/api/usage", headers=bearer(site.key)).json["totals"]
        assert (totals["requests"], totals["tokens"], totals["unpriced"]) == (3, USAGE["total_tokens"], 0)
        assert totals["estimated"] == 0

    @pytest.mark.parametrize("fields", [{}, {"temperature": None}])
    def test_a_model_that_takes_no_temperature_needs_none(self, person, fields):
        assert [person.ask(cache=True, **fields).json.get("cached") for _ in range(2)] == [None, True]

    @each_row("fields", [{"temperature": 0.1}, {"temperature": 1}])
    @each_row("route", [CHAT, STREAM, STRUCTURED, STRUCTURED_STREAM])
    def test_no_temperature_above_0_goes_with_it(self, person, upstream, route, fields):
        answer = person.ask(route, cache=True, **fields)

        assert (answer.status_code, answer.json["error"]) == (400, "cache: needs temperature 0.")
        assert upstream.sent == []

    @pytest.mark.parametrize("cache", ["true", 1, []])
    def test_it_is_a_boolean(self, person, cache):
        answer = person.ask(temperature=0, cache=cache)

        assert answer.status_code == 400
        assert answer.json["error"].startswith("cache: ")

    @pytest.mark.parametrize("cache", [{}, {"cache": False}, {"cache": None}])
    def test_nothing_is_kept_or_looked_for_unless_it_is_asked_for(self, person, upstream, kept, cache):
        person.ask(temperature=0, **cache)
        person.ask(**QUESTION)
        person.ask(temperature=0, **cache)

        assert len(upstream.sent) == 3
        assert len(kept()) == 1

    @each_row(
        "other",
        [
            {"message": "Ho"},
            {"systemPrompt": "Be brief."},
            {"model": "gpt-6-luna"},
            {"maxTokens": 5},
            {"tools": [TOOL]},
            {"reasoningEffort": "low"},
            {"verbosity": "low"},
            {"serviceTier": "default"},
            {"stop": "END"},
            {"topP": 0.5},
            {"seed": 1},
        ],
    )
    def test_any_other_request_is_another_question(self, person, upstream, other):
        person.ask(**QUESTION)
        upstream.sent.clear()

        assert "cached" not in person.ask(**QUESTION, **other).json
        assert len(upstream.sent) == 1

    def test_tenants_do_not_share_it(self, make_site, upstream, tmp_path):
        site = make_site(state_dir=str(tmp_path))
        other = site.new_key(tenant="other")
        for key in (site.key, other):
            answer = site.client.post(CHAT, json={"message": "Hi", **QUESTION}, headers=bearer(key))
            assert "cached" not in answer.json

        assert len(upstream.sent) == 2

    def test_it_is_kept_for_its_time(self, somebody, clock):
        person = somebody(chat_cache_ttl_s=60)
        person.ask(**QUESTION)

        clock(59)
        assert person.ask(**QUESTION).json["cached"]
        clock(2)
        assert "cached" not in person.ask(**QUESTION).json

    def test_no_more_are_kept_than_may_be(self, somebody, upstream, kept):
        person = somebody(chat_cache_entries=2)
        for number in range(5):
            person.ask(**QUESTION, message=f"{number}")
        assert len(kept()) <= 2

        none = somebody(chat_cache_entries=0)
        for _ in range(2):
            assert none.ask(**QUESTION).status_code == 200
        assert len(upstream.sent) == 7

    def test_what_is_damaged_counts_as_gone(self, person, upstream, kept):
        person.ask(**QUESTION)
        [[value]] = kept()
        kept("UPDATE entries SET value = ?", value[:-1])

        assert person.ask(**QUESTION).json["reply"] == "Hello there"
        assert len(upstream.sent) == 2

    @pytest.mark.parametrize(
        ("route", "answer"),
        crossed(
            [CHAT, STREAM],
            {
                "cut": completion(finish_reason="length"),
                "filtered": completion(finish_reason="content_filter"),
                "refused": completion(None, refusal="I will not."),
            },
        ),
    )
    def test_what_is_not_whole_is_not_kept(self, person, upstream, kept, route, answer):
        if route == CHAT:
            upstream.answers(answer)
        else:
            choice = answer["choices"][0]
            delta = {name: choice["message"][name] for name in ("content", "refusal") if choice["message"][name]}
            upstream.streams(chunk(delta), chunk(finish_reason=choice["finish_reason"]), "[DONE]")

        first = person.ask(route, **QUESTION)
        assert first.status_code == 200
        first.get_data()
        person.ask(CHAT, **QUESTION)
        assert len(upstream.sent) == 2

    def test_a_fallbacks_answer_is_not_kept_as_that_of_the_model_asked_for(self, somebody, upstream):
        person = somebody(retry_max_attempts=1)
        upstream.answers(error(), status=500)
        assert person.ask(**QUESTION).headers["X-Attempts"] == "2"

        assert "cached" not in person.ask(**QUESTION).json

    @pytest.mark.parametrize("route", [CHAT, STREAM])
    def test_where_tools_of_the_server_may_have_a_word_nothing_is_kept(self, somebody, upstream, route):
        person = somebody(allowed_tools=("current_time",))
        for _ in range(2):
            if route == STREAM:
                upstream.streams(*stream_of("Hi"))
            assert "cached" not in told(person.ask(route, **QUESTION, serverTools=["current_time"]))

        assert len(upstream.sent) == 2

    def test_calls_of_tools_are_kept(self, person, upstream):
        call = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
        upstream.answers(completion(None, tool_calls=[call], finish_reason="tool_calls"))
        first = person.ask(**QUESTION, tools=[TOOL])

        second = person.ask(**QUESTION, tools=[TOOL])
        assert second.json == {**first.json, "usage": NO_TOKENS, "cached": True}
        assert second.json["toolCalls"] == [call]

    def test_what_was_sent_otherwise_than_asked_for_is_told_again(self, somebody, upstream):
        person = somebody(chat_model="gpt-4o", chat_fallback_models=())
        upstream.answers(error("no", code="unsupported_value", param="temperature"), status=400)
        first = person.ask(**QUESTION)
        assert "temperature=" in first.headers["X-Params-Adjusted"]

        second = person.ask(**QUESTION)
        assert second.json["cached"]
        assert second.headers["X-Params-Adjusted"] == first.headers["X-Params-Adjusted"]


class TestStreams:
    @pytest.fixture(autouse=True)
    def streaming(self, upstream):
        def answer_to(sent):
            if sent.body.get("stream"):
                return upstream.event_stream([sse(payload) for payload in stream_of('{"a"', ": 1}")])
            return httpx2.Response(200, json=completion('{"a": 1}'))

        upstream.otherwise = answer_to

    @pytest.mark.parametrize("first", [CHAT, STREAM])
    @pytest.mark.parametrize("second", [CHAT, STREAM])
    def test_streams_and_answers_in_one_piece_share_it(self, person, upstream, first, second):
        person.ask(first, **QUESTION).get_data()
        answer = person.ask(second, **QUESTION)

        end = told(answer)
        assert (end["cached"], end["usage"], end["model"]) == (True, NO_TOKENS, MODEL)
        assert end["finishReason"] == "stop"
        if second == STREAM:
            token, _ = events_of(answer.get_data())
            assert token == {"token": '{"a": 1}'}
        assert len(upstream.sent) == 1
        assert person.rows()[-1]["source"] == "cached"

    @pytest.mark.parametrize("first", [STRUCTURED, STRUCTURED_STREAM])
    @pytest.mark.parametrize("second", [STRUCTURED, STRUCTURED_STREAM])
    def test_values_that_fill_a_schema_share_it_too(self, person, upstream, first, second):
        person.ask(first, **QUESTION).get_data()
        end = told(person.ask(second, **QUESTION))

        assert (end["data"], end["cached"], end["usage"]) == ({"a": 1}, True, NO_TOKENS)
        assert len(upstream.sent) == 1
        assert person.rows()[-1]["source"] == "cached"

    def test_a_mended_value_is_the_one_that_is_kept(self, person, upstream):
        upstream.answers(completion("no JSON"))
        first = person.ask(STRUCTURED, **QUESTION)
        assert first.json["usage"]["total_tokens"] == 2 * USAGE["total_tokens"]

        second = person.ask(STRUCTURED, **QUESTION)
        assert (second.json["data"], second.json["cached"]) == ({"a": 1}, True)

    def test_another_schema_is_another_question(self, person, upstream):
        schemas = [
            {
                "type": "object",
                "properties": {"a": {"type": kind}},
                "required": ["a"],
                "additionalProperties": False,
            }
            for kind in ("integer", "number")
        ]
        for schema in schemas:
            assert "cached" not in person.ask(STRUCTURED, **QUESTION, schema=schema).json

        assert len(upstream.sent) == 2

    def test_a_value_fits_the_schema_that_its_own_request_had(self, make_app, upstream, tmp_path):
        upstream.otherwise = lambda sent: httpx2.Response(200, json=completion('{"a": null}'))
        client = make_app(state_dir=str(tmp_path)).test_client()

        def data_for(**fields):
            body = {"prompt": "Hi", **QUESTION, **fields}
            # As text, since the test client would put the members into an order of its own.
            return client.post(STRUCTURED, data=json.dumps(body), content_type="application/json").json["data"]

        mended = {"type": "object", "properties": {"a": {"type": "string"}}}
        assert data_for(schema=mended, normalize=True) == {}
        strict = upstream.sent[0].body["response_format"]["json_schema"]["schema"]
        assert data_for(schema=strict) == {"a": None}
        assert upstream.sent[1].body == upstream.sent[0].body

    def test_a_stream_that_broke_is_not_kept(self, person, upstream):
        upstream.streams_bytes([sse(*stream_of("Hel", finish_reason=None, usage=None, done=False))])
        person.ask(STREAM, **QUESTION).get_data()

        assert "cached" not in told(person.ask(STREAM, **QUESTION))

    def test_a_stream_whose_visitor_left_is_not_kept(self, person, upstream):
        answer = person.ask(STREAM, **QUESTION)
        next(iter(answer.response))
        answer.close()

        assert "cached" not in told(person.ask(STREAM, **QUESTION))
        assert upstream.open_streams == 0


class TestModerated:
    @pytest.fixture(autouse=True)
    def moderating(self, upstream):
        def answer_to(sent):
            if sent.path.endswith("/moderations"):
                results = [{"flagged": "bad" in text} for text in sent.body["input"]]
                return httpx2.Response(200, json={"results": results})
            if sent.body.get("stream"):
                return upstream.event_stream([sse(*stream_of("bad"))])
            return httpx2.Response(200, json=completion("bad"))

        upstream.otherwise = answer_to

    def test_what_may_not_be_told_is_not_kept(self, somebody):
        person = somebody(moderation="both")

        assert [person.ask(**QUESTION).status_code for _ in range(2)] == [422, 422]

    def test_what_came_as_a_stream_was_not_looked_at_and_is_not_kept(self, somebody):
        person = somebody(moderation="both")
        person.ask(STREAM, **QUESTION).get_data()

        assert person.ask(**QUESTION).status_code == 422

    def test_what_was_kept_before_is_looked_at_when_that_is_turned_on(self, somebody):
        assert somebody().ask(**QUESTION).json["reply"] == "bad"

        assert somebody(moderation="both").ask(**QUESTION).status_code == 422

    @pytest.mark.chat_form
    def test_the_request_is_looked_at_all_the_same(self, somebody, upstream):
        person = somebody(moderation="input")
        for _ in range(2):
            person.ask(**QUESTION)

        paths = [re.sub(".*/", "", sent.path) for sent in upstream.sent]
        assert paths == ["moderations", "completions", "moderations"]


def test_the_offline_model_is_cached_as_well(tmp_path):
    client = create_app(Config(state_dir=str(tmp_path), embedding_cache_entries=10)).test_client()

    first, second = (client.post(CHAT, json={**SMALLEST[CHAT], **QUESTION}).json for _ in range(2))
    assert (second["cached"], second["reply"], second["id"]) == (True, first["reply"], first["id"])
    first, second = (client.post(EMBEDDINGS, json={"input": ["a", "b"]}).json for _ in range(2))
    assert (second["cached"], second["embeddings"]) == (2, first["embeddings"])
