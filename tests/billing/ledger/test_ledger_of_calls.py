"""What each request leaves in the ledger, and what a budget lets through."""

from __future__ import annotations

import base64
import io
from contextlib import closing

import httpx2
import pytest
from PIL import Image

from app.models.pricing.catalog import Prices
from app.models.token_counts import Usage
from app.models.token_counts.estimates import bound_input, estimate_input
from tests.conftest import KEY
from tests.fakes.person import Person
from tests.fakes.tables import crossed, each_row, further
from tests.fakes.upstreams.openai_answers import MODEL, USAGE, chunk, completion, embeddings, error, sse, stream_of

CHAT, STREAM, VISION, EMBEDDINGS = "/api/chat", "/api/chat/stream", "/api/vision", "/api/embeddings"
FIRST, SECOND = "gpt-6.1-terra", "gpt-6-luna"
ONE_ATTEMPT = pytest.mark.one_attempt
MANY_TOKENS = 10**9


@pytest.fixture
def somebody(make_app):
    """Somebody new, at an application with these settings."""
    with closing(_Databases()) as databases:

        def make(**settings):
            app = make_app(**settings)
            databases.append(app.extensions["gatehouse"].database)
            return Person(app)

        yield make


class _Databases(list):
    def close(self):
        for database in self:
            database.close()


@pytest.fixture
def person(somebody):
    return somebody()


@pytest.fixture
def newcomer(somebody):
    """Makes persons at one application, which no failure of their calls keeps from asking."""
    app = somebody(breaker_failures=1000).app
    return lambda: Person(app)


def bodies(upstream):
    """What the upstream has been sent, but for the models."""
    return [{name: value for name, value in sent.body.items() if name != "model"} for sent in upstream.sent]


def bound_of(body):
    """The most that a body of one of our own requests can cost, in micro-dollars and in tokens."""
    input_tokens, output_tokens = bound_input(body, FIRST), body["max_completion_tokens"]
    micro_usd = Prices().bound_micro_usd(FIRST, input_tokens, output_tokens)
    return micro_usd, input_tokens + output_tokens


def cost(prompt_tokens, completion_tokens=0, model=FIRST, **details):
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens, **details}
    return Prices().cost_micro_usd(model, Usage.parse(usage))


def ceiling_of(body):
    """All that an answer in one piece may use that did not arrive: the tokens of both kinds, and their cost."""
    prompt, written = bound_input(body, FIRST), body["max_completion_tokens"]
    return prompt, written, cost(prompt, written)


@pytest.fixture
def frozen(monkeypatch):
    """No time passes, but for what an upstream takes to notice that a connection is closed."""
    monkeypatch.setattr("app.openai_service.results.monotonic", lambda: 1000.0)
    return 100  # tokens


def bill(row):
    """What a row says was used, and how sure that is."""
    return row["outcome"], row["source"], row["prompt_tokens"], row["completion_tokens"], row["cost_micro_usd"]


NOTHING = ("reported", 0, 0, 0)


class TestAnAnswerIsOneSettledRow:
    def test_in_one_piece(self, person, upstream):
        details = {
            "prompt_tokens_details": {"cached_tokens": 40},
            "completion_tokens_details": {"reasoning_tokens": 7},
        }
        usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120, **details}
        upstream.answers(completion(usage=usage))

        answer = person.ask(headers={"X-Request-ID": "of-the-caller"})

        row = person.row()
        assert answer.status_code == 200
        assert (row["request_id"], row["tenant"], row["token_id"]) == ("of-the-caller", "default", None)
        assert (row["route"], row["operation"]) == (CHAT, "chat")
        assert (row["model"], row["served_model"]) == (FIRST, MODEL)
        assert bill(row) == ("complete", "reported", 100, 20, cost(100, 20, **details))
        assert (row["cached_tokens"], row["reasoning_tokens"], row["tokens"]) == (40, 7, 120)
        assert row["cost_micro_usd"] < cost(100, 20), "what was cached is cheaper"
        assert row["price_version"] == Prices().version
        assert row["attempts"] == 1
        assert row["first_token_ms"] is None
        assert row["total_ms"] > 0
        assert row["over_hold"] == 0

    @pytest.mark.parametrize("route", [STREAM, "/api/chat/openai", "/api/vision/stream"])
    def test_as_it_is_written(self, person, upstream, route):
        upstream.streams(*stream_of("Hel", "lo"))

        person.ask(route).get_data()

        row = person.row()
        assert bill(row) == ("complete", "reported", 9, 3, cost(9, 3))
        assert (row["served_model"], row["attempts"], row["route"]) == (MODEL, 1, route)
        assert 0 <= row["first_token_ms"] <= row["total_ms"]

    def test_about_an_image(self, person):
        person.ask(VISION)

        row = person.row()
        assert row["operation"] == "vision"
        assert bill(row) == ("complete", "reported", 9, 3, cost(9, 3))

    @pytest.mark.parametrize(("route", "vectors"), [(EMBEDDINGS, 1), (f"{EMBEDDINGS}/similarity", 2)])
    def test_of_vectors(self, person, upstream, route, vectors):
        upstream.answers(embeddings([[1.0, 0.0]] * vectors))

        assert person.ask(route).status_code == 200

        row = person.row()
        assert (row["operation"], row["model"]) == ("embeddings", "text-embedding-3-small")
        assert bill(row) == ("complete", "reported", 5, None, cost(5, model="text-embedding-3-small"))
        assert row["tokens"] == 5

    def test_with_a_repair_that_is_paid_for_as_well(self, person, upstream):
        upstream.answers(completion("no JSON"))
        upstream.answers(completion("{}"))

        assert person.ask("/api/structured").status_code == 200

        row = person.row()
        assert (row["operation"], row["attempts"]) == ("structured", 2)
        assert bill(row) == ("complete", "reported", 18, 6, cost(18, 6))

    def test_whose_repair_did_not_help_either(self, person, upstream):
        upstream.answers(completion("no JSON"))
        upstream.answers(completion("no JSON again"))

        assert person.ask("/api/structured").status_code == 422

        assert bill(person.row()) == ("rejected", "reported", 18, 6, cost(18, 6))

    def test_of_another_model_than_the_one_asked(self, person, upstream):
        upstream.answers(error(), status=500, headers={"x-should-retry": "false"})
        upstream.answers({**completion(), "model": SECOND})

        assert person.ask().status_code == 200

        row = person.row()
        assert (row["model"], row["served_model"], row["attempts"]) == (FIRST, SECOND, 2)
        assert bill(row) == ("complete", "reported", 9, 3, cost(9, 3, SECOND))

    def test_of_a_model_without_a_price_which_counts_tokens_only(self, somebody):
        person = somebody(chat_model="homemade", chat_fallback_models=())

        assert person.ask().status_code == 200

        row = person.row()
        assert row["served_model"] == MODEL
        assert row["tokens"] == 12

    @pytest.mark.parametrize("route", ["/api/chat", "/api/chat/stream"])
    def test_of_a_name_that_has_no_price_costs_what_the_model_asked_for_does(self, somebody, upstream, route):
        person = somebody(user_budget_usd=1)
        if route == "/api/chat":
            upstream.answers({**completion(), "model": "a-name-of-its-own"})
        else:
            upstream.streams(
                *[
                    payload if isinstance(payload, str) else {**payload, "model": "a-name-of-its-own"}
                    for payload in stream_of("Hello")
                ]
            )

        person.ask(route).get_data()

        row = person.row()
        assert (row["model"], row["served_model"]) == (FIRST, "a-name-of-its-own")
        assert bill(row) == ("complete", "reported", 9, 3, cost(9, 3))
        assert person.account()["spent_micro_usd"] == cost(9, 3)

    def test_at_the_owners_own_price(self, somebody, upstream, tmp_path):
        prices = tmp_path / "prices.toml"
        prices.write_text('version = "mine"\n[models.homemade]\ninput = 1000\noutput = 2000\n')
        person = somebody(chat_model="homemade", prices_file=str(prices))
        upstream.answers({**completion(), "model": "homemade"})

        person.ask()

        row = person.row()
        assert row["cost_micro_usd"] == 9 * 1000 + 3 * 2000
        assert row["price_version"].endswith("file/mine")


class TestUsageThatTheUpstreamDoesNotTell:
    def test_of_a_stream_is_estimated_by_what_came(self, person, upstream):
        upstream.streams(*stream_of(*["x"] * 20, usage=None))

        person.ask(STREAM).get_data()

        [sent] = bodies(upstream)
        outcome, source, prompt, written, _ = bill(person.row())
        assert (outcome, source) == ("complete", "estimated")
        assert prompt == pytest.approx(estimate_input(sent), rel=0.1)
        assert written == pytest.approx(20, rel=0.1)

    @pytest.mark.parametrize("usage", [None, {}, "unknown"], ids=repr)
    def test_of_an_answer_in_one_piece_has_at_least_its_input(self, person, upstream, usage):
        upstream.answers(completion("word " * 100, usage=usage))

        assert person.ask().status_code == 200

        [sent] = bodies(upstream)
        outcome, source, prompt, _, _ = bill(person.row())
        assert (outcome, source, prompt) == ("complete", "estimated", estimate_input(sent))

    def test_of_an_answer_in_one_piece_is_estimated_by_its_text(self, person, upstream):
        upstream.answers(completion("word " * 100, usage=None))

        person.ask()

        assert person.row()["completion_tokens"] == pytest.approx(125, rel=0.3)

    def test_of_vectors_is_estimated_by_the_texts(self, person, upstream):
        upstream.answers({**embeddings([[1.0]]), "usage": None})

        person.ask(EMBEDDINGS, input="word " * 100)

        _, source, prompt, written, _ = bill(person.row())
        assert (source, written) == ("estimated", 0)
        assert prompt == pytest.approx(125, rel=0.2)

    @pytest.mark.parametrize("route", [CHAT, STREAM])
    def test_is_not_a_usage_of_zero(self, person, upstream, route):
        usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        if route == STREAM:
            upstream.streams(*stream_of("Hello", usage=usage))
        else:
            upstream.answers(completion(usage=usage))

        person.ask(route).get_data()

        assert bill(person.row()) == ("complete", *NOTHING)


def told(upstream, route, text, usage):
    """Queue an answer of a route with a usage."""
    if route == STREAM:
        upstream.streams(*stream_of(text, usage=usage))
    elif route == EMBEDDINGS:
        upstream.answers(embeddings([[1.0]]) | {"usage": usage})
    else:
        upstream.answers(completion(text, usage=usage))


ANSWERING = each_row("route", [CHAT, STREAM, VISION, "/api/structured"])


class TestAUsageThatIsWrittenOtherwise:
    @ANSWERING
    @each_row("beside", [{}, {"completion_tokens_details": {"reasoning_tokens": 1000}}])
    def test_reasoning_outside_of_completion_is_charged(self, newcomer, upstream, route, beside):
        told(upstream, route, "{}", {"prompt_tokens": 40, "completion_tokens": 20, "total_tokens": 1060, **beside})

        person = newcomer()
        person.ask(route).get_data()

        assert bill(person.row()) == ("complete", "reported", 40, 1020, cost(40, 1020))

    @ANSWERING
    def test_other_fields_of_a_cache_give_its_discount(self, newcomer, upstream, route):
        hit = {"prompt_tokens": 40, "completion_tokens": 20, "prompt_cache_hit_tokens": 30}
        told(upstream, route, "{}", hit)

        person = newcomer()
        person.ask(route).get_data()

        usual = cost(40, 20, prompt_tokens_details={"cached_tokens": 30})
        assert bill(person.row()) == ("complete", "reported", 40, 20, usual)
        assert usual < cost(40, 20)

    @ANSWERING
    def test_a_discount_that_cannot_be_is_not_given(self, newcomer, upstream, route):
        hit = {"prompt_tokens": 40, "completion_tokens": 20, "prompt_tokens_details": {"cached_tokens": 90}}
        told(upstream, route, "{}", hit)

        person = newcomer()
        person.ask(route).get_data()

        assert bill(person.row()) == ("complete", "estimated", 40, 20, cost(40, 20))

    @ANSWERING
    @each_row(
        "odd",
        [None, -5, 0, 0.5, "320", True, [], 1e30, 2**70 // 2**10],
        quickly=lambda odd: odd in (None, -5, "320", 1e30),
    )
    def test_completion_tokens_that_tell_nothing_are_estimated(self, newcomer, upstream, route, odd):
        text = f'{{"a": "{"word " * 255}"}}'
        told(upstream, route, text, {"prompt_tokens": 40, "completion_tokens": odd})

        person = newcomer()
        person.ask(route).get_data()

        outcome, source, prompt, written, spent = bill(person.row())
        assert (outcome, source, prompt, spent) == ("complete", "estimated", 40, cost(40, written))
        if route != STREAM:  # whose one chunk counts as such
            assert written == pytest.approx(320, rel=0.1)

    @ANSWERING
    @each_row(
        "odd",
        [None, -5, 0, 0.5, "4", "forty", True, {}, 1e30],
        quickly=lambda odd: odd in (None, 0, "forty", True),
    )
    def test_prompt_tokens_that_tell_nothing_are_estimated(self, newcomer, upstream, route, odd):
        before = len(upstream.sent)
        told(upstream, route, "{}", {"prompt_tokens": odd, "completion_tokens": 20})

        person = newcomer()
        person.ask(route).get_data()

        [sent] = bodies(upstream)[before:]
        outcome, source, prompt, written, _ = bill(person.row())
        assert (outcome, source, written) == ("complete", "estimated", 20)
        assert prompt == max(1, estimate_input(sent))

    @ANSWERING
    def test_counts_written_as_text_are_the_least_of_an_estimate(self, newcomer, upstream, route):
        counts = {"prompt_tokens": "4000", "completion_tokens": "200", "total_tokens": "5200"}
        told(upstream, route, "{}", counts)

        person = newcomer()
        person.ask(route).get_data()

        assert bill(person.row()) == ("complete", "estimated", 4000, 1200, cost(4000, 1200))

    @ANSWERING
    def test_a_cache_that_is_counted_beside_the_input_is_charged(self, newcomer, upstream, route):
        anthropic = {"input_tokens": 10, "cache_read_input_tokens": 5000, "output_tokens": 20}
        told(upstream, route, "{}", anthropic)

        person = newcomer()
        person.ask(route).get_data()

        usual = cost(5010, 20, prompt_tokens_details={"cached_tokens": 5000})
        assert bill(person.row()) == ("complete", "reported", 5010, 20, usual)

    @pytest.mark.chat_form
    @pytest.mark.parametrize("later", [0, None])
    def test_a_later_chunk_that_tells_nothing_takes_nothing_back(self, person, upstream, later):
        first = {"prompt_tokens": 40, "completion_tokens": 20, "total_tokens": 60}
        *head, whole, end = stream_of("{}", usage=first)
        nothing = dict.fromkeys(first, later)
        upstream.streams(*head, whole, whole | {"usage": nothing}, end)

        person.ask(STREAM).get_data()

        assert bill(person.row()) == ("complete", "reported", 40, 20, cost(40, 20))

    @pytest.mark.parametrize(
        "usage", [{"total_tokens": 30}, {"prompt_tokens": 30.0, "total_tokens": 30}], ids=repr
    )
    def test_of_vectors_may_be_their_total(self, person, upstream, usage):
        told(upstream, EMBEDDINGS, "", usage)

        person.ask(EMBEDDINGS)

        row = person.row()
        assert (row["source"], row["prompt_tokens"], row["completion_tokens"] or 0) == ("reported", 30, 0)

    def test_that_grows_from_chunk_to_chunk_is_the_last_one(self, person, upstream):
        grown = [
            chunk(
                {"content": "x"},
                usage={"prompt_tokens": 40, "completion_tokens": number, "total_tokens": 40 + number},
            )
            for number in range(1, 4)
        ]
        upstream.streams(*grown, chunk(finish_reason="stop", usage={}), "[DONE]")

        person.ask(STREAM).get_data()

        assert bill(person.row()) == ("complete", "reported", 40, 3, cost(40, 3))

    @pytest.mark.chat_form
    def test_of_a_stream_without_an_end_is_charged_as_told(self, person, upstream):
        upstream.streams(
            *stream_of("x", finish_reason=None, usage={"prompt_tokens": 40, "completion_tokens": 300}, done=False)
        )

        person.ask(STREAM).get_data()

        assert bill(person.row()) == ("upstream_truncated", "estimated", 40, 300, cost(40, 300))

    @pytest.mark.chat_form
    def test_in_the_choice_is_read(self, person, upstream):
        end = chunk(finish_reason="stop")
        end["choices"][0]["usage"] = {"prompt_tokens": 40, "completion_tokens": 2}
        upstream.streams(chunk({"content": "x"}), end, "[DONE]")

        person.ask(STREAM).get_data()

        assert bill(person.row()) == ("complete", "reported", 40, 2, cost(40, 2))


UNTOLD = pytest.mark.parametrize("untold", [None, *further({}, {"total_tokens": 12})])


@ONE_ATTEMPT
class TestARepairOfWhichTheUpstreamTellsLessThanAll:
    """Of two answers, the second of which mends the first: "no JSON" is two tokens, and "{}" is one."""

    @pytest.fixture
    def mended(self, somebody, upstream):
        """How a request ended whose two answers tell these usages, and about how long the input of each was.

        In place of a usage, what becomes of its attempt: a status, or a failure of the connection.
        """

        def ask(first, second):
            second_told = not isinstance(second, Exception)
            person = somebody(user_budget_usd=1.0)
            for text, told in (("no JSON", first), ("{}", second)):
                if isinstance(told, int):
                    upstream.answers(error(), status=told)
                elif isinstance(told, Exception):
                    upstream.raises(told)
                else:
                    upstream.answers(completion(text, usage=told))
            person.ask("/api/structured")
            row, account = person.row(), person.account()
            assert row["held_micro_usd"] == sum(bound_of(body)[0] for body in bodies(upstream))
            assert row["cost_micro_usd"] <= row["held_micro_usd"]
            assert (account["held_micro_usd"], account["held_tokens"]) == (0, 0)
            assert (account["spent_micro_usd"], account["spent_tokens"]) == (row["cost_micro_usd"], row["tokens"])
            first, second = bodies(upstream)
            return bill(row), estimate_input(first), estimate_input(second) if second_told else ceiling_of(second)

        return ask

    @UNTOLD
    def test_as_it_tells_the_first(self, mended, untold):
        row, _, second = mended(USAGE, untold)

        assert row == ("complete", "estimated", 9 + second, 3 + 1, cost(9, 3) + cost(second, 1))

    @UNTOLD
    def test_as_it_tells_the_second(self, mended, untold):
        row, first, _ = mended(untold, USAGE)

        assert row == ("complete", "estimated", first + 9, 2 + 3, cost(first, 2) + cost(9, 3))

    @UNTOLD
    def test_as_it_tells_neither(self, mended, untold):
        row, first, second = mended(untold, untold)

        assert second > first
        assert row == ("complete", "estimated", first + second, 2 + 1, cost(first, 2) + cost(second, 1))

    def test_as_it_refuses_the_second(self, mended):
        row, _, _ = mended(USAGE, 500)

        assert row == ("upstream_error", "reported", 9, 3, cost(9, 3))

    @UNTOLD
    def test_as_it_refuses_the_second_and_does_not_tell_the_first(self, mended, untold):
        row, first, _ = mended(untold, 500)

        assert row == ("upstream_error", "estimated", first, 2, cost(first, 2))

    def test_as_it_loses_the_second(self, mended):
        row, _, (prompt, written, micro_usd) = mended(USAGE, httpx2.ReadError("reset"))

        assert row == ("upstream_error", "estimated", 9 + prompt, 3 + written, cost(9, 3) + micro_usd)

    @UNTOLD
    def test_as_it_loses_the_second_and_does_not_tell_the_first(self, mended, untold):
        row, first, (prompt, written, micro_usd) = mended(untold, httpx2.ReadError("reset"))

        assert row == ("upstream_error", "estimated", first + prompt, 2 + written, cost(first, 2) + micro_usd)

    def test_as_there_is_no_money_for_the_second(self, somebody, upstream):
        somebody().ask("/api/structured")
        micro_usd, _ = bound_of(bodies(upstream)[0])
        upstream.sent.clear()
        upstream.answers(completion("no JSON", usage=None))
        person = somebody(user_budget_usd=1.5 * micro_usd / 1e6)

        assert refused(person.ask("/api/structured")) == "5"

        [sent] = bodies(upstream)
        first = estimate_input(sent)
        assert bill(person.row()) == ("not_admitted", "estimated", first, 2, cost(first, 2))
        assert person.account()["held_micro_usd"] == 0

    @pytest.mark.chat_form
    def test_as_an_answer_is_long_counts_each_for_no_more_than_was_allowed(self, person, upstream):
        upstream.answers(completion("no JSON " * 40, usage=None))
        upstream.answers(completion("{}", usage=None))

        person.ask("/api/structured", maxTokens=10)

        assert person.row()["completion_tokens"] == 10 + 1

    def test_as_another_model_mends_it_costs_what_each_of_them_asks_for(self, somebody, upstream):
        person = somebody(chat_fallback_models=(SECOND,))
        usage = {"prompt_tokens": 10_000, "completion_tokens": 3}
        upstream.answers(completion("no JSON", usage=usage))
        upstream.answers(error(), status=500)
        upstream.answers({**completion("{}", usage=usage), "model": SECOND})

        assert person.ask("/api/structured").status_code == 200

        one, other = cost(10_000, 3), cost(10_000, 3, SECOND)
        assert one != other
        assert bill(person.row()) == ("complete", "reported", 20_000, 6, one + other)


@ONE_ATTEMPT
class TestARequestThatFails:
    @pytest.mark.parametrize(
        ("route", "status", "outcome"),
        crossed(
            [CHAT, STREAM, EMBEDDINGS],
            [(400, "rejected"), (401, "upstream_error"), (429, "upstream_error"), (500, "upstream_error")],
        ),
    )
    def test_by_the_upstreams_refusal_costs_nothing(self, person, upstream, route, status, outcome):
        upstream.answers(error(), status=status)

        assert person.ask(route).status_code >= 400

        row = person.row()
        assert bill(row) == (outcome, *NOTHING)
        assert (row["attempts"], row["price_version"]) == (1, Prices().version)

    @pytest.mark.parametrize("failure", [httpx2.ConnectError("refused"), httpx2.ConnectTimeout("")], ids=repr)
    def test_before_it_was_sent_costs_nothing(self, person, upstream, failure):
        upstream.raises(failure)

        assert person.ask().status_code >= 500

        assert bill(person.row())[1:] == NOTHING

    @pytest.mark.parametrize(
        ("failure", "outcome"),
        [
            (httpx2.ReadTimeout(""), "upstream_timeout"),
            (httpx2.ReadError("reset"), "upstream_error"),
            (httpx2.RemoteProtocolError("closed"), "upstream_error"),
        ],
        ids=repr,
    )
    def test_after_it_was_sent_is_taken_for_billed(self, person, upstream, frozen, failure, outcome):
        upstream.raises(failure)
        upstream.raises(failure)

        assert person.ask(CHAT).status_code >= 500
        assert person.ask(STREAM).status_code >= 500

        in_one_piece, streamed = person.rows()
        sent, sent_streamed = bodies(upstream)
        assert bill(in_one_piece) == (outcome, "estimated", *ceiling_of(sent))
        prompt = estimate_input(sent_streamed)
        assert bill(streamed) == (outcome, "estimated", prompt, frozen, cost(prompt, frozen))

    @pytest.mark.parametrize(
        ("route", "failure"),
        crossed([VISION, EMBEDDINGS, "/api/structured"], [httpx2.ReadTimeout(""), httpx2.ReadError("reset")]),
    )
    def test_after_it_was_sent_costs_all_that_it_held_on_every_route(self, person, upstream, route, failure):
        upstream.raises(failure)

        assert person.ask(route).status_code >= 500

        row = person.row()
        assert row["source"] == "estimated"
        assert row["tokens"] == row["held_tokens"] > 0
        ceiling = Usage(prompt_tokens=row["prompt_tokens"], completion_tokens=row["completion_tokens"])
        assert row["cost_micro_usd"] == Prices().cost_micro_usd(row["model"], ceiling) > 0

    @pytest.mark.parametrize("content", [b"<html>busy</html>", b'{"choices": ['])
    def test_by_an_answer_that_is_none_is_taken_for_billed(self, person, upstream, content):
        upstream.answers(content)

        assert person.ask().status_code == 502

        assert bill(person.row())[:2] == ("upstream_error", "estimated")

    def test_in_ways_that_the_upstream_did_not_refuse_twice_is_taken_for_billed_twice(self, somebody, upstream):
        person = somebody(retry_max_attempts=2)
        upstream.raises(httpx2.ReadError("reset"))
        upstream.raises(httpx2.ReadError("reset"))

        assert person.ask().status_code == 502

        [sent, _] = bodies(upstream)
        doubled = [2 * amount for amount in ceiling_of(sent)]
        assert bill(person.row()) == ("upstream_error", "estimated", *doubled)

    @pytest.mark.parametrize("then", [200, 400, 500])
    def test_in_doubt_counts_whatever_comes_of_the_next_attempt(self, somebody, upstream, then):
        person = somebody(retry_max_attempts=2)
        upstream.raises(httpx2.ReadTimeout(""))
        upstream.answers(completion() if then == 200 else error(), status=then)

        person.ask()

        [sent, _] = bodies(upstream)
        lost, lost_written, lost_cost = ceiling_of(sent)
        _, source, prompt, written, micro_usd = bill(person.row())
        told = (9, 3) if then == 200 else (0, 0)
        assert (source, prompt, written) == ("estimated", lost + told[0], lost_written + told[1])
        assert micro_usd == lost_cost + cost(*told)

    def test_in_doubt_costs_what_the_model_that_failed_costs_if_no_other_may_be_asked(self, somebody, upstream):
        message = "word " * 10_000
        somebody().ask(message=message)
        micro_usd, _ = bound_of(bodies(upstream)[0])
        upstream.sent.clear()
        upstream.raises(httpx2.ReadTimeout(""))
        person = somebody(chat_fallback_models=(SECOND,), user_budget_usd=1.01 * micro_usd / 1e6)

        assert refused(person.ask(message=message)) == "5"

        [sent] = bodies(upstream)
        assert person.row()["cost_micro_usd"] == ceiling_of(sent)[2]

    def test_in_doubt_costs_what_the_model_that_failed_costs(self, somebody, upstream):
        person = somebody(chat_fallback_models=(SECOND,))
        upstream.raises(httpx2.ReadTimeout(""))
        upstream.answers({**completion(), "model": SECOND})

        assert person.ask(message="word " * 10_000).status_code == 200

        row = person.row()
        assert row["cost_micro_usd"] == ceiling_of(bodies(upstream)[0])[2] + cost(9, 3, SECOND)
        assert (row["served_model"], row["source"]) == (SECOND, "estimated")

    def test_while_it_is_repaired_is_taken_for_billed_beside_the_first_answer(self, person, upstream):
        upstream.answers(completion("no JSON"))
        upstream.raises(httpx2.ReadTimeout(""))

        assert person.ask("/api/structured").status_code == 504

        prompt, written, micro_usd = ceiling_of(bodies(upstream)[1])
        assert bill(person.row())[1:] == ("estimated", 9 + prompt, 3 + written, cost(9, 3) + micro_usd)

    def test_and_is_left_before_it_is_tried_again_costs_nothing_where_it_was_refused(
        self, somebody, upstream, monkeypatch
    ):
        person = somebody(retry_max_attempts=2)
        upstream.answers(error(), status=503)
        monkeypatch.setattr("app.openai_service.streaming.ticks.sleep", lambda _: person.leave(monkeypatch))

        assert person.ask().status_code == 499

        assert bill(person.row()) == ("client_gone", *NOTHING)

    def test_by_a_bug_of_ours_is_settled_as_well(self, person, upstream, monkeypatch):
        monkeypatch.setattr("app.openai_service.service.read_completion", lambda *_: 1 / 0)

        assert person.ask().status_code == 500

        assert bill(person.row())[:2] == ("internal_error", "estimated")


PAYLOADS = stream_of(*["x"] * 8, usage=USAGE)


class TestAStreamThatBreaksOff:
    @ONE_ATTEMPT
    @each_row("end", ["reset", "end"])
    @each_row("sent", range(len(PAYLOADS) - 1))
    def test_at_the_upstream_is_one_row_whatever_had_come(self, newcomer, upstream, frozen, sent, end):
        person = newcomer()
        pieces = [sse(payload) for payload in PAYLOADS[:sent]]
        upstream.streams_bytes([*pieces, *([httpx2.ReadError("reset")] if end == "reset" else [])])

        person.ask(STREAM).get_data()

        row = person.row()
        tokens = min(max(sent - 1, 0), 8)
        is_whole = end == "end" and sent >= 10
        if is_whole and sent == 11:
            assert bill(row) == ("complete", "reported", 9, 3, cost(9, 3))
            return
        assert row["source"] == "estimated"
        assert row["outcome"] == ("complete" if is_whole else row["outcome"])
        prompt = estimate_input(bodies(upstream)[-1])
        assert row["prompt_tokens"] == prompt
        assert row["completion_tokens"] == (tokens if is_whole else tokens + frozen)
        assert row["cost_micro_usd"] == cost(prompt, row["completion_tokens"])

    @pytest.mark.chat_form
    def test_as_its_visitor_leaves_costs_what_is_told_by_then(self, person, upstream):
        upstream.streams(*PAYLOADS)

        answer = person.ask(STREAM)
        next(answer.response)
        answer.close()

        assert bill(person.row()) == ("client_gone", "reported", 9, 3, cost(9, 3))
        assert upstream.open_streams == 0

    @each_row("read", range(1, 9))
    def test_as_its_visitor_leaves_is_one_row_with_all_that_came(self, newcomer, upstream, frozen, read):
        person = newcomer()
        upstream.streams(*PAYLOADS[:5])  # the first has no text

        answer = person.ask(STREAM)
        for _ in range(min(read, 4)):
            next(answer.response)
        answer.close()

        row = person.row()
        prompt, written = estimate_input(bodies(upstream)[-1]), 4 + frozen
        assert bill(row) == ("client_gone", "estimated", prompt, written, cost(prompt, written))
        assert upstream.open_streams == 0

    def test_is_charged_by_its_text_and_not_by_its_chunks(self, person, upstream, frozen):
        upstream.streams(*stream_of(*["to be or not to be, " * 5] * 20)[:21])

        answer = person.ask(STREAM)
        next(answer.response)
        answer.close()

        assert person.row()["completion_tokens"] == pytest.approx(20 * 5 * 7 + frozen, rel=0.1)

    @ONE_ATTEMPT
    @pytest.mark.parametrize(("thinks_s", "written"), [(2.0, 2.05 * 2000), (9.0, 8000)])
    def test_while_the_model_thinks_is_charged_by_the_time_it_had(
        self, person, upstream, monkeypatch, thinks_s, written
    ):
        now = [1000.0]
        monkeypatch.setattr("app.openai_service.results.monotonic", lambda: now[0])

        def think():
            now[0] += thinks_s
            yield httpx2.ReadError("reset")

        upstream.streams_bytes(think())

        person.ask(STREAM, maxTokens=8000).get_data()

        assert person.row()["completion_tokens"] == written

    @ONE_ATTEMPT
    def test_is_charged_for_thinking_at_the_pace_of_what_could_be_seen(self, person, upstream, monkeypatch):
        now = [1000.0]
        monkeypatch.setattr("app.openai_service.results.monotonic", lambda: now[0])

        def write():
            now[0] += 2.0
            for payload in stream_of(*["x"] * 101)[:102]:
                yield sse(payload)
                now[0] += 0.02
            now[0] -= 0.02
            yield httpx2.ReadError("reset")

        upstream.streams_bytes(write())

        person.ask(STREAM).get_data()

        pace = 4 * 101 / 2.0
        assert person.row()["completion_tokens"] == pytest.approx(101 + (2.0 + 0.05) * pace, rel=0.02)

    def test_before_anything_of_it_was_read_is_one_row(self, person, upstream):
        upstream.streams(*PAYLOADS)

        person.ask(STREAM).close()

        assert person.row()["outcome"] == "client_gone"

    def test_once_it_was_whole_costs_what_the_upstream_says(self, person, upstream):
        upstream.streams(*PAYLOADS)

        answer = person.ask(STREAM)
        while b'"done"' not in next(answer.response):
            pass
        answer.close()

        assert bill(person.row()) == ("complete", "reported", 9, 3, cost(9, 3))

    @ONE_ATTEMPT
    def test_by_an_error_within_it_is_estimated(self, person, upstream, frozen):
        upstream.streams(*PAYLOADS[:4], error(kind="server_error"))

        person.ask(STREAM).get_data()

        _, source, _, written, _ = bill(person.row())
        assert (source, written) == ("estimated", 3 + frozen)

    @pytest.mark.chat_form
    def test_never_counts_more_than_was_allowed(self, person, upstream):
        upstream.streams(*[chunk({"content": "x"}) for _ in range(30)])

        person.ask(STREAM, maxTokens=10).get_data()

        assert person.row()["completion_tokens"] == 10


class TestNoRowIsLeft:
    def test_by_a_body_that_is_not_valid(self, person):
        assert person.ask(message=7).status_code == 400
        assert not person.rows()

    @pytest.mark.parametrize("route", [CHAT, STREAM, EMBEDDINGS])
    def test_by_a_model_that_is_not_offered(self, person, route):
        assert person.ask(route, model="unheard-of").status_code == 403
        assert not person.rows()

    def test_by_an_origin_that_is_refused(self, person):
        assert person.ask(headers={"Origin": "https://evil.example"}).status_code == 403
        assert not person.rows()

    def test_by_a_credential_that_is_refused(self, person):
        assert person.ask(headers={"Authorization": f"Bearer {KEY}"}).status_code == 401
        assert not person.rows()

    def test_by_a_stream_too_many(self, somebody, upstream):
        person = somebody(max_concurrent_streams=1)
        upstream.streams(*PAYLOADS)
        with closing(person.ask(STREAM)):
            assert person.ask(STREAM).status_code == 503
        assert len(person.rows()) == 1

    @ONE_ATTEMPT
    @pytest.mark.parametrize("route", [CHAT, STREAM])
    def test_while_the_circuit_is_open(self, somebody, upstream, route):
        person = somebody(breaker_failures=1)
        upstream.answers(error(), status=500)
        assert person.ask(route).status_code == 502

        answer = person.ask(route)

        assert (answer.status_code, answer.json["code"]) == (503, "circuit_open")
        assert len(upstream.sent) == 1
        assert len(person.rows()) == 1

    def test_by_a_schema_that_cannot_be_used(self, person):
        schema = {"type": "nonsense"}
        assert person.ask("/api/structured", schema=schema).status_code == 400
        assert not person.rows()


def refused(answer):
    """The code of a refusal, and when to try again."""
    assert answer.status_code == 429, answer.text
    assert answer.json["code"] == "budget_exceeded"
    return answer.headers.get("Retry-After")


class TestABudget:
    @pytest.fixture
    def bound(self, somebody, upstream):
        """The most that asking a route once can cost."""

        def find(route=CHAT, **fields):
            before = len(upstream.sent)
            upstream.streams(*PAYLOADS) if route == STREAM else upstream.answers(completion())
            somebody().ask(route, **fields).get_data()
            found = bound_of(bodies(upstream)[before])
            upstream.sent.clear()
            return found

        return find

    def settings(self, kind, bound, times=1):
        micro_usd, tokens = bound
        return {
            "usd": {"user_budget_usd": times * micro_usd / 1e6},
            "tokens": {"user_budget_tokens": times * tokens},
        }[kind]

    @pytest.mark.parametrize(("kind", "route"), crossed(["usd", "tokens"], [CHAT, STREAM]))
    def test_of_one_request_lets_one_through(self, somebody, upstream, bound, kind, route):
        person = somebody(**self.settings(kind, bound(route)))
        payloads = PAYLOADS if route == STREAM else None
        upstream.streams(*payloads) if payloads else upstream.answers(completion())

        assert person.ask(route).status_code == 200
        retry_after_s = int(refused(person.ask(route)))

        assert 1 <= retry_after_s <= 31 * 86_400
        assert len(upstream.sent) == 1
        assert len(person.rows()) == 1

    @pytest.mark.parametrize("kind", ["usd", "tokens"])
    def test_that_is_smaller_than_the_request_refuses_for_good(self, somebody, upstream, bound, kind):
        micro_usd, tokens = bound()
        person = somebody(**self.settings(kind, (micro_usd - 1, tokens - 1)))

        assert refused(person.ask()) is None
        assert refused(person.ask(STREAM)) is None
        assert person.ask(maxTokens=100).status_code == 200

        assert len(upstream.sent) == 1

    @pytest.mark.parametrize("kind", ["usd", "tokens"])
    def test_is_held_while_a_stream_runs_and_given_back_after(self, somebody, upstream, bound, kind):
        limits = bound(STREAM)
        person = somebody(**self.settings(kind, limits, times=1.5))
        upstream.streams(*PAYLOADS)

        running = person.ask(STREAM)
        next(running.response)

        account = person.account()
        assert (account["held_micro_usd"], account["held_tokens"]) == limits
        assert (account["spent_micro_usd"], account["spent_tokens"]) == (0, 0)
        assert refused(person.ask()) == "5"
        assert len(upstream.sent) == 1

        running.get_data()
        account = person.account()
        assert (account["held_micro_usd"], account["held_tokens"]) == (0, 0)
        assert (account["spent_micro_usd"], account["spent_tokens"]) == (cost(9, 3), 12)
        assert person.ask().status_code == 200

    def test_is_given_back_by_one_who_leaves(self, somebody, upstream, bound):
        person = somebody(**self.settings("usd", bound(STREAM), times=1.5))
        upstream.streams(*PAYLOADS)
        person.ask(STREAM).close()

        assert person.account()["held_micro_usd"] == 0
        assert person.account()["spent_micro_usd"] == person.row()["cost_micro_usd"] > 0

    @ONE_ATTEMPT
    def test_is_given_back_by_a_refusal(self, somebody, upstream, bound):
        person = somebody(**self.settings("usd", bound()))
        upstream.answers(error(), status=429)
        assert person.ask().status_code == 503

        assert person.ask().status_code == 200

    def test_of_tokens_holds_those_of_a_model_without_a_price(self, somebody, bound):
        _, tokens = bound()
        person = somebody(
            chat_model="homemade",
            default_encoding="o200k_base",
            chat_fallback_models=(),
            user_budget_tokens=tokens,
        )

        assert person.ask().status_code == 200
        assert refused(person.ask())
        assert person.account()["spent_tokens"] == 12

    @pytest.mark.parametrize(("whose", "route"), crossed(["user", "tenant"], [CHAT, STREAM]))
    def test_of_money_refuses_a_model_without_a_price(self, somebody, upstream, whose, route):
        person = somebody(chat_model="homemade", chat_fallback_models=(), **{f"{whose}_budget_usd": 1000.0})

        answer = person.ask(route)

        assert (answer.status_code, answer.json["code"]) == (502, "upstream_failed")  # the site has chosen it
        assert not upstream.sent
        assert not person.rows()

    @ONE_ATTEMPT
    def test_of_money_refuses_a_stand_in_without_a_price(self, somebody, upstream):
        person = somebody(chat_fallback_models=("homemade",), user_budget_usd=1000.0)
        upstream.answers(error(), status=500)

        assert person.ask().status_code == 502

        assert len(upstream.sent) == 1
        assert bill(person.row())[1:4] == NOTHING[:3]

    @ONE_ATTEMPT
    def test_of_tokens_lets_a_stand_in_without_a_price_answer(self, somebody, upstream):
        person = somebody(chat_fallback_models=("homemade",), user_budget_tokens=MANY_TOKENS)
        upstream.answers(error(), status=500)

        assert person.ask().status_code == 200

    def test_is_one_for_each_user(self, somebody, make_app, bound):
        settings = self.settings("usd", bound())
        app = make_app(**settings)
        one, other = Person(app), Person(app)

        assert [one.ask().status_code, one.ask().status_code] == [200, 429]
        assert other.ask().status_code == 200
        app.extensions["gatehouse"].database.close()

    @pytest.mark.parametrize("kind", ["usd", "tokens"])
    def test_of_a_tenant_is_one_for_all_its_users(self, make_app, upstream, bound, tmp_path, kind):
        limits = self.settings(kind, bound(), times=1.5)
        settings = {name.replace("user", "tenant"): value for name, value in limits.items()}
        app = make_app(**settings, database_url=f"sqlite:///{tmp_path}/tenant.sqlite3")
        upstream.answers(completion(usage={"prompt_tokens": 9, "completion_tokens": 8192 * 6 // 10}))
        one, other = Person(app), Person(app)

        assert one.ask().status_code == 200
        assert refused(other.ask())
        assert refused(one.ask())

        assert len(one.rows() + other.rows()) == 1
        app.extensions["gatehouse"].database.close()


@ONE_ATTEMPT
class TestAFurtherAttemptUnderABudget:
    @pytest.fixture
    def with_room_for(self, somebody, upstream):
        """Somebody who can pay for so many attempts at once, of which the first one fails."""

        def make(times, failure):
            somebody().ask()
            micro_usd, _ = bound_of(bodies(upstream)[0])
            upstream.sent.clear()
            if isinstance(failure, int):
                upstream.answers(error(), status=failure)
            else:
                upstream.raises(failure)
            return somebody(retry_max_attempts=2, user_budget_usd=times * micro_usd / 1e6), micro_usd

        return make

    @pytest.mark.parametrize(
        ("failure", "times"),
        [(httpx2.ReadTimeout(""), 2), (httpx2.ConnectError(""), 1), (500, 1), (429, 1)],
        ids=repr,
    )
    def test_holds_so_much_more_where_the_failed_one_may_be_billed(self, with_room_for, failure, times):
        person, micro_usd = with_room_for(times, failure)

        assert person.ask().status_code == 200

        assert person.row()["held_micro_usd"] == times * micro_usd
        assert person.account()["held_micro_usd"] == 0
        assert person.account()["spent_micro_usd"] == person.row()["cost_micro_usd"]

    def test_is_not_made_where_the_budget_has_no_room_for_both(self, with_room_for, upstream):
        person, _ = with_room_for(1.9, httpx2.ReadTimeout(""))

        assert refused(person.ask()) == "5"

        [sent] = bodies(upstream)
        _, source, prompt, written, micro_usd = bill(person.row())
        assert (source, prompt, written, micro_usd) == ("estimated", *ceiling_of(sent))
        assert person.account()["held_micro_usd"] == 0

    def test_at_a_dearer_model_holds_the_difference(self, somebody, upstream):
        somebody().ask()
        dear, tokens = bound_of(bodies(upstream)[0])
        upstream.answers(error(), status=500)
        person = somebody(chat_model=SECOND, chat_fallback_models=(FIRST,), user_budget_usd=dear / 1e6)

        assert person.ask().status_code == 200

        assert (person.row()["held_micro_usd"], person.row()["held_tokens"]) == (dear, tokens)

    def test_at_a_dearer_model_is_not_made_where_that_is_too_much_and_nothing_is_charged(self, somebody, upstream):
        somebody().ask()
        dear, _ = bound_of(bodies(upstream)[0])
        upstream.sent.clear()
        upstream.answers(error(), status=500)
        person = somebody(chat_model=SECOND, chat_fallback_models=(FIRST,), user_budget_usd=(dear - 1) / 1e6)

        assert person.ask().status_code == 429

        assert len(upstream.sent) == 1
        assert bill(person.row())[1:] == NOTHING
        assert person.account()["spent_micro_usd"] == 0

    def test_to_repair_an_answer_is_held_as_well(self, somebody, upstream):
        person = somebody(user_budget_usd=1.0)
        upstream.answers(completion("no JSON"))
        upstream.answers(completion("{}"))

        assert person.ask("/api/structured").status_code == 200

        first, second = bodies(upstream)
        assert person.row()["held_micro_usd"] == bound_of(first)[0] + bound_of(second)[0]

    @pytest.mark.parametrize("failure", [500, httpx2.ReadTimeout("")], ids=repr)
    def test_to_repair_an_answer_after_a_failure_is_held_and_counted_once(self, somebody, upstream, failure):
        person = somebody(user_budget_usd=1.0, retry_max_attempts=2)
        if isinstance(failure, int):
            upstream.answers(error(), status=failure)
        else:
            upstream.raises(failure)
        upstream.answers(completion("no JSON"))
        upstream.answers(completion("{}"))

        assert person.ask("/api/structured").status_code == 200

        bounds = [bound_of(body)[0] for body in bodies(upstream)]
        row = person.row()
        if isinstance(failure, int):
            assert row["held_micro_usd"] == bounds[0] + bounds[2]
        else:
            assert row["held_micro_usd"] == sum(bounds)
            lost = row["prompt_tokens"] - 18
            assert lost == ceiling_of(bodies(upstream)[0])[0]


def test_a_picture_is_held_at_its_tokens_and_not_its_bytes(somebody, upstream):
    person = somebody(user_budget_tokens=40_000)
    content = io.BytesIO()
    Image.effect_noise((600, 600), 100).save(content, "PNG")
    data = base64.b64encode(content.getvalue()).decode()

    assert person.ask(VISION, imageUrl=f"data:image/png;base64,{data}").status_code == 200

    assert len(data) > 300_000
    assert person.row()["held_tokens"] < 40_000
