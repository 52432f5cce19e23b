"""Bodies of every route: whole ones to spoil a part of, and what a refusal of one must look like."""

from __future__ import annotations

import copy
import re
from typing import Any

from werkzeug.test import TestResponse

IMAGE_URL = "https://example.com/cat.png"
USER = {"role": "user", "content": "Hi"}
FUNCTION = {"name": "get_weather", "description": "d", "parameters": {"type": "object"}, "strict": False}
TOOL = {"type": "function", "function": FUNCTION}
CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
TURNS = [
    USER,
    {"role": "assistant", "content": None, "toolCalls": [CALL]},
    {"role": "tool", "toolCallId": "call_1", "content": "rain"},
    {"role": "system", "content": "Be brief."},
]
SCHEMA = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}

# The smallest body that each route takes, and where in it a text of the caller's stands.
SMALLEST: dict[str, dict[str, Any]] = {
    "/api/chat": {"message": "Hi"},
    "/api/chat/stream": {"message": "Hi"},
    "/api/chat/openai": {"chatSettings": {}, "messages": [USER]},
    "/api/vision": {"prompt": "Hi", "imageUrl": IMAGE_URL},
    "/api/vision/stream": {"prompt": "Hi", "imageUrl": IMAGE_URL},
    "/api/embeddings": {"input": "Hi"},
    "/api/embeddings/similarity": {"a": "Hi", "b": "Ho"},
    "/api/structured": {"prompt": "Hi"},
    "/api/structured/stream": {"prompt": "Hi"},
}
# With those of the routes that are as OpenAI has them.
EVERY_SMALLEST: dict[str, dict[str, Any]] = {
    **SMALLEST,
    "/v1/chat/completions": {"messages": [USER]},
    "/v1/responses": {"input": "Hi"},
    "/v1/embeddings": {"input": "Hi"},
}
TEXT_AT = {
    "/api/chat": "message",
    "/api/chat/stream": "message",
    "/api/chat/openai": "messages.0.content",
    "/api/vision": "prompt",
    "/api/vision/stream": "prompt",
    "/api/embeddings": "input",
    "/api/embeddings/similarity": "a",
    "/api/structured": "prompt",
    "/api/structured/stream": "prompt",
    "/v1/chat/completions": "messages.0.content",
    "/v1/responses": "input",
    "/v1/embeddings": "input",
}
ROUTES = list(SMALLEST)
EVERY_ROUTE = list(EVERY_SMALLEST)
ONE_OF_EACH_KIND = [
    "/api/chat",
    "/api/chat/stream",
    "/api/embeddings",
    "/api/structured",
    "/api/vision",
    "/v1/responses",
]
OTHER_ROUTES = [route for route in EVERY_ROUTE if route not in ONE_OF_EACH_KIND]


def scope_of(route: str) -> str:
    """The scope that a route takes."""
    return next((scope for scope in ("vision", "embeddings", "structured") if f"/{scope}" in route), "chat")


def conversation_of(sent: dict[str, Any]) -> dict[str, Any]:
    """Return a body sent to the upstream, without the fields that name its user or say whether it may be stored."""
    about = ("safety_identifier", "prompt_cache_key", "store")
    return {name: value for name, value in sent.items() if name not in about}


def placed(body: dict[str, Any], where: str, value: Any) -> dict[str, Any]:
    """A copy of a body with a value at a dotted path."""
    body = copy.deepcopy(body)
    *way, last = [int(part) if part.isdigit() else part for part in where.split(".")]
    place: Any = body
    for part in way:
        place = place[part]
    place[last] = value
    return body


def _in_words_of_api(sentence: str) -> str:
    sentence = re.sub(r"^Unrecognized request argument supplied: (.*)$", r"Unknown field \1.", sentence)
    return re.sub(r"\[(\d+)\]", r".\1", sentence)


def refusal_of(answer: TestResponse) -> str:
    """The one sentence of a refusal, which has the form of its route and nothing besides."""
    assert answer.status_code in {400, 413, 415}, (answer.status_code, answer.data[:200])
    assert answer.content_type == "application/json"
    assert answer.headers["X-Request-ID"]
    body = answer.json
    if answer.request.path == "/api/chat/openai":
        assert list(body) == ["message"]
        return body["message"]
    if answer.request.path.startswith("/v1/"):
        assert list(body) == ["error"]
        assert list(body["error"]) == ["message", "type", "param", "code"]
        return _in_words_of_api(body["error"]["message"])
    assert list(body) == ["error", "code", "requestId"]
    assert body["requestId"] == answer.headers["X-Request-ID"]
    return body["error"]
