"""A model without a price under a budget in dollars: whose fault it is depends on who chose it."""

from __future__ import annotations

from contextlib import closing

import pytest

from app.billing.ledger.ledger import Ledger
from tests.fakes.person import Person
from tests.fakes.tables import crossed, each_row
from tests.fakes.upstreams.openai_answers import completion, error, stream_of

UNPRICED = "a-model-of-ones-own"


@pytest.fixture
def ask(make_app, monkeypatch, clock):
    monkeypatch.setattr("app.web.call_context._hinted_at", {})

    def post(route="/api/chat", *, fields=None, **settings):
        app = make_app(user_budget_usd=1.0, **settings)
        with closing(app.extensions["gatehouse"].database):
            person = Person(app)
            answer = person.ask(route, **(fields or {}))
            answer.get_data()
            return answer, person.rows()

    return post


@pytest.fixture
def budgeted(make_app):
    return make_app(user_budget_usd=1.0)


@pytest.fixture
def hints(monkeypatch):
    """What the log says at the level ERROR."""
    kept = []
    monkeypatch.setattr(
        "app.web.call_context.log.error", lambda event, *, extra: kept.append((event, *extra.values()))
    )
    return kept


@pytest.mark.parametrize("route", ["/api/chat", "/api/chat/stream"])
def test_a_fallback_without_a_price_is_the_sites_fault(ask, upstream, hints, route):
    upstream.answers(error(), status=500)

    answer, [row] = ask(route, chat_fallback_models=(UNPRICED,), retry_max_attempts=1)

    assert (answer.status_code, answer.json["code"]) == (502, "upstream_failed")
    assert UNPRICED not in answer.text
    assert len(upstream.sent) == 1
    assert (row["state"], row["cost_micro_usd"]) == ("settled", 0)
    [(event, model, hint)] = hints
    assert (event, model) == ("price.missing", UNPRICED)
    assert "PRICES_FILE" in hint


@pytest.mark.parametrize(
    ("fields", "route", "setting"),
    crossed(
        {"unnamed": {}, "named": {"model": UNPRICED}},
        [
            ("/api/chat", "chat_model"),
            ("/api/chat/stream", "chat_model"),
            ("/api/structured", "chat_model"),
            ("/api/vision", "vision_model"),
            ("/api/embeddings", "embedding_model"),
        ],
    ),
)
def test_a_default_without_a_price_is_the_sites_fault(ask, upstream, hints, route, setting, fields):
    answer, _ = ask(route, fields=fields, **{setting: UNPRICED}, chat_fallback_models=())

    assert (answer.status_code, answer.json["code"]) == (502, "upstream_failed")
    assert UNPRICED not in answer.text
    assert upstream.sent == []
    assert [(event, model) for event, model, _ in hints] == [("price.missing", UNPRICED)]


# Of 9 tokens of input, for 1 micro-dollar each, and 3 of output for 5.
COSTS = {None: 24, "default": 24, "flex": 12, "priority": 48, "scale": None}


class TestServiceTiers:
    @pytest.mark.parametrize("route", ["/api/chat", "/api/chat/stream", "/api/structured"])
    def test_one_without_a_price_is_the_callers_choice(self, ask, upstream, hints, route):
        answer, _ = ask(route, fields={"serviceTier": "priority"}, chat_model="gpt-5.4-nano")

        assert (answer.status_code, answer.json["code"]) == (403, "forbidden")
        assert answer.json["error"].startswith("serviceTier: its price is unknown")
        assert (upstream.sent, hints) == ([], [])

    def test_the_sites_own_is_the_sites_fault(self, ask, upstream, hints):
        answer, _ = ask(service_tier="priority", chat_model="gpt-5.4-nano", chat_fallback_models=())

        assert answer.status_code == 502
        assert [event for event, *_ in hints] == ["price.missing"]

    def test_nor_is_a_model_without_any_price_the_callers(self, ask, upstream, hints):
        answer, _ = ask(fields={"serviceTier": "flex"}, chat_model=UNPRICED, chat_fallback_models=())

        assert answer.status_code == 502
        assert [event for event, *_ in hints] == ["price.missing"]

    @each_row(
        "route",
        ["/api/chat", "/api/chat/stream", "/api/structured", "/api/structured/stream"],
        quickly=lambda route: route in {"/api/chat", "/api/structured/stream"},
    )
    @each_row("served", [*COSTS, "", 7])
    @each_row("asked", [None, "flex", "priority"])
    def test_the_price_is_that_of_the_tier_that_served(self, budgeted, upstream, route, served, asked):
        person = Person(budgeted)
        reported = {} if served is None else {"service_tier": served}
        if "stream" in route:
            upstream.streams(*(each if isinstance(each, str) else each | reported for each in stream_of("{}")))
        else:
            upstream.answers(completion("{}") | reported)

        answer = person.ask(route, **({} if asked is None else {"serviceTier": asked}))

        assert answer.status_code == 200
        answer.get_data()
        row = person.row()
        assert row["cost_micro_usd"] == COSTS[served if served in COSTS and served else asked]

    def test_what_is_asked_for_is_what_is_held(self, ask, upstream, monkeypatch):
        held, keep = [], Ledger.hold

        def hold(*args, micro_usd, **others):
            held.append(micro_usd)
            return keep(*args, micro_usd=micro_usd, **others)

        monkeypatch.setattr(Ledger, "hold", hold)
        for tier in ("default", "flex", "priority"):
            ask(fields={"serviceTier": tier, "maxTokens": 1_000})

        standard, flex, priority = held
        assert abs(flex - standard) < 10  # the names differ in length
        assert priority > 1.9 * standard


def test_a_choice_without_a_price_is_the_callers(ask, upstream, hints):
    answer, _ = ask(fields={"model": UNPRICED}, allowed_models=(UNPRICED,))

    assert (answer.status_code, answer.json["code"]) == (403, "forbidden")
    assert answer.json["error"].startswith("model")
    assert (upstream.sent, hints) == ([], [])


def test_the_hint_comes_once_a_minute(ask, upstream, hints, clock):
    for seconds in (0, 30, 29, 1, 59):
        clock.move(seconds)
        upstream.answers(error(), status=500)
        assert ask(chat_fallback_models=(UNPRICED,), retry_max_attempts=1)[0].status_code == 502

    assert len(hints) == 2


def test_without_a_budget_in_dollars_no_price_is_needed(make_app, upstream):
    upstream.answers(completion("Hello"))

    assert make_app(chat_model=UNPRICED).test_client().post("/api/chat", json={"message": "Hi"}).status_code == 200
