"""The parameters of an answer, on every route with a conversation."""

from __future__ import annotations

import io

import pytest

from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import completion, stream_of
from tests.fakes.wire.bodies import IMAGE_URL
from tests.media.images.pictures import png

# A model that the table of families does not know gets all that callers send.
MODEL = "owner-model"
GIVEN = {
    "temperature": 0.5,
    "maxTokens": 50,
    "reasoningEffort": "low",
    "verbosity": "high",
    "serviceTier": "flex",
    "stop": ["END", "###"],
    "topP": 0.9,
    "seed": -7,
    "n": 1,
}
SENT = {
    "temperature": 0.5,
    "max_completion_tokens": 50,
    "reasoning_effort": "low",
    "verbosity": "high",
    "service_tier": "flex",
    "stop": ["END", "###"],
    "top_p": 0.9,
    "seed": -7,
}
VISION = {"prompt": "Hi", "imageUrl": IMAGE_URL}
BODIES = {
    "/api/chat": {"message": "Hi"},
    "/api/chat/stream": {"message": "Hi"},
    "/api/chat/openai": {"messages": [{"role": "user", "content": "Hi"}]},
    "/api/structured": {"prompt": "Hi"},
    "/api/structured/stream": {"prompt": "Hi"},
    "/api/vision": VISION,
    "/api/vision/stream": VISION,
}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
WRONG = [
    ("reasoningEffort", "huge"),
    ("reasoningEffort", 1),
    ("verbosity", "loud"),
    ("serviceTier", "scale"),
    ("stop", []),
    ("stop", ["a"] * 5),
    ("stop", ""),
    ("stop", {"a": 1}),
    ("topP", 1.1),
    ("topP", "1"),
    ("seed", 1.5),
    ("seed", 2**63),
    ("parallelToolCalls", "true"),
    ("n", 2),
    ("n", 0),
    ("n", True),
]


@pytest.fixture
def client(make_app):
    return make_app(chat_model=MODEL, vision_model=MODEL, chat_fallback_models=()).test_client()


def post(client, path, **fields):
    if path == "/api/chat/openai":
        fields = {"chatSettings": fields}
    return client.post(path, json={**BODIES[path], **fields})


def prepare(upstream, path):
    text = "{}" if "structured" in path else "Hi"
    if "stream" in path or path == "/api/chat/openai":
        upstream.streams(*stream_of(text))
    else:
        upstream.answers(completion(text))


@each_row("path", BODIES)
@pytest.mark.chat_form
def test_each_parameter_is_sent_on_by_every_route(client, upstream, path):
    prepare(upstream, path)

    answer = post(client, path, **GIVEN)

    assert answer.status_code == 200, answer.text
    body = upstream.sent[0].body
    assert {name: body.get(name) for name in SENT} == SENT
    assert "n" not in body
    assert "X-Params-Adjusted" not in answer.headers


@each_row("path", BODIES)
def test_what_is_not_given_is_not_sent(client, upstream, path):
    prepare(upstream, path)

    post(client, path, **dict.fromkeys(GIVEN))

    assert upstream.sent[0].body.keys() & SENT.keys() == {"max_completion_tokens"}


@each_row("path", BODIES)
@each_row(("field", "value"), WRONG)
def test_a_value_out_of_bounds_is_refused_and_named(client, upstream, path, field, value):
    answer = post(client, path, **{field: value})

    assert answer.status_code == 400
    assert field in answer.text
    assert upstream.sent == []


@pytest.mark.chat_form
def test_one_text_may_stop_an_answer(client, upstream):
    post(client, "/api/chat", stop="END")

    assert upstream.sent[0].body["stop"] == "END"


@pytest.mark.chat_form
def test_a_form_takes_the_same_parameters_as_json(client, upstream):
    form = {name: str(value) for name, value in GIVEN.items()}
    form |= {"prompt": "Hi", "stop": "END", "parallelToolCalls": "true", "image": (io.BytesIO(png(4, 3)), "a.png")}

    answer = client.post("/api/vision", data=form)

    assert answer.status_code == 200, answer.text
    assert {name: upstream.sent[0].body.get(name) for name in SENT} == {**SENT, "stop": "END"}


class TestParallelToolCalls:
    @pytest.mark.parametrize("value", [True, False])
    def test_they_are_sent_on_beside_tools(self, client, upstream, value):
        answer = post(client, "/api/chat", tools=[TOOL], parallelToolCalls=value)

        assert upstream.sent[0].body["parallel_tool_calls"] is value
        assert "X-Params-Adjusted" not in answer.headers

    @each_row("path", BODIES)
    def test_without_tools_they_are_left_out_and_that_is_said(self, client, upstream, path):
        prepare(upstream, path)

        answer = post(client, path, parallelToolCalls=False)

        assert answer.status_code == 200
        assert "parallel_tool_calls" not in upstream.sent[0].body
        assert answer.headers["X-Params-Adjusted"] == "parallelToolCalls=dropped"


class TestServiceTiers:
    @each_row("path", BODIES)
    def test_the_owner_says_which_a_caller_may_choose(self, make_app, upstream, path):
        client = make_app(allowed_service_tiers=("flex",)).test_client()
        prepare(upstream, path)

        refused, allowed = (post(client, path, serviceTier=tier) for tier in ("priority", "flex"))

        assert refused.status_code == 403
        assert "serviceTier: this service tier is not offered here." in refused.text
        assert allowed.status_code == 200
        assert [sent.body["service_tier"] for sent in upstream.sent] == ["flex"]

    def test_the_sites_own_default_need_not_be_among_them(self, make_app, upstream):
        client = make_app(allowed_service_tiers=(), service_tier="priority").test_client()

        assert post(client, "/api/chat").status_code == 200
        assert post(client, "/api/chat", serviceTier="priority").status_code == 403
        assert [sent.body["service_tier"] for sent in upstream.sent] == ["priority"]


def test_the_sites_defaults_apply_where_a_request_says_nothing(make_app, upstream):
    defaults = {"reasoning_effort": "low", "verbosity": "low", "service_tier": "flex"}
    client = make_app(chat_model=MODEL, chat_fallback_models=(), **defaults).test_client()

    post(client, "/api/chat")
    post(client, "/api/chat", reasoningEffort="high", verbosity="high", serviceTier="default")

    sent = [{name: sent.body[name] for name in defaults} for sent in upstream.sent]
    assert sent == [defaults, {"reasoning_effort": "high", "verbosity": "high", "service_tier": "default"}]


class TestDeveloper:
    CONVERSATION = ({"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi"})
    MESSAGES_ROUTES = ("/api/chat", "/api/chat/stream", "/api/chat/openai", "/api/structured")

    def ask(self, client, path):
        body = {"chatSettings": {}} if path == "/api/chat/openai" else {}
        return client.post(path, json={**body, "messages": list(self.CONVERSATION)})

    @each_row("path", MESSAGES_ROUTES)
    def test_it_is_taken_as_system_is_and_replaces_the_sites_prompt(self, make_app, upstream, path):
        prepare(upstream, path)

        assert self.ask(make_app(system_prompt="Be rude.").test_client(), path).status_code == 200
        assert {"role": "system", "content": "Be brief."} in upstream.sent[0].body["messages"]
        assert "Be rude." not in str(upstream.sent[0].body)

    @each_row("path", MESSAGES_ROUTES)
    def test_it_is_refused_where_system_is(self, make_app, upstream, path):
        answer = self.ask(make_app(allow_client_system_prompt=False).test_client(), path)

        assert answer.status_code == 400
        assert "the role system is not accepted here." in answer.text
        assert upstream.sent == []
