"""No hold is beyond a model's context window, and what cannot fit into it is refused before any."""

from __future__ import annotations

from contextlib import closing

import pytest

from app.models.pricing.catalog import Prices
from app.models.token_counts import cap_input, find_window
from app.models.token_counts.estimates import bound_input, min_tokens
from tests.fakes.person import Person
from tests.fakes.tables import further
from tests.fakes.upstreams.openai_answers import error
from tests.fakes.wire.bodies import SMALLEST

SMALL, LARGE = "gpt-4o", "gpt-4.1"
WINDOW = find_window(SMALL)
RUN = "x" * 3 * WINDOW  # one long word: no count can be sure that it does not fit
WORDS = "a " * (WINDOW + 100)
MB = 1_000_000


@pytest.fixture
def person(make_app):
    app = make_app(
        chat_model=SMALL, vision_model=SMALL, chat_fallback_models=(), user_budget_usd=50.0, max_body_bytes=20 * MB
    )
    with closing(app.extensions["gatehouse"].database):
        yield Person(app)


def ask(person, route, text):
    return person.ask(
        route, **{next(name for name in ("message", "prompt", "input") if name in SMALLEST[route]): text}
    )


CHATS = pytest.mark.parametrize("route", ["/api/chat", "/api/chat/stream", "/api/vision", "/api/structured"])


@CHATS
def test_a_hold_is_no_more_than_the_window(person, upstream, route):
    upstream.answers(error(code="context_length_exceeded"), status=400)

    answer = ask(person, route, RUN)

    assert (answer.status_code, answer.json["code"]) == (400, "context_length_exceeded")
    row = person.row()
    assert len(upstream.sent) == 1
    most = upstream.sent[0].body["max_completion_tokens"]
    assert row["held_micro_usd"] == Prices().bound_micro_usd(SMALL, WINDOW - most, most)
    assert row["cost_micro_usd"] == 0


@pytest.mark.parametrize(
    "route", ["/api/chat", "/api/embeddings", *further("/api/chat/stream", "/api/vision", "/api/structured")]
)
def test_what_cannot_fit_is_refused_before_any_hold(person, upstream, route):
    answer = ask(person, route, WORDS)

    assert (answer.status_code, answer.json["code"]) == (400, "context_length_exceeded")
    assert upstream.sent == []
    assert person.rows() == []


def test_vectors_are_held_for_the_window_of_each_text():
    body = {"input": ["x" * 50_000] * 3}
    bound = bound_input(body, "text-embedding-3-small")

    assert bound > 150_000
    assert cap_input(bound, "text-embedding-3-small", 0, 3) == 3 * 8192
    assert cap_input(bound, "a-model-of-ones-own", 0, 3) == bound


@pytest.mark.parametrize(("output", "left"), [(0, WINDOW), (1_000, WINDOW - 1_000), (WINDOW, 0), (WINDOW + 5, 0)])
def test_an_answer_shares_the_window(output, left):
    assert cap_input(10**9, SMALL, output) == left
    assert cap_input(7, LARGE, output) == 7


@pytest.mark.parametrize("blank", [" ", "\n", "\t", "  ", " \r\n"])
@pytest.mark.parametrize("words", [0, 1, 2, 70_000])
def test_words_are_counted_at_least(blank, words):
    text = blank.join(["word"] * words)

    assert words - 1 - len(text) // 65_536 <= min_tokens(text.encode()) <= words
