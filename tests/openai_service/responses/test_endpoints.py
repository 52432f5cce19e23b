"""Which endpoint a conversation is sent to, and what is learnt when that was the wrong one."""

from __future__ import annotations

import re

import httpx2
import pytest

from app.models.families import find_family
from app.openai_service.responses.endpoints import Endpoints
from app.openai_service.transport.upstream import Upstream
from tests.fakes.tables import crossed
from tests.fakes.upstreams.openai_answers import completion, error, stream_of
from tests.fakes.upstreams.responses_form import function_call, message, reasoning, response
from tests.fakes.wire.bodies import CALL, TOOL
from tests.fakes.wire.reading import events_of

pytestmark = pytest.mark.one_attempt

HI = {"message": "Hi"}
WITH_TOOL = HI | {"tools": [TOOL]}
CHAT, RESPONSES = "/chat/completions", "/responses"
TOOLS_REFUSED = error(
    "Function tools with reasoning_effort are not supported for my-gpt in /v1/chat/completions."
    " To use function tools, use /v1/responses or set reasoning_effort to 'none'.",
    param="reasoning_effort",
    kind="invalid_request_error",
)
TOOLS_REFUSED_BY_A_PROXY = error(f"litellm.BadRequestError: OpenAIException - {TOOLS_REFUSED['error']['message']}")
NO_EFFORT_REFUSED = error(
    "Unsupported value: 'reasoning_effort' does not support 'none' with this model. Supported values are: 'low' and 'high'.",
    param="reasoning_effort",
    code="unsupported_value",
    kind="invalid_request_error",
)
RESPONSES_ONLY = error(
    "This model is only supported in v1/responses and not in v1/chat/completions.",
    param="model",
    kind="invalid_request_error",
)
AZURE = {"azure_openai_endpoint": "https://acme.openai.azure.com"}


def paths(upstream):
    return [sent.path.removeprefix("/v1") for sent in upstream.sent]


def choose(model, *, api="auto", kind="openai", address="", **body):
    return Endpoints(Upstream(kind, address, api)).choose(model, {"messages": [], **body})


@pytest.mark.parametrize(
    ("model", "body", "path"),
    [
        ("gpt-6.1-terra", {}, CHAT),
        ("gpt-6.1-terra", {"tools": [TOOL]}, RESPONSES),
        ("gpt-6.1-terra-2026-10-01", {"tools": [TOOL]}, RESPONSES),
        ("gpt-6.1-terra", {"tools": [TOOL], "reasoning_effort": "none"}, CHAT),
        ("gpt-6.1-terra", {"reasoning_effort": "max"}, RESPONSES),
        ("gpt-6.1-terra", {"tools": [TOOL], "seed": 1}, RESPONSES),
        ("gpt-6-astra", {}, CHAT),
        ("gpt-6-astra", {"tools": [TOOL]}, RESPONSES),
        ("gpt-5.4", {"tools": [TOOL]}, CHAT),
        ("gpt-5.4", {"tools": [TOOL], "reasoning_effort": "low"}, RESPONSES),
        ("gpt-5.5-pro", {}, RESPONSES),
        ("o3", {"tools": [TOOL]}, RESPONSES),
        ("o3", {"tools": [TOOL], "seed": 1}, CHAT),
        ("gpt-4.1", {"tools": [TOOL]}, CHAT),
        ("nobody-knows-it", {"tools": [TOOL]}, CHAT),
    ],
)
def test_the_family_decides(model, body, path):
    assert choose(model, **body) == path


def test_the_setting_decides_before_that():
    assert choose("gpt-6.1-terra", api="responses") == RESPONSES
    assert choose("gpt-6-astra", api="chat", tools=[TOOL]) == CHAT


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("https://api.openai.com/v1", RESPONSES),
        ("https://eu.api.openai.com/v1", RESPONSES),
        ("https://acme.openai.azure.com/openai/v1", RESPONSES),
        ("http://127.0.0.1:11434/v1", CHAT),
        ("https://api.openai.com.example/v1", CHAT),
    ],
)
def test_other_servers_are_asked_for_chat_completions(address, path):
    assert choose("gpt-6.1-terra", kind="compatible", address=address, tools=[TOOL]) == path


def test_all_that_the_table_sends_to_chat_is_taken_there():
    for model in ("gpt-6.1-terra", "gpt-6-astra", "gpt-5.4", "gpt-5.5-pro", "o3", "gpt-4.1"):
        family = find_family(model)
        for effort in (None, *family.responses_efforts):
            for tools in ({}, {"tools": [TOOL]}):
                body = tools | ({"reasoning_effort": effort} if effort else {})
                if choose(model, **body) == CHAT:
                    assert family.chat
                    assert effort is None or effort in family.efforts
                    reasons = (effort or family.default_effort) not in (None, "none")
                    assert not tools or family.chat_tools == "yes" or not reasons


@pytest.mark.parametrize("route", ["/api/chat", "/api/chat/stream"])
@pytest.mark.parametrize(
    ("refusal", "status"), [(TOOLS_REFUSED, 400), (TOOLS_REFUSED_BY_A_PROXY, 400), (RESPONSES_ONLY, 404)]
)
@pytest.mark.chat_form
def test_a_model_that_wants_the_other_endpoint_is_asked_there_from_then_on(
    make_app, upstream, route, refusal, status
):
    client = make_app(**AZURE | {"chat_model": "my-gpt"}).test_client()
    upstream.answers(refusal, status=status)
    for _ in range(2):
        upstream.streams(*stream_of("Hi")) if "stream" in route else upstream.answers(completion("Hi"))

    first, second = client.post(route, json=WITH_TOOL), client.post(route, json=WITH_TOOL)

    assert b"Hi" in first.data
    assert b"Hi" in second.data
    azure = ["/openai/deployments/my-gpt/chat/completions", "/openai/v1/responses", "/openai/v1/responses"]
    assert paths(upstream) == azure
    assert upstream.sent[1].raw["model"] == "my-gpt"


@pytest.mark.chat_form
def test_only_requests_with_tools_go_elsewhere_if_only_they_were_refused(make_app, upstream):
    client = make_app(chat_model="my-gpt").test_client()
    upstream.answers(TOOLS_REFUSED, status=400)

    client.post("/api/chat", json=WITH_TOOL)
    client.post("/api/chat", json=HI)
    upstream.answers(RESPONSES_ONLY, status=404)
    client.post("/api/chat", json=HI)
    client.post("/api/chat", json=HI)

    assert paths(upstream) == [CHAT, RESPONSES, CHAT, CHAT, RESPONSES, RESPONSES]


@pytest.mark.parametrize("model", ["nobody-knows-it", "gpt-5.4"])
@pytest.mark.chat_form
def test_a_model_that_reasons_whatever_it_is_told_gets_tools_at_the_other_endpoint(make_app, upstream, model):
    def refuse(sent):
        if sent.path.endswith(RESPONSES):
            return httpx2.Response(200, json=response("completed", message("Hi")))
        effort = sent.raw.get("reasoning_effort")
        refusal = NO_EFFORT_REFUSED if effort == "none" and model == "nobody-knows-it" else TOOLS_REFUSED
        return httpx2.Response(400, json=refusal)

    client = make_app(chat_model=model).test_client()
    upstream.otherwise = refuse
    body = WITH_TOOL | {"reasoningEffort": "none"}

    first = client.post("/api/chat", json=body)
    tried = len(upstream.sent)
    second = client.post("/api/chat", json=body)

    assert first.json["reply"] == second.json["reply"] == "Hi"
    assert tried <= 3
    assert len(upstream.sent) == tried + 1


def test_azures_v1_api_has_no_dated_version_and_the_same_key(make_app, upstream, monkeypatch):
    urls = []
    handle = upstream._handle
    monkeypatch.setattr(upstream, "_handle", lambda request: (urls.append(str(request.url)), handle(request))[1])
    client = make_app(**AZURE | {"chat_model": "my-gpt", "upstream_api": "responses"}).test_client()

    assert client.post("/api/chat", json=HI).status_code == 200
    assert urls == ["https://acme.openai.azure.com/openai/v1/responses"]
    assert upstream.sent[0].headers["api-key"] == "sk-canary-0123456789"


@pytest.mark.parametrize(
    ("status", "body"),
    crossed(
        [404, 405, 501],
        {
            "text": b"404 page not found",
            "FastAPI": {"detail": "Not Found"},
            "llama.cpp": {"error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}},
        },
    ),
)
def test_a_server_without_the_route_is_asked_once_and_for_chat_completions_ever_after(
    make_app, upstream, capfd, status, body
):
    client = make_app(openai_base_url="http://127.0.0.1:11434/v1", upstream_api="responses").test_client()
    upstream.answers(body, status=status)

    first = client.post("/api/chat", json=WITH_TOOL)
    second = client.post("/api/chat", json=HI)

    assert (first.status_code, second.status_code) == (200, 200)
    assert paths(upstream) == [RESPONSES, CHAT, CHAT]
    assert capfd.readouterr().err.count("WARNING upstream.no_responses") == 1


def test_a_model_that_does_not_exist_is_no_missing_route(make_app, upstream):
    client = make_app(openai_base_url="http://127.0.0.1:11434/v1", upstream_api="responses").test_client()
    upstream.answers({"error": {"message": "model 'x' not found", "type": "not_found_error"}}, status=404)
    upstream.answers(error("The model `x` does not exist", param="model", code="model_not_found"), status=404)

    assert client.post("/api/chat", json=HI).status_code == 502
    assert client.post("/api/chat", json=HI).status_code == 502
    client.post("/api/chat", json=HI)
    assert paths(upstream) == [RESPONSES] * 3


def test_where_there_is_no_other_endpoint_tools_are_called_without_reasoning_and_it_is_said(make_app, upstream):
    client = make_app(upstream_api="chat").test_client()

    answer = client.post("/api/chat", json=WITH_TOOL)

    [sent] = upstream.sent
    assert (sent.path, sent.body["reasoning_effort"]) == ("/v1/chat/completions", "none")
    assert answer.headers["X-Params-Adjusted"] == "reasoningEffort=none"
    assert "reasoning_effort" not in (client.post("/api/chat", json=HI), upstream.sent[-1].body)[1]


def test_that_is_learnt_of_a_model_that_the_table_does_not_know(make_app, upstream):
    client = make_app(openai_base_url="http://127.0.0.1:4000/v1", chat_model="my-gpt").test_client()
    upstream.answers(TOOLS_REFUSED, status=400)

    first, second = (client.post("/api/chat", json=WITH_TOOL) for _ in range(2))

    assert [sent.body.get("reasoning_effort") for sent in upstream.sent] == [None, "none", "none"]
    assert first.headers["X-Params-Adjusted"] == second.headers["X-Params-Adjusted"] == "reasoningEffort=none"


@pytest.mark.chat_form
def test_a_caller_cannot_talk_a_model_over(make_app, upstream):
    client = make_app(chat_model="my-gpt").test_client()
    words = "Invalid name: 'Function tools with reasoning_effort are not supported; use /v1/responses'"
    upstream.answers(error(words, param="tools[0].function.name", code="invalid_value"), status=400)

    assert client.post("/api/chat", json=WITH_TOOL).status_code == 400
    client.post("/api/chat", json=WITH_TOOL)
    assert paths(upstream) == [CHAT, CHAT]


def test_reasoning_is_asked_of_models_that_have_some_and_no_longer_of_one_that_refuses(make_app, upstream):
    client = make_app(upstream_api="responses", allowed_models=("gpt-4.1",)).test_client()
    refusal = error("Encrypted content is not supported with this model.", param="include")
    client.post("/api/chat", json=HI | {"model": "gpt-4.1"})
    upstream.answers(refusal, status=400)

    assert client.post("/api/chat", json=HI).status_code == 200
    client.post("/api/chat", json=HI)

    asked = ["reasoning.encrypted_content"]
    assert [sent.raw.get("include") for sent in upstream.sent] == [None, asked, None, None]
    assert all(sent.raw["store"] is False for sent in upstream.sent)


@pytest.mark.parametrize("route", ["/api/chat", "/api/chat/stream"])
def test_a_parameter_that_is_refused_there_is_left_out_there(make_app, upstream, route):
    client = make_app(upstream_api="responses", chat_model="my-gpt").test_client()
    upstream.answers(
        error("Unsupported parameter: 'temperature' is not supported with this model.", param="temperature"),
        status=400,
    )
    upstream.streams(*stream_of("Hi")) if "stream" in route else upstream.answers(completion("Hi"))

    answer = client.post(route, json=HI | {"temperature": 0.5, "maxTokens": 5})

    assert b"Hi" in answer.data
    assert answer.headers["X-Params-Adjusted"] == "temperature=dropped, maxTokens=16"
    assert [sent.raw["max_output_tokens"] for sent in upstream.sent] == [16, 16]


@pytest.mark.parametrize(
    ("param", "field"),
    [
        ("max_output_tokens", "maxTokens"),
        ("input[0].content", "messages"),
        ("text.format.schema", "schema"),
        ("tool_choice", "toolChoice"),
    ],
)
def test_a_field_at_fault_has_the_name_that_callers_know(make_app, upstream, param, field):
    client = make_app(upstream_api="responses").test_client()
    upstream.answers(error("Secret", param=param, code="invalid_value"), status=400)

    answer = client.post("/api/chat", json=HI)

    assert answer.status_code == 400
    assert answer.json["error"].startswith(f"{field}: ")


@pytest.mark.parametrize("route", ["/api/chat", "/api/chat/stream"])
def test_a_rate_limit_within_a_stream_or_an_answer_falls_back(make_app, upstream, route, records):
    client = make_app(upstream_api="responses", chat_fallback_models=("gpt-6-luna",)).test_client()
    fault = {"code": "rate_limit_exceeded", "message": "Slow down"}
    if "stream" in route:
        created = {"type": "response.created", "response": response("in_progress", usage=None)}
        upstream.streams_events(created, {"type": "error", "error": fault})
        upstream.streams(*stream_of("Hi"))
    else:
        upstream.answers(response("failed", error=fault, usage=None))
        upstream.answers(completion("Hi"))

    assert b"Hi" in client.post(route, json=HI).data
    assert [sent.raw["model"] for sent in upstream.sent] == ["gpt-6.1-terra", "gpt-6-luna"]
    assert [attempt.billed for attempt in records[0].attempt_log] == ["no", "yes"]
    assert upstream.open_streams == 0


@pytest.mark.parametrize("route", ["/api/chat", "/api/chat/stream"])
def test_a_failed_answer_is_paid_for_and_asked_of_the_next_model(make_app, upstream, route, records):
    client = make_app(upstream_api="responses", chat_fallback_models=("gpt-6-luna",)).test_client()
    failed = response("failed", error={"code": "server_error", "message": "x"})
    if "stream" in route:
        upstream.streams_events({"type": "response.failed", "response": failed})
        upstream.streams(*stream_of("Hi"))
    else:
        upstream.answers(failed)
        upstream.answers(completion("Hi"))

    assert b"Hi" in client.post(route, json=HI).data
    assert [attempt.billed for attempt in records[0].attempt_log] == ["yes", "yes"]
    assert (records[0].usage.prompt_tokens, records[0].usage.completion_tokens) == (18, 6)


def test_reasoning_goes_back_with_its_calls_and_not_to_another_model(make_app, upstream):
    client = make_app(
        upstream_api="responses",
        chat_fallback_models=("gpt-6-luna",),
        allowed_tools=("current_time",),
    ).test_client()
    call = function_call("call_1", "current_time", '{"time_zone":"UTC"}')
    upstream.answers(response("completed", reasoning("gA"), call))
    upstream.answers(error(code="server_error"), status=500)
    upstream.answers(completion("Noon"))

    answer = client.post("/api/chat", json=HI | {"serverTools": ["current_time"]})

    kinds = [[item.get("type", item.get("role")) for item in sent.raw["input"]] for sent in upstream.sent]
    assert kinds == [
        ["user"],
        ["user", "reasoning", "function_call", "function_call_output"],
        ["user", "function_call", "function_call_output"],
    ]
    assert answer.json["reply"] == "Noon"


def test_reasoning_that_cannot_be_read_is_left_out(make_app, upstream):
    client = make_app(upstream_api="responses", allowed_tools=("current_time",)).test_client()
    call = function_call("call_1", "current_time", '{"time_zone":"UTC"}')
    upstream.answers(response("completed", reasoning("gA"), call))
    upstream.answers(error("Reason: …", code="invalid_encrypted_content"), status=400)
    upstream.answers(completion("Noon"))

    assert client.post("/api/chat", json=HI | {"serverTools": ["current_time"]}).json["reply"] == "Noon"
    assert "reasoning" not in [item.get("type") for item in upstream.sent[2].raw["input"]]


def test_chat_completions_get_no_reasoning(make_app, upstream):
    """The first round was answered over /responses, whose route is away at the second."""
    client = make_app(upstream_api="responses", allowed_tools=("current_time",)).test_client()
    call = function_call("call_1", "current_time", '{"time_zone":"UTC"}')
    upstream.answers(response("completed", reasoning("gA"), call))
    upstream.answers({"detail": "Not Found"}, status=404)
    upstream.answers(completion("Noon"))

    assert client.post("/api/chat", json=HI | {"serverTools": ["current_time"]}).json["reply"] == "Noon"
    assert upstream.sent[2].path == "/v1/chat/completions"
    assert b"reasoning_items" not in str(upstream.sent[2].raw).encode()


@pytest.mark.chat_form
def test_no_id_of_the_upstream_reaches_a_caller(make_app, upstream):
    client = make_app(upstream_api="responses").test_client()
    upstream.answers(response("completed", reasoning(), function_call("call_1", "get_weather")))
    upstream.streams(*stream_of("Hi"))

    plain = client.post("/api/chat", json=WITH_TOOL)
    stream = client.post("/api/chat/stream", json=WITH_TOOL)

    assert plain.json["toolCalls"] == [CALL]
    assert re.fullmatch("chatcmpl-[0-9a-f]{32}", plain.json["id"])
    assert re.fullmatch("chatcmpl-[0-9a-f]{32}", events_of(stream.data)[-1]["id"])
    for data in (plain.data, stream.data):
        assert b"chatcmpl-" in data
        assert not any(secret in data for secret in (b"resp_", b"msg_", b"fc_", b"rs_", b"item_", b"gAAA"))


@pytest.mark.parametrize("path", ["/api/chat", "/api/chat/stream"])
def test_an_own_field_that_a_compatible_server_refuses_is_left_out_from_then_on(make_app, upstream, path):
    client = make_app(
        openai_base_url="https://llm.example.com/v1", upstream_api="responses", upstream_identifiers="always"
    ).test_client()
    for name in ("store", "safety_identifier", "prompt_cache_key"):
        upstream.answers(error(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter"), status=400)
    for _ in range(2):
        upstream.streams(*stream_of("Hi")) if "stream" in path else upstream.answers(completion("Hi"))

    first, second = client.post(path, json=HI), client.post(path, json=HI)

    assert (first.headers["X-Attempts"], second.headers["X-Attempts"]) == ("4", "1")
    assert paths(upstream) == [RESPONSES] * 5
    assert not {"store", "safety_identifier", "prompt_cache_key"} & upstream.sent[-1].raw.keys()
    assert "X-Params-Adjusted" not in first.headers


def test_what_one_endpoint_refuses_is_still_sent_to_the_other(make_app, upstream):
    client = make_app(openai_base_url="https://llm.example.com/v1", upstream_api="responses").test_client()
    upstream.answers(error("Unknown parameter: 'verbosity'.", param="verbosity", code="unknown_parameter"), 400)
    upstream.answers(completion("Hi"))
    upstream.answers({"detail": "Not Found"}, status=404)
    upstream.answers(completion("Hi"))
    body = HI | {"verbosity": "low"}

    assert client.post("/api/chat", json=body).headers["X-Params-Adjusted"] == "verbosity=dropped"
    again = client.post("/api/chat", json=body)

    assert (again.status_code, paths(upstream)) == (200, [RESPONSES] * 3 + [CHAT])
    assert upstream.sent[-1].raw["verbosity"] == "low"


@pytest.mark.parametrize("streamed", [False, True])
def test_the_tier_that_answered_is_the_one_that_is_paid(make_app, upstream, records, streamed):
    client = make_app(upstream_api="responses").test_client()
    told = response("completed", service_tier="priority")
    if streamed:
        upstream.streams_events({"type": "response.completed", "response": told})
    else:
        upstream.answers(told)

    client.post("/api/chat/stream" if streamed else "/api/chat", json=HI).get_data()

    assert records[0].attempt_log[-1].service_tier == "priority"


@pytest.mark.parametrize("streamed", [False, True])
def test_tokens_that_were_cached_and_written_are_told(make_app, upstream, records, streamed):
    client = make_app(upstream_api="responses").test_client()
    details = {"cached_tokens": 1024, "cache_write_tokens": 512}
    usage = {"input_tokens": 2000, "input_tokens_details": details, "output_tokens": 3, "total_tokens": 2003}
    told = response("completed", usage=usage)
    if streamed:
        upstream.streams_events({"type": "response.completed", "response": told})
        body = events_of(client.post("/api/chat/stream", json=HI).data)[-1]
    else:
        upstream.answers(told)
        body = client.post("/api/chat", json=HI).json

    assert body["usage"]["prompt_tokens_details"] == details
    counted = records[0].attempt_log[-1].usage
    assert (counted.cached_tokens, counted.cache_write_tokens) == (1024, 512)


def test_the_marks_of_the_prompt_cache_are_carried_over(make_app, upstream):
    client = make_app(upstream_api="responses", system_prompt="Be brief. " * 600).test_client()
    for _ in range(2):
        upstream.answers(completion("Hi"))

    client.post("/api/chat", json={"messages": [{"role": "user", "content": "Hi"}]})
    client.post("/api/chat", json=HI)

    for sent in upstream.sent:
        system = sent.raw["input"][0]
        assert system["content"][-1]["prompt_cache_breakpoint"] == {"mode": "explicit"}
        assert system["content"][-1]["type"] == "input_text"
    assert upstream.sent[1].raw["prompt_cache_options"] == {"mode": "explicit"}


COMPATIBLE = {"openai_base_url": "http://127.0.0.1:4000/v1", "chat_fallback_models": ()}


@pytest.mark.parametrize("model", ["gpt-6-astra", "gpt-6.1-sol"])
@pytest.mark.chat_form
def test_a_compatible_server_is_asked_at_responses_by_a_model_that_has_tools_nowhere_else(
    make_app, upstream, model
):
    client = make_app(**COMPATIBLE, chat_model=model).test_client()

    answers = [client.post("/api/chat", json=body) for body in (WITH_TOOL, WITH_TOOL, HI)]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert paths(upstream) == [RESPONSES, RESPONSES, CHAT]
    assert [answer.headers["X-Attempts"] for answer in answers] == ["1"] * 3


@pytest.mark.chat_form
def test_a_refusal_of_a_compatible_server_that_names_no_other_way_is_followed(make_app, upstream):
    client = make_app(**COMPATIBLE, chat_model="my-gpt").test_client()
    sentence = TOOLS_REFUSED["error"]["message"].partition(" To use")[0]
    upstream.answers(error(f"{sentence} Please use /v1/responses instead.", param="reasoning_effort"), status=400)

    assert client.post("/api/chat", json=WITH_TOOL).status_code == 200
    assert client.post("/api/chat", json=WITH_TOOL).status_code == 200
    assert paths(upstream) == [CHAT, RESPONSES, RESPONSES]


@pytest.mark.chat_form
def test_a_compatible_server_that_has_no_such_route_after_all_is_asked_as_it_can_be(make_app, upstream):
    client = make_app(**COMPATIBLE, chat_model="my-gpt").test_client()
    sentence = TOOLS_REFUSED["error"]["message"].partition(" To use")[0]
    refusal = error(f"{sentence} Please use /v1/responses instead.", param="reasoning_effort")
    upstream.answers(refusal, status=400)
    upstream.answers(b"404 page not found", status=404)
    upstream.answers(refusal, status=400)

    assert client.post("/api/chat", json=WITH_TOOL).status_code == 200
    assert client.post("/api/chat", json=WITH_TOOL).status_code == 200
    assert paths(upstream) == [CHAT, RESPONSES, CHAT, CHAT, CHAT]
    assert upstream.sent[-1].body["reasoning_effort"] == "none"
