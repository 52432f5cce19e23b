"""Every operation with every family that OpenAI serves, on an upstream that refuses what OpenAI refuses."""

from __future__ import annotations

import httpx2
import pytest

from app.model_families.catalog import load_families
from tests.fakes.bodies import IMAGE_URL
from tests.fakes.openai_answers import completion, sse, stream_of
from tests.fakes.strictness import TODAY

SERVED = [
    family
    for family in load_families().values()
    if family.chat and not (family.shutdown and family.shutdown <= TODAY)
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


@pytest.mark.parametrize("family", SERVED, ids=lambda family: family.name)
def test_each_is_answered_at_the_first_attempt(make_app, upstream, family):
    client = make_app(chat_model=family.name, vision_model=family.name, chat_fallback_models=()).test_client()
    upstream.otherwise = lambda sent: (
        upstream.event_stream([sse(payload) for payload in stream_of(ANSWER)])
        if sent.body.get("stream")
        else httpx2.Response(200, json=completion(ANSWER))
    )

    for name, (route, body) in OPERATIONS.items():
        if "tools" in body and family.chat_tools == "never":
            continue  # which are for /v1/responses
        for given, parameters in PARAMETERS.items():
            upstream.sent.clear()
            answer = client.post(route, json=body | parameters)
            assert answer.status_code == 200, (name, given, answer.json)
            assert "event: error" not in answer.text, (name, given)
            assert len(upstream.sent) == 1, (name, given)
