"""What a refusal keeps for its caller: the parameter, the place in a schema, the code; and what it never tells."""

from __future__ import annotations

import pytest

from app.openai_service.errors import (
    ContentFiltered,
    ContextLengthExceeded,
    InvalidImage,
    UpstreamFailed,
    UpstreamRateLimited,
)
from app.openai_service.transport.sdk_errors import translate_error_object
from tests.fakes.tables import crossed, each_row
from tests.fakes.upstreams.openai_answers import completion, error

pytestmark = pytest.mark.one_attempt

HI = {"message": "Hi"}
SECRETS = "key sk-CANARY of org-CANARY at host-CANARY.example"
IN_SCHEMA = (
    "Invalid schema for response_format 'answer': In context=('properties', 'items', 'items', '0'),"
    f" 'additionalProperties' is required to be supplied and to be false. {SECRETS}"
)
IN_FUNCTION = (
    f"Invalid schema for function 'f': In context=('properties', 'a'), schema must have a 'type' key. {SECRETS}"
)
TOO_LARGE = (
    "Request too large for gpt-6.1-terra in organization org-CANARY on tokens per min (TPM):"
    " Limit 30000, Requested 45000. The input or output tokens must be reduced in order to run successfully."
)
TOLD = [
    ({"param": "top_p", "code": "invalid_value"}, "topP: the model does not accept this value (invalid_value)."),
    (
        {"param": "reasoning.effort", "code": "invalid_value"},
        "reasoningEffort: the model does not accept this value (invalid_value).",
    ),
    (
        {"param": "messages.[3].content", "code": "string_below_min_length"},
        "messages: the model does not accept this value (string_below_min_length).",
    ),
    (
        {"param": "tools[0].function.description", "code": "string_above_max_length"},
        "tools.0.function.description: the model does not accept this value (string_above_max_length).",
    ),
    (
        {"param": "messages[1].content", "code": "string_above_max_length"},
        "The conversation is longer than the model's context window.",
    ),
    (
        {"param": "input[1].content", "code": "string_above_max_length"},
        "The conversation is longer than the model's context window.",
    ),
    ({"param": "max_output_tokens"}, "maxTokens: the model does not accept this value."),
    (
        {"message": "Could not finish the message because max_tokens or model output limit was reached."},
        "maxTokens: the model does not accept this value.",
    ),
    (
        {"param": "tools[1].function.name", "code": "invalid_value"},
        "tools.1.function.name: the model does not accept this value (invalid_value).",
    ),
    (
        {"param": "tools[0].function.parameters", "code": "invalid_function_parameters", "message": IN_FUNCTION},
        "tools.0.function.parameters.properties.a: the model does not accept this value (invalid_function_parameters).",
    ),
    (
        {"param": "response_format", "code": "invalid_json_schema", "message": IN_SCHEMA},
        "schema.properties.items.items.0: the model does not support it.",
    ),
    ({"param": "text.format.schema", "message": IN_SCHEMA}, "schema.properties.items.items.0: the model does not support it."),
    ({"param": "response_format"}, "schema: the model does not support it."),
    ({"code": "missing_required_parameter"}, "The model does not accept this request (missing_required_parameter)."),
    # What is none of the API's own words is not told.
    ({"code": "sk-CANARY"}, "The model does not accept this request."),
    ({"code": "host-CANARY.example"}, "The model does not accept this request."),
    ({"code": "of_org_CANARY"}, "The model does not accept this request."),
    ({"code": "invalid_CANARY"}, "The model does not accept this request."),
    (
        {"message": f"Invalid schema for response_format 'a': In context=('<b>', '{SECRETS}')", "code": "invalid_json_schema"},
        "schema: the model does not support it.",
    ),
    (
        {"message": TOO_LARGE, "code": "rate_limit_exceeded"},
        "The request needs more tokens than this site may use in a minute: 45,000 of at most 30,000 tokens.",
    ),
]  # fmt: skip


@pytest.fixture
def patient(make_app):
    """Would try again, and another model, where that can help."""
    return make_app(retry_max_attempts=3, chat_fallback_models=("gpt-6-luna",)).test_client()


@each_row(("fields", "sentence"), TOLD)
def test_a_caller_is_told_what_is_safe(client, upstream, fields, sentence):
    status = 429 if "rate" in fields.get("code", "") else 400
    upstream.answers(error(**{"message": SECRETS, **fields}), status=status)

    answer = client.post("/api/chat", json=HI)

    assert (answer.status_code, answer.json["error"]) == (400, sentence)
    assert "CANARY" not in answer.text


class TestARequestLargerThanTheRate:
    @pytest.mark.parametrize("route", ["/api/chat", "/api/chat/stream", "/api/structured"])
    def test_it_is_not_sent_again_whatever_the_header_says(self, patient, upstream, waits, route):
        headers = {"x-should-retry": "true", "Retry-After": "1"}
        upstream.answers(error(TOO_LARGE, code="rate_limit_exceeded", kind="tokens"), 429, headers)
        body = {"prompt": "Hi"} if "structured" in route else HI

        answer = patient.post(route, json=body)

        assert (answer.status_code, answer.json["code"]) == (400, "context_length_exceeded")
        assert (len(upstream.sent), waits) == (1, [])

    def test_the_owner_is_told_of_the_limit(self, client, upstream, clock, caplog):
        for _ in range(3):
            upstream.answers(error(TOO_LARGE, code="rate_limit_exceeded", kind="tokens"), 429)
            client.post("/api/chat", json=HI)

        [line] = [record for record in caplog.records if record.message == "upstream.owner_fault"]
        assert (line.fault, "MAX_INPUT_TOKENS" in line.hint, "CANARY" in line.hint) == ("rate", True, False)

    def test_an_ordinary_rate_limit_still_waits(self, patient, upstream, waits):
        message = "Rate limit reached for gpt-6.1-terra on tokens per min (TPM): Limit 30000, Used 29000, Requested 2000."
        upstream.answers(error(message, code="rate_limit_exceeded", kind="tokens"), 429)
        upstream.answers(completion())

        assert patient.post("/api/chat", json=HI).status_code == 200
        assert len(waits) == 1


@pytest.mark.parametrize(
    ("status", "code"),
    crossed([403, 402, 429], ["credit_balance_exhausted", "billing_hard_limit_reached", "insufficient_quota"]),
)
def test_an_account_that_can_pay_for_nothing_is_asked_once_and_the_owner_told(
    patient, upstream, waits, caplog, status, code
):
    upstream.answers(error(code=code), status, {"x-should-retry": "true"})

    assert patient.post("/api/chat", json=HI).status_code == 502
    assert (len(upstream.sent), waits) == (1, [])
    assert [record.fault for record in caplog.records if record.message == "upstream.owner_fault"] == ["quota"]


@pytest.mark.parametrize("status", [429, 503])
def test_slow_down_is_waited_for_and_moves_no_breaker(make_app, upstream, waits, status):
    client = make_app(retry_max_attempts=1, breaker_failures=2, chat_fallback_models=()).test_client()
    for _ in range(5):
        upstream.answers(error(code="slow_down"), status, {"Retry-After": "2"})
        answer = client.post("/api/chat", json=HI)
        assert (answer.status_code, answer.json["code"]) == (503, "upstream_rate_limited")

    assert client.post("/api/chat", json=HI).status_code == 200


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"code": "invalid_prompt"}, ContentFiltered),
        ({"code": "bio_policy"}, ContentFiltered),
        ({"code": "misalignment_policy_violation"}, ContentFiltered),
        ({"code": "image_content_policy_violation"}, ContentFiltered),
        ({"code": "slow_down"}, UpstreamRateLimited),
        ({"code": "rate_limit_exceeded"}, UpstreamRateLimited),
        ({"code": "rate_limit_exceeded", "message": TOO_LARGE}, ContextLengthExceeded),
        ({"code": "insufficient_quota"}, UpstreamFailed),
        ({"code": "server_error"}, UpstreamFailed),
        ({"code": "invalid_image_format", "type": "invalid_request_error"}, InvalidImage),
    ],
    ids=str,
)
def test_an_error_within_an_answer_means_the_same(fields, kind):
    assert isinstance(translate_error_object(fields), kind)
