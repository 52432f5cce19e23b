"""Refusals as vLLM, llama.cpp, Mistral, Gemini, Azure, Fireworks, Groq, LiteLLM and others write them."""

from __future__ import annotations

import httpx2
import pytest

from tests.fakes.tables import crossed, each_row, further, in_part
from tests.fakes.upstreams.openai_answers import stream_of
from tests.fakes.wire.bodies import conversation_of

pytestmark = pytest.mark.one_attempt

HI = {"message": "Hi"}


def openai_error(message, **fields):
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None, **fields}}


DETAIL = {"type": "extra_forbidden", "loc": ["body", "PARAM"], "msg": "Extra inputs are not permitted", "input": 1}
REPR = (
    "[{'type': 'extra_forbidden', 'loc': ('body', 'PARAM'), 'msg': 'Extra inputs are not permitted', 'input': {}}]"
)
UNKNOWN = {
    "vLLM": {"object": "error", "message": REPR, "type": "BadRequestError", "param": None, "code": 400},
    "FastAPI": {"detail": [DETAIL]},
    "FastAPI with pydantic 1": {"detail": [{"loc": ["body", "PARAM"], "msg": "x", "type": "value_error.extra"}]},
    "Mistral": {"object": "error", "message": {"detail": [DETAIL]}, "type": "invalid_request_error", "code": None},
    "Mistral, detail twice": {"object": "Error", "detail": [DETAIL], "message": [DETAIL], "code": 3001},
    "Azure": openai_error("Unrecognized request argument supplied: PARAM"),
    "Azure with data": {"error": {"requestid": "x", "code": 400, "message": "Validation error at #/PARAM: Extra inputs are not permitted"}},
    "OpenAI's sentence": openai_error("Unsupported parameter: 'PARAM' is not supported with this model."),
    "OpenAI's other sentence": openai_error("Unknown parameter: 'PARAM'."),
    "Fireworks": openai_error("Extra inputs are not permitted, field: 'PARAM'"),
    "Groq": openai_error("property 'PARAM' is unsupported"),
    "Anthropic": openai_error("PARAM: Extra inputs are not permitted"),
    "Gemini": [{"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": 'Invalid JSON payload received. Unknown name "PARAM": Cannot find field.'}}],
    "Go": {"error": 'json: unknown field "PARAM"'},
    "Python": {"error": "create() got an unexpected keyword argument 'PARAM'"},
    "LiteLLM": openai_error("litellm.UnsupportedParamsError: together_ai does not support parameters: ['PARAM'], for model=x"),
    "a plain sentence": openai_error("PARAM is not supported"),
    "Anthropic's other sentence": openai_error("`PARAM` is deprecated for this model."),
    "Bedrock": {"message": "Malformed input request: #: extraneous key [PARAM] is not permitted, please reformat your input and try again."},
    "Cloudflare": {"errors": [{"code": 5006, "message": "PARAM: not supported"}], "success": False, "result": {}},
    "errors by their field": {"errors": {"PARAM": ["is not supported"]}},
    "errors as texts": {"errors": ["PARAM is not supported"]},
    "an error as a list": {"error": ["PARAM is not supported"]},
    "problem+json": {"title": "Bad Request", "status": 400, "detail": "PARAM is not supported"},
    "xAI": openai_error("Argument not supported on this model: PARAM"),
    "jsonschema": openai_error("Additional properties are not allowed ('PARAM' was unexpected)"),
    "with its place": openai_error("body.PARAM: Extra inputs are not permitted"),
    "LiteLLM, before JSON": openai_error('litellm.BadRequestError: AnthropicException - {"type":"error","error":{"message":"PARAM: Extra inputs are not permitted"}}. Received Model Group=claude'),
    "an SDK's error": openai_error("Error code: 400 - {'error': {'message': \"'PARAM' is not a valid parameter\", 'code': None}}"),
    "OpenRouter": {"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": '{"error":{"message":"PARAM is not supported"}}', "provider_name": "X"}}},
    "JSON in JSON in JSON": {"message": '{"message":"{\\"message\\": \\"PARAM is not supported\\"}"}'},
    "a sentence of the past": openai_error("The parameter PARAM is no longer supported."),
}  # fmt: skip


def model_of(server, status):
    """A model for each row, as what a refusal teaches is kept for its model."""
    return f"model-{list(UNKNOWN).index(server)}-{status}"


@pytest.fixture
def client(make_app):
    # What the table of families does not know, only refusals tell.
    models = tuple(model_of(server, status) for server in UNKNOWN for status in (400, 422))
    return make_app(chat_model="owner-model", allowed_models=models).test_client()


def put(body, param):
    """The body with the parameter in it."""
    if isinstance(body, str):
        return body.replace("PARAM", param)
    if isinstance(body, list):
        return [put(item, param) for item in body]
    if isinstance(body, dict):
        return {put(name, param): put(item, param) for name, item in body.items()}
    return body


@each_row("status", [400, 422], quickly=lambda status: status == 400)
@each_row("server", UNKNOWN)
@pytest.mark.chat_form
def test_a_parameter_that_a_server_does_not_know_is_left_out_or_renamed(client, upstream, server, status):
    body = UNKNOWN[server]
    upstream.answers(put(body, "max_completion_tokens"), status=status)
    upstream.answers(put(body, "temperature"), status=status)
    upstream.answers(put(body, "stream_options"), status=status)
    upstream.streams(*stream_of("Hi"))

    model = model_of(server, status)
    answer = client.post("/api/chat/stream", json=HI | {"temperature": 0.5, "model": model})

    assert (answer.status_code, answer.headers["X-Attempts"]) == (200, "4")
    assert set(conversation_of(upstream.sent[-1].body)) == {"model", "messages", "max_tokens", "stream"}


@each_row(
    ("message", "field"),
    [
        ("Sorry. You wrote: temperature is not supported", None),
        ("messages.0: 'Unknown parameter: temperature' cannot be read", None),
        ("<html><body>temperature is not supported</body></html>", None),
        ('{"message": "messages.0: temperature is not supported"}', None),
        ("{'input': {'message': 'temperature is not supported'}}", None),
        ("Sorry. You wrote: temperature and top_p cannot both be specified", None),
        ("temperature and top_p cannot be read", None),
        ("[{'type': 'less_than', 'loc': ('body', 'temperature'), 'msg': 'Input should be less than 2'}]", "temperature"),
        ("[{'type': 'x', 'loc': ('body', 'max_completion_tokens'), 'input': 'extra_forbidden'}]", "maxTokens"),
        ('[{"loc": ["body", "temperature"], "msg": "extra_forbidden", "type": "value_error"}]', "temperature"),
    ],
)  # fmt: skip
def test_a_value_that_is_refused_or_quoted_teaches_nothing(client, upstream, message, field):
    upstream.sent.clear()
    upstream.answers(openai_error(message), status=400)

    answer = client.post("/api/chat", json=HI | {"temperature": 0.5})

    assert (answer.status_code, len(upstream.sent)) == (400, 1)
    assert answer.json["error"].startswith(f"{field}: " if field else "The model")


def llama(code):
    return {"error": {"code": code, "message": "the request exceeds the available context size. try increasing it",
                      "type": "exceed_context_size_error", "n_prompt_tokens": 9000, "n_ctx": 8192}}  # fmt: skip


CONTEXTS = {
    "llama.cpp": (400, llama(400)),
    "llama.cpp at first": (500, llama(500)),
    "llama-cpp-python": (400, openai_error("Requested tokens (9000) exceed context window of 8192")),
    "OpenAI": (400, openai_error("This model's maximum context length is 8192 tokens. However, you requested 9000 tokens (8500 in the messages, 500 in the completion).", code="context_length_exceeded")),
    "vLLM": (400, {"object": "error", "message": "This model's maximum context length is 8192 tokens. However, your request has 9000 input tokens.", "type": "BadRequestError", "code": 400}),
    "vLLM of today": (400, openai_error("Input length (9000) exceeds model's maximum context length (8192).")),
    "SGLang": (400, openai_error("The input (9000 tokens) is longer than the model's context length (8192 tokens).")),
    "Gemini": (400, [{"error": {"code": 400, "message": "The input token count (9000) exceeds the maximum number of tokens allowed (8192).", "status": "INVALID_ARGUMENT"}}]),
    "Anthropic": (400, openai_error("prompt is too long: 9000 tokens > 8192 maximum")),
    "Mistral": (400, {"object": "error", "message": "Prompt contains 9000 tokens and 0 draft tokens, too large for model with 8192 maximum context length", "type": "invalid_request_error", "code": "3051"}),
    "xAI": (400, {"code": "Client specified an invalid argument", "error": "This model's maximum prompt length is 8,192 but the request contains 9,000 tokens."}),
    "Anthropic, with the answer": (400, openai_error("input length and `max_tokens` exceed context limit: 6000 + 3000 > 8192, decrease input length or `max_tokens` and try again")),
    "vLLM's engine": (400, openai_error("The engine prompt length 9000 exceeds the max_model_len 8192. Please reduce prompt.")),
    "vLLM, with the answer": (400, openai_error("'max_tokens' or 'max_completion_tokens' is too large: 4000. This model's maximum context length is 8192 tokens and your request has 5000 input tokens (4000 > 8192 - 5000).")),
    "TGI": (422, {"error": "Input validation error: `inputs` must have less than 8192 tokens. Given: 9000", "error_type": "validation"}),
    "SambaNova": (400, openai_error("Input length 9000 exceeds the maximum allowed length 8192")),
    "Cerebras": (400, openai_error("Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192")),
    "Bedrock": (400, {"message": "Too many input tokens. Max input tokens: 8192, request input token count: 9000"}),
    "LiteLLM": (400, openai_error("litellm.ContextWindowExceededError: litellm.BadRequestError: OpenAIException - This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.")),
    "an SDK's error": (400, openai_error("Error code: 400 - {'error': {'message': \"This model's maximum context length is 8192 tokens. However, you requested 9000 tokens\", 'code': 'context_length_exceeded'}}")),
    "OpenRouter": (400, {"error": {"message": "Provider returned error", "code": 400, "metadata": {"raw": '{"message":"prompt is too long: 9000 tokens > 8192 maximum"}'}}}),
    "status 413": (413, openai_error("prompt is too long: 9000 tokens > 8192 maximum")),
    "in a 200": (200, llama(400)),
}  # fmt: skip


@each_row(("status", "body"), CONTEXTS.values(), ids=CONTEXTS)
@each_row("route", ["/api/chat", "/api/chat/stream"])
def test_a_conversation_that_is_too_long_is_told_so_with_its_size(client, upstream, status, body, route):
    upstream.sent.clear()
    if status == 200 and route.endswith("stream"):
        upstream.streams(body)
    else:
        upstream.answers(body, status=status)

    answer = client.post(route, json=HI)

    assert (answer.status_code, answer.json["code"], len(upstream.sent)) == (400, "context_length_exceeded", 1)
    assert (
        answer.json["error"]
        == "The conversation is longer than the model's context window: 9,000 of at most 8,192 tokens."
    )


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("Range of input length should be [1, 30720]", ": at most 30,720 tokens."),
        ("Input is too long for requested model.", "."),
        ("Prompt exceeds max length", "."),
    ],
    ids=["DashScope", "Bedrock", "Zhipu"],
)
def test_a_conversation_that_is_too_long_is_told_so_where_no_size_is_given(client, upstream, message, told):
    upstream.answers(openai_error(message), status=400)

    answer = client.post("/api/chat", json=HI)

    assert (answer.status_code, answer.json["code"]) == (400, "context_length_exceeded")
    assert answer.json["error"] == f"The conversation is longer than the model's context window{told}"


CODES = {
    "in capitals": (400, {"code": "CONTEXT_LENGTH_EXCEEDED"}, 400, "context_length_exceeded"),
    "a number of the server's own": (400, {"code": 1301}, 400, "invalid_request"),
    "a number beside OpenAI's type": (429, {"code": 429, "type": "Insufficient_Quota"}, 502, "upstream_failed"),
    "the status as a number in a 200": (200, {"code": 400.0}, 400, "invalid_request"),
    "the status as a text in a 200": (200, {"code": "503"}, 502, "upstream_failed"),
    "Google's words": (404, {"code": 404, "status": "NOT_FOUND"}, 502, "upstream_failed"),
    "true": (400, {"code": True}, 400, "invalid_request"),
    "a list": (400, {"code": [400]}, 400, "invalid_request"),
}


@pytest.mark.parametrize(
    ("status", "members", "ours", "code"),
    in_part(
        CODES,
        by_default=CODES.keys() - {"a number of the server's own", "the status as a number in a 200", "true"},
    ),
)
@pytest.mark.one_attempt
@pytest.mark.chat_form  # at /responses a 404 says that there is no such route
def test_codes_are_read_as_servers_write_them(make_app, upstream, status, members, ours, code):
    upstream.answers({"error": {"message": "no"} | members}, status=status)

    answer = make_app(chat_fallback_models=()).test_client().post("/api/chat", json=HI)

    assert (answer.status_code, answer.json["code"]) == (ours, code)


@pytest.mark.parametrize(
    "message",
    [
        "API key not valid. Please pass a valid API key.",
        "Missing or invalid Authorization header.",
        "Incorrect API key provided: xa***. You can obtain an API key from https://console.x.ai.",
        *further(
            "API Key not found. Please pass a valid API key.",
            "API key expired. Please renew the API key.",
        ),
    ],
)
@pytest.mark.one_attempt
def test_a_refused_key_is_the_owners_fault_whatever_its_status(make_app, upstream, message):
    upstream.answers([{"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}], status=400)
    client = make_app(chat_fallback_models=()).test_client()

    answer = client.post("/api/chat", json=HI)

    assert (answer.status_code, answer.json["code"]) == (502, "upstream_failed")
    assert "The upstream refuses OPENAI_API_KEY" in client.get("/", headers={"Accept": "text/html"}).text


@pytest.mark.parametrize(
    ("status", "members", "ours", "code"),
    [
        (413, {}, 413, "body_too_large"),
        (422, {}, 400, "invalid_request"),
        (429, {}, 503, "upstream_rate_limited"),
        (400, {"code": "context_length_exceeded"}, 400, "context_length_exceeded"),
        (400, {"param": "temperature"}, 400, "invalid_request"),
    ],
)
@pytest.mark.one_attempt
def test_a_sentence_about_keys_says_nothing_beside_what_says_more(make_app, upstream, status, members, ours, code):
    error = {"message": "Incorrect API key provided: you wrote that.", **members}
    upstream.otherwise = lambda _: httpx2.Response(status, json={"error": error})

    answer = make_app(chat_fallback_models=()).test_client().post("/api/chat", json=HI)

    assert (answer.status_code, answer.json["code"]) == (ours, code)


@each_row(
    ("message", "end"),
    [
        ("`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 `inputs` tokens and 1000", ": at most 4,096 tokens."),
        ("This model's maximum context length is 8192 tokens.", ": at most 8,192 tokens."),
        ("the input is longer than the context window", "."),
        ("too many tokens: size limit exceeded by 1234 tokens. Try using shorter or fewer inputs", "."),
        ("The maximum context length of 8,192 tokens is exceeded by 1,234 tokens", ": at most 8,192 tokens."),
    ],
)  # fmt: skip
def test_what_is_known_of_the_size_is_told(client, upstream, message, end):
    upstream.answers({"error": message, "error_type": "validation"}, status=422)

    assert (
        client.post("/api/chat", json=HI).json["error"]
        == f"The conversation is longer than the model's context window{end}"
    )


@pytest.mark.chat_form
def test_a_site_can_leave_out_the_options_of_streams(make_app, upstream):
    client = make_app(stream_options=False).test_client()
    upstream.streams(*stream_of("Hi", usage=None))

    assert client.post("/api/chat/stream", json=HI).status_code == 200
    assert set(conversation_of(upstream.sent[0].body)) == {"model", "messages", "max_completion_tokens", "stream"}


BOTH = "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
EXCLUSIVE = {
    "Anthropic": openai_error(BOTH),
    "Bedrock": {"message": f"The model returned the following errors: {BOTH}"},
    "LiteLLM": openai_error(f'litellm.BadRequestError: BedrockException - {{"message":"{BOTH}"}}'),
    "the other first": openai_error("top_p and temperature are mutually exclusive"),
    "you": {"error": "You cannot specify both temperature and top_p."},
    "cannot use": {"error": "Cannot use both 'temperature' and 'top_p'"},
    "only one": {"detail": "Only one of temperature and top_p may be set"},
    "please": openai_error("Please use either `temperature` or `top_p`, not both."),
    "at once": openai_error("temperature and top_p can't be used at the same time"),
    "with the other": openai_error("top_p cannot be used together with temperature"),
    "when": openai_error("`top_p` is not supported when `temperature` is set"),
    "in camel case": openai_error("temperature and topP are mutually exclusive"),
}


@pytest.mark.parametrize(("body", "route"), crossed(EXCLUSIVE, ["/api/chat", "/api/chat/stream"]))
def test_of_two_parameters_that_exclude_one_another_one_is_sent(client, upstream, route, body):
    def ask(**parameters):
        if route.endswith("stream"):
            upstream.streams(*stream_of("Hi"))
        with client.post(route, json={**HI, **parameters}) as answer:
            answer.get_data()
            return answer.status_code, answer.headers.get("X-Params-Adjusted")

    upstream.answers(body, status=400)

    assert ask(temperature=0.5, topP=0.9) == (200, "topP=dropped")
    assert ask(temperature=0.5, topP=0.9) == (200, "topP=dropped")  # known by now
    assert ask(topP=0.9) == ask(temperature=0.5) == (200, None)
    sent = [sorted({"temperature", "top_p"} & set(each.body)) for each in upstream.sent]
    assert sent == [["temperature", "top_p"], ["temperature"], ["temperature"], ["top_p"], ["temperature"]]


@pytest.mark.chat_form
def test_of_two_penalties_the_first_stays(client, upstream):
    upstream.answers(openai_error("frequency_penalty and presence_penalty can't both be set"), status=400)
    body = {"messages": [{"role": "user", "content": "Hi"}], "frequency_penalty": 1, "presence_penalty": 1}

    answer = client.post("/v1/chat/completions", json=body)

    assert (answer.status_code, answer.headers["X-Params-Adjusted"]) == (200, "presencePenalty=dropped")


@pytest.mark.parametrize(
    "message", ["tools and response_format are mutually exclusive", "x and y are mutually exclusive"]
)
def test_what_makes_a_request_another_one_gives_way_to_nothing(client, upstream, message):
    upstream.answers(openai_error(message), status=400)

    assert client.post("/api/chat", json=HI).status_code == 400
    assert len(upstream.sent) == 1


def test_a_parameter_that_is_refused_for_good_after_its_rival_was_dropped_is_dropped_too(client, upstream):
    upstream.answers(openai_error(BOTH), status=400)
    upstream.answers(openai_error("temperature is not supported"), status=400)
    upstream.answers(openai_error("top_p is not supported"), status=400)

    answer = client.post("/api/chat", json={**HI, "temperature": 0.5, "topP": 0.9})

    assert answer.status_code == 200
    assert not {"temperature", "top_p"} & set(upstream.sent[-1].body)


DEEP = 5_000
ODD_BODIES = {
    "a deep message": {"error": {"message": '{"error":' * DEEP + "1" + "}" * DEEP}},
    "a deep list": {"error": {"message": "[" * DEEP + "]" * DEEP}},
    "Python's sets": {"error": {"message": "{'loc': {1, 2}, 'msg': b'x'}"}},
    "a number": {"error": {"message": "[1]"}},
    "no errors": {"errors": {}},
    "errors of numbers": {"errors": {"seed": 1}},
    "errors of lists": {"errors": [[["x"]]]},
    "a large text": {"error": {"message": "{" + "'a'," * 100_000}},
    "metadata": {"error": {"message": "Provider returned error", "metadata": {"raw": {"error": [1]}}}},
}


@each_row("body", ODD_BODIES.values(), ids=ODD_BODIES)
def test_what_cannot_be_read_is_a_refusal_all_the_same(client, upstream, body):
    upstream.sent.clear()
    upstream.answers(body, status=400)

    answer = client.post("/api/chat", json=HI | {"temperature": 0.5})

    assert (answer.status_code, answer.json["code"], len(upstream.sent)) == (400, "invalid_request", 1)
