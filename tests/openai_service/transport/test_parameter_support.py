from __future__ import annotations

import pytest

from app.openai_service.errors import UpstreamRejected
from app.openai_service.transport.parameter_support import ParameterSupport
from app.openai_service.transport.request_bodies import CHAT_PATH
from tests.fakes.tables import crossed, each_row
from tests.fakes.upstreams.openai_answers import completion, error, stream_of
from tests.fakes.wire.reading import events_of

pytestmark = pytest.mark.one_attempt

HI = {"message": "Hi"}


# What the table of families does not know, only refusals tell.
UNKNOWN = "owner-model"


@pytest.fixture
def client(make_app):
    return make_app(chat_model=UNKNOWN).test_client()


def refuse(upstream, param, code="unsupported_parameter", status=400):
    upstream.answers(error("Unsupported", code=code, param=param), status=status)


def limits(upstream):
    """How each request sent named its limit of tokens."""
    return [[name for name in sent.body if name.startswith("max_")] for sent in upstream.sent]


@pytest.mark.parametrize("own", ["max_tokens", "max_completion_tokens"])
@pytest.mark.chat_form
def test_a_model_that_wants_the_other_name_of_a_limit_gets_it_from_then_on(make_app, upstream, own):
    other = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}[own]
    client = make_app(chat_model=UNKNOWN, max_tokens_param=own).test_client()
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


@pytest.mark.chat_form
def test_several_refusals_are_met_one_after_the_other(client, upstream):
    refuse(upstream, "max_completion_tokens")
    refuse(upstream, "temperature", "unsupported_value")

    answer = client.post("/api/chat", json=HI | {"temperature": 0.5})

    assert (answer.status_code, answer.headers["X-Attempts"]) == (200, "3")
    assert limits(upstream) == [["max_completion_tokens"], ["max_tokens"], ["max_tokens"]]


def test_what_one_model_does_not_take_another_still_gets(make_app, upstream):
    client = make_app(chat_model=UNKNOWN, allowed_models=("gpt-4o",)).test_client()
    refuse(upstream, "temperature", "unsupported_value")
    client.post("/api/chat", json=HI | {"temperature": 0.5})

    client.post("/api/chat", json=HI | {"temperature": 0.5, "model": "gpt-4o"})

    assert upstream.sent[-1].body["temperature"] == 0.5


def test_a_model_that_refuses_both_names_is_not_asked_for_ever(client, upstream):
    refuse(upstream, "max_completion_tokens")
    refuse(upstream, "max_tokens")

    answer = client.post("/api/chat", json=HI)

    assert (answer.status_code, len(upstream.sent)) == (400, 2)
    assert answer.json["error"].startswith("maxTokens: ")


@each_row(
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
    upstream.sent.clear()
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


@pytest.mark.chat_form
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


@pytest.mark.chat_form
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

    assert [adaptation.learn(CHAT_PATH, "m", refusal, body, set()) for body in bodies] == [True, True]
    assert [adaptation.adapt(CHAT_PATH, "m", body) for body in bodies] == [({}, {"temperature": "dropped"})] * 2


TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
TOOLS_WHILE_REASONING = (
    "Function tools with reasoning_effort are not supported for owner-model in /v1/chat/completions."
    " To use function tools, use /v1/responses or set reasoning_effort to 'none'."
)


def say(upstream, message, param=None, code=None):
    upstream.answers(error(message, code=code, param=param), status=400)


PARAMETERS = [
    ("topP", "top_p", 0.5),
    ("stop", "stop", "END"),
    ("seed", "seed", 7),
    ("verbosity", "verbosity", "low"),
    ("reasoningEffort", "reasoning_effort", "low"),
    ("serviceTier", "service_tier", "flex"),
]


class TestWhatARefusalTeaches:
    """Each at the cost of one attempt of one model, however many requests come after it."""

    @pytest.mark.parametrize(
        ("code", "field", "param", "value"), crossed(["unsupported_parameter", None], PARAMETERS)
    )
    @pytest.mark.chat_form
    def test_a_parameter_that_is_not_supported_is_left_out(self, client, upstream, field, param, value, code):
        say(upstream, f"Unsupported parameter: '{param}' is not supported with this model.", param, code)

        answers = [client.post("/api/chat", json=HI | {field: value}) for _ in range(2)]

        assert [param in sent.body for sent in upstream.sent] == [True, False, False]
        assert [answer.headers["X-Params-Adjusted"] for answer in answers] == [f"{field}=dropped"] * 2

    @pytest.mark.parametrize("code", ["unsupported_value", None])
    def test_a_value_is_replaced_by_the_nearest_that_is_supported(self, client, upstream, code):
        message = "Unsupported value: 'reasoning_effort' does not support 'max' with this model. Supported values are: 'none', 'low', 'medium', and 'high'."
        say(upstream, message, "reasoning_effort", code)

        for effort in ("max", "xhigh", "low", "minimal", "none"):
            assert client.post("/api/chat", json=HI | {"reasoningEffort": effort}).status_code == 200

        sent = [sent.body["reasoning_effort"] for sent in upstream.sent]
        assert sent == ["max", "high", "high", "low", "low", "none"]

    def test_the_only_supported_value_is_sent(self, client, upstream):
        message = "Unsupported value: 'verbosity' does not support 'low' with this model. Supported values are: 'medium'."
        say(upstream, message, "verbosity", "unsupported_value")

        answer = client.post("/api/chat", json=HI | {"verbosity": "low"})

        assert [sent.body["verbosity"] for sent in upstream.sent] == ["low", "medium"]
        assert answer.headers["X-Params-Adjusted"] == "verbosity=medium"

    def test_a_parameter_that_must_be_sent_is_added_and_beside_tools_only(self, make_app, upstream):
        client = make_app(chat_model=UNKNOWN, upstream_api="chat").test_client()
        say(upstream, TOOLS_WHILE_REASONING, "reasoning_effort")

        first = client.post("/api/chat", json=HI | {"tools": [TOOL]})
        client.post("/api/chat", json=HI | {"tools": [TOOL], "reasoningEffort": "high"})
        plain = client.post("/api/chat", json=HI | {"reasoningEffort": "high"})

        assert [sent.body.get("reasoning_effort") for sent in upstream.sent] == [None, "none", "none", "high"]
        assert all("tools" in sent.body for sent in upstream.sent[:3])
        assert first.headers["X-Params-Adjusted"] == "reasoningEffort=none"
        assert "X-Params-Adjusted" not in plain.headers

    def test_a_model_that_takes_neither_is_not_asked_for_ever(self, make_app, upstream):
        client = make_app(chat_model=UNKNOWN, upstream_api="chat").test_client()
        for _ in range(3):
            say(upstream, TOOLS_WHILE_REASONING, "reasoning_effort")

        answer = client.post("/api/chat", json=HI | {"tools": [TOOL]})

        assert (answer.status_code, len(upstream.sent)) == (400, 2)

    def test_a_family_that_never_takes_tools_here_is_not_tried_in_vain(self, make_app, upstream):
        client = make_app(chat_model="gpt-6-astra").test_client()
        say(upstream, TOOLS_WHILE_REASONING, "reasoning_effort")

        answer = client.post("/api/chat", json=HI | {"tools": [TOOL]})

        assert (answer.status_code, len(upstream.sent)) == (400, 1)

    def test_the_effort_of_one_caller_takes_no_temperature_from_another(self, client, upstream):
        say(upstream, "Unsupported value: 'temperature' does not support 0.5 with this model.", "temperature")

        for effort in ("high", "high", "none", None):
            client.post("/api/chat", json=HI | {"temperature": 0.5, "reasoningEffort": effort})

        assert ["temperature" in sent.body for sent in upstream.sent] == [True, False, False, True, True]

    @each_row("param", ["tools", "messages", "response_format", "tool_choice", "model"])
    def test_what_makes_a_request_another_one_is_never_left_out(self, client, upstream, param):
        upstream.sent.clear()
        say(upstream, f"Unsupported parameter: '{param}' is not supported with this model.", param)

        answer = client.post("/api/chat", json=HI | {"tools": [TOOL], "toolChoice": "auto"})

        assert (answer.status_code, len(upstream.sent)) == (400, 1)

    @pytest.mark.parametrize(
        "message",
        [
            "Invalid 'stop': 'Supported values are: 'END''",
            "Invalid value: 'set reasoning_effort to 'none''",
            "The words 'Function tools with reasoning_effort are not supported' are not allowed.",
        ],
    )
    @pytest.mark.chat_form
    def test_what_a_caller_wrote_and_is_quoted_teaches_nothing(self, client, upstream, message):
        say(upstream, message, "stop", "invalid_value")

        answer = client.post("/api/chat", json=HI | {"stop": "x", "tools": [TOOL], "reasoningEffort": "high"})

        assert (answer.status_code, len(upstream.sent)) == (400, 1)
        client.post("/api/chat", json=HI | {"stop": "x", "tools": [TOOL], "reasoningEffort": "high"})
        assert (upstream.sent[-1].body["stop"], upstream.sent[-1].body["reasoning_effort"]) == ("x", "high")

    def test_each_endpoint_of_a_model_has_its_own(self):
        support = ParameterSupport()
        refusal = UpstreamRejected(param="reasoning.effort", upstream_code="unsupported_parameter")
        body = {"reasoning_effort": "low"}

        assert support.learn("/responses", "m", refusal, body, set())
        assert support.adapt("/responses", "m", body) == ({}, {"reasoningEffort": "dropped"})
        assert support.adapt(CHAT_PATH, "m", body) == (body, {})

    def test_what_is_known_is_bounded(self):
        support = ParameterSupport()
        for number in range(3_000):
            refusal = UpstreamRejected(param="seed", upstream_code="unsupported_parameter")
            assert support.learn(CHAT_PATH, f"m{number}", refusal, {"seed": 1}, set())

        assert len(support._learned) <= 1_000
