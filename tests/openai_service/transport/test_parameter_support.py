from __future__ import annotations

import pytest

from app.openai_service.errors import UpstreamRejected
from app.openai_service.transport.parameter_support import ParameterSupport
from tests.fakes.openai_answers import completion, error, stream_of
from tests.fakes.reading import events_of

pytestmark = pytest.mark.one_attempt

HI = {"message": "Hi"}


def refuse(upstream, param, code="unsupported_parameter", status=400):
    upstream.answers(error("Unsupported", code=code, param=param), status=status)


def limits(upstream):
    """How each request sent named its limit of tokens."""
    return [[name for name in sent.body if name.startswith("max_")] for sent in upstream.sent]


@pytest.mark.parametrize("own", ["max_tokens", "max_completion_tokens"])
def test_a_model_that_wants_the_other_name_of_a_limit_gets_it_from_then_on(make_app, upstream, own):
    other = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}[own]
    client = make_app(max_tokens_param=own).test_client()
    refuse(upstream, own)

    first = client.post("/api/chat", json=HI | {"maxTokens": 5})
    second = client.post("/api/chat", json=HI)

    assert limits(upstream) == [[own], [other], [other]]
    assert upstream.sent[1].body[other] == 5
    assert (first.status_code, first.headers["X-Attempts"]) == (200, "2")
    assert (second.status_code, second.headers["X-Attempts"]) == (200, "1")
    assert first.headers["X-Params-Adjusted"] == second.headers["X-Params-Adjusted"] == f"{own}={other}"


def test_a_temperature_that_a_model_does_not_take_is_left_out_and_said_so(client, upstream):
    refuse(upstream, "temperature", "unsupported_value")

    answers = [client.post("/api/chat", json=HI | {"temperature": 0.5}) for _ in range(2)]

    assert ["temperature" in sent.body for sent in upstream.sent] == [True, False, False]
    assert [answer.headers["X-Params-Adjusted"] for answer in answers] == ["temperature=dropped"] * 2


def test_a_call_that_does_not_name_the_parameter_is_not_said_to_be_adjusted(client, upstream):
    refuse(upstream, "temperature", "unsupported_value")
    client.post("/api/chat", json=HI | {"temperature": 0.5})

    assert "X-Params-Adjusted" not in client.post("/api/chat", json=HI).headers


def test_several_refusals_are_met_one_after_the_other(client, upstream):
    refuse(upstream, "max_completion_tokens")
    refuse(upstream, "temperature", "unsupported_value")

    answer = client.post("/api/chat", json=HI | {"temperature": 0.5})

    assert (answer.status_code, answer.headers["X-Attempts"]) == (200, "3")
    assert limits(upstream) == [["max_completion_tokens"], ["max_tokens"], ["max_tokens"]]


def test_what_one_model_does_not_take_another_still_gets(make_app, upstream):
    client = make_app(allowed_models=("gpt-6-luna",)).test_client()
    refuse(upstream, "temperature", "unsupported_value")
    client.post("/api/chat", json=HI | {"temperature": 0.5})

    client.post("/api/chat", json=HI | {"temperature": 0.5, "model": "gpt-6-luna"})

    assert upstream.sent[-1].body["temperature"] == 0.5


def test_a_model_that_refuses_both_names_is_not_asked_for_ever(client, upstream):
    refuse(upstream, "max_completion_tokens")
    refuse(upstream, "max_tokens")

    answer = client.post("/api/chat", json=HI)

    assert (answer.status_code, len(upstream.sent)) == (400, 2)
    assert answer.json["error"].startswith("maxTokens: ")


@pytest.mark.parametrize(
    ("param", "code"),
    [
        ("temperature", "invalid_value"),
        ("temperature", None),
        ("messages", "unsupported_value"),
        ("tools", "unsupported_parameter"),
        ("stream_options", "unsupported_parameter"),
        ("model", "unsupported_value"),
        (None, "unsupported_parameter"),
    ],
)
def test_any_other_refusal_is_the_callers_to_read(client, upstream, param, code):
    refuse(upstream, param, code)
    tools = [{"type": "function", "function": {"name": "f"}}]

    answer = client.post("/api/chat", json=HI | {"temperature": 0.5, "tools": tools})

    assert (answer.status_code, len(upstream.sent)) == (400, 1)


@pytest.mark.parametrize("status", [401, 404, 429, 500])
def test_an_error_that_is_no_refusal_of_the_request_teaches_nothing(client, upstream, status):
    refuse(upstream, "temperature", "unsupported_value", status)
    client.post("/api/chat", json=HI | {"temperature": 0.5})
    assert len(upstream.sent) == 1

    client.post("/api/chat", json=HI | {"temperature": 0.5})

    assert upstream.sent[-1].body["temperature"] == 0.5


def test_streams_are_adapted_alike(client, upstream):
    refuse(upstream, "stream_options")
    refuse(upstream, "max_completion_tokens")
    upstream.streams(*stream_of("Hi", usage=None))

    answer = client.post("/api/chat/stream", json=HI)

    assert [("stream_options" in sent.body, sent.body["stream"]) for sent in upstream.sent] == [
        (True, True),
        (False, True),
        (False, True),
    ]
    assert answer.headers["X-Attempts"] == "3"
    assert events_of(answer.data)[-1]["usage"] is None
    assert upstream.open_streams == 0


def test_a_repair_is_sent_as_the_model_takes_it(client, upstream):
    refuse(upstream, "max_completion_tokens")
    upstream.answers(completion("no JSON"))
    upstream.answers(completion("{}"))

    answer = client.post("/api/structured", json={"prompt": "Hi"})

    assert (answer.status_code, answer.headers["X-Attempts"]) == (200, "3")
    assert limits(upstream) == [["max_completion_tokens"], ["max_tokens"], ["max_tokens"]]


def test_two_calls_that_learn_the_same_at_once_are_both_sent_again():
    adaptation = ParameterSupport()
    refusal = UpstreamRejected(param="temperature", upstream_code="unsupported_value")
    bodies = [{"temperature": 1.0}, {"temperature": 1.0}]  # both sent before either was refused

    assert [adaptation.learn("m", refusal, body, set()) for body in bodies] == [True, True]
    assert [adaptation.adapt("m", body) for body in bodies] == [({}, {"temperature": "dropped"})] * 2
