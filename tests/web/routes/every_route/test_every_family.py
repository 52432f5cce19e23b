"""Every operation with every family that OpenAI serves, on an upstream that refuses what OpenAI refuses."""

from __future__ import annotations

from dataclasses import replace

import httpx2
import pytest

from app.models.families.catalog import load_families
from tests.fakes.upstreams.openai_answers import completion, sse, stream_of
from tests.fakes.upstreams.responses_form import EventStream, to_response
from tests.fakes.upstreams.strictness import TODAY
from tests.fakes.wire.bodies import IMAGE_URL

SERVED = [
    family
    for family in load_families().values()
    if (family.chat or family.responses) and not (family.shutdown and family.shutdown <= TODAY)
]
TOOLS = {
    "tools": [
        {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
    ]
}
SCHEMA = {"schema": {"type": "object", "properties": {"a": {"type": "string"}}}, "normalize": True}
ANSWER = '{"a": "x"}'
CHAT, VISION = {"message": "Hi"}, {"prompt": "Hi", "imageUrl": IMAGE_URL}
OPERATIONS = {
    "chat": ("/api/chat", CHAT),
    "chat streamed": ("/api/chat/stream", CHAT),
    "structured": ("/api/structured", {"prompt": "Hi", **SCHEMA}),
    "structured streamed": ("/api/structured/stream", {"prompt": "Hi", **SCHEMA}),
    "vision": ("/api/vision", VISION),
    "vision streamed": ("/api/vision/stream", VISION),
    "tools": ("/api/chat", CHAT | TOOLS),
    "tools streamed": ("/api/chat/stream", CHAT | TOOLS),
}
PARAMETERS = {
    "none": {},
    "all": {"temperature": 0.2, "topP": 0.5, "stop": ["END"], "seed": 7, "verbosity": "low", "maxTokens": 50},
    **{effort: {"reasoningEffort": effort} for effort in ("none", "minimal", "xhigh", "max")},
}


def stream(sent):
    pieces = [sse(payload) for payload in stream_of(ANSWER)]
    return EventStream().convert(pieces) if sent.is_response else pieces


def answer(sent):
    return to_response(completion(ANSWER)) if sent.is_response else completion(ANSWER)


EVERY_PAIR = [(operation, given) for operation in OPERATIONS for given in PARAMETERS]
# Each operation without parameters, one of them streamed, and each set of parameters with one operation.
FIRST_PAIRS = [
    (operation, given)
    for operation, given in EVERY_PAIR
    if operation == "chat"
    or (given == "none" and operation in {"structured streamed", "structured", "vision", "tools"})
]


# One of each kind: what families of a kind can do and take is the same.
KINDS = {replace(family, name="", shutdown=None): family for family in SERVED}.values()


@pytest.fixture
def client(make_app, family, upstream, upstream_api):
    if upstream_api == "responses" and not family.responses:
        pytest.skip("not served there")
    upstream.otherwise = lambda sent: (
        upstream.event_stream(stream(sent)) if sent.body.get("stream") else httpx2.Response(200, json=answer(sent))
    )
    return make_app(chat_model=family.name, vision_model=family.name, chat_fallback_models=()).test_client()


def assert_answered_at_once(client, upstream, operation, given):
    route, body = OPERATIONS[operation]
    upstream.sent.clear()
    answered = client.post(route, json=body | PARAMETERS[given])
    assert answered.status_code == 200, (operation, given, answered.json)
    assert "event: error" not in answered.text, (operation, given)
    assert len(upstream.sent) == 1, (operation, given)


@pytest.mark.parametrize("family", KINDS, ids=lambda family: family.name)
def test_each_kind_is_answered_at_the_first_attempt(client, upstream):
    for operation, given in FIRST_PAIRS:
        assert_answered_at_once(client, upstream, operation, given)


@pytest.mark.thorough
@pytest.mark.parametrize("family", SERVED, ids=lambda family: family.name)
def test_each_is_answered_at_the_first_attempt(client, upstream):
    for operation, given in EVERY_PAIR:
        assert_answered_at_once(client, upstream, operation, given)
