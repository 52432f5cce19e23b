"""The header X-Simulate: every state of a page, from the offline model, in development only."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app import create_app
from app.config import Config
from app.offline_model.simulation import play
from app.web.pages.simulation import list_simulated
from tests.conftest import ORIGIN
from tests.fakes.wire.reading import events_of

HELLO = {"message": "Hello"}


@pytest.fixture
def waited(monkeypatch):
    """The pauses of the offline model, none of which takes any time."""
    kept = []
    monkeypatch.setattr("app.offline_model.simulation.time.sleep", kept.append)
    yield kept
    play("")  # the next test has the same thread


@pytest.fixture(params=["", "gpt-6.1-terra"])
def offline(request, waited):
    """A client over the offline model, which is asked at /chat/completions, and at /responses if it plays a model."""
    api = "responses" if request.param else "auto"
    config = Config(offline_model_as=request.param, upstream_api=api, allowed_origins=(ORIGIN,))
    return create_app(config).test_client()


def ask(client, state, path="/api/chat", **headers):
    return client.post(path, json=HELLO, headers={"X-Simulate": state, **headers})


def stream(client, state):
    answer = ask(client, state, "/api/chat/stream")
    assert answer.status_code == 200
    return events_of(answer.data)


def test_a_rate_limit_says_when_to_try_again(offline):
    answer = ask(offline, "rate-limit")

    assert (answer.status_code, answer.json["code"], answer.headers["Retry-After"]) == (429, "rate_limited", "5")


def test_a_busy_model_says_when_to_try_again(offline):
    answer = ask(offline, "unavailable", "/api/chat/stream")

    assert (answer.status_code, answer.json["code"]) == (503, "upstream_rate_limited")
    assert answer.headers["Retry-After"] == "5"


def test_a_refusal_is_an_answer(offline):
    answer = ask(offline, "refusal")
    events = stream(offline, "refusal")

    assert answer.json["reply"] == "I'm sorry, but I can't help with that."
    assert "".join(event.get("token", "") for event in events) == answer.json["reply"]
    structured = offline.post("/api/structured", json={"prompt": "Hi"}, headers={"X-Simulate": "refusal"})
    assert (structured.status_code, structured.json["code"]) == (422, "refused")


def test_a_content_filter_ends_the_answer_in_the_middle(offline):
    whole = offline.post("/api/chat", json=HELLO).json["reply"]
    events = stream(offline, "content-filter")

    text = "".join(event.get("token", "") for event in events)
    assert events[-1]["finishReason"] == "content_filter"
    assert 0 < len(text) < len(whole)
    assert whole.startswith(text)
    assert ask(offline, "content-filter").json["finishReason"] == "content_filter"


def test_a_stream_breaks_off_in_the_middle_and_says_so(offline):
    events = stream(offline, "cut")

    assert events[0]["token"]
    assert events[-1]["code"] == "upstream_truncated"
    assert "done" not in events[-1]


def test_silence_lasts_five_seconds(offline, waited):
    events = stream(offline, "silence")
    assert events[-1]["done"] is True
    assert [pause for pause in waited if pause >= 1] == [5.0]
    waited.clear()

    assert ask(offline, "silence").status_code == 200
    assert waited == [5.0]


def test_slow_tokens_are_slow(offline, waited):
    stream(offline, "slow")

    assert set(waited) == {0.4}


def test_the_next_request_plays_nothing(offline):
    for state in list_simulated():
        ask(offline, state, "/api/chat/stream").close()
        answer = offline.post("/api/chat", json=HELLO)
        assert (answer.status_code, answer.json["finishReason"]) == (200, "stop"), state
        assert "offline model" in answer.json["reply"]


def test_the_openai_routes_and_forms_obey_it_too(offline):
    body = {"messages": [{"role": "user", "content": "Hi"}]}

    answer = offline.post("/v1/chat/completions", json=body, headers={"X-Simulate": "refusal"})
    page = offline.post(
        "/embed/ask", data={"message": "Hi"}, headers={"X-Simulate": "rate-limit", "Accept": "text/html"}
    )

    assert answer.json["choices"][0]["message"]["refusal"]
    assert (page.status_code, "Try again in 5 seconds." in page.text) == (429, True)


def test_an_unknown_state_is_refused_with_those_that_exist(offline):
    answer = ask(offline, "flood")

    assert answer.status_code == 400
    assert all(state in answer.json["error"] for state in list_simulated())


def test_pages_of_allowed_origins_may_send_it(offline):
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-simulate",
    }

    answer = offline.options("/api/chat", headers=asked)

    assert answer.headers["Access-Control-Allow-Headers"].lower() == "x-simulate"


def test_it_is_refused_in_production_and_with_a_key(make_app, upstream):
    production = make_app(
        app_env="production",
        secret_key="s" * 40,
        auth_required=False,
        address_rate_limit="9/minute",
        anonymous_budget_usd=1,
        trusted_hosts=("localhost",),
        anonymous_scopes=("chat",),
    )

    for client in (production.test_client(), make_app().test_client()):
        answer = ask(client, "refusal")
        assert answer.status_code == 403
        assert answer.json["error"] == "X-Simulate: works only in development, with the offline model."
    assert upstream.sent == []


def test_the_document_lists_every_state():
    page = (Path(__file__).parents[2] / "docs/console.md").read_text()

    assert re.findall(r"^\| `([\w-]+)` \|", page, re.MULTILINE) == ["X-Simulate", *list_simulated()]
