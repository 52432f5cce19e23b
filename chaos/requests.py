"""What visitors ask: the routes in their shares, good bodies with the request's id inside, and bad ones."""

import json
import random
from typing import Any

from chaos.book import Ask
from chaos.settings import CHAT, FALLBACK, FOREIGN_ORIGIN, MAX_BODY_BYTES, PROMPT_CANARY

_PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
_ROUTES = {
    "/api/chat/stream": 34,
    "/api/chat": 20,
    "/api/chat/openai": 15,
    "/api/vision": 6,
    "/api/vision/stream": 5,
    "/api/embeddings": 10,
    "/api/structured": 10,
}
_SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "string"}, "count": {"type": "integer"}},
    "required": ["answer", "count"],
    "additionalProperties": False,
}
_SPOILED = 0.06


def make(rng: random.Random, request_id: str, port: int) -> tuple[Ask, bytes]:
    """Think of a request: what is noted of it, and its bytes."""
    route = rng.choices(list(_ROUTES), weights=list(_ROUTES.values()))[0]
    ask = Ask(request_id, route)
    body = _body(rng, ask)
    method, headers, content = "POST", {"Content-Type": "application/json"}, json.dumps(body).encode()
    if rng.random() < _SPOILED:
        method, headers, content = _spoil(rng, ask, body)
    return ask, _message(method, ask, port, headers, content)


def make_stream(rng: random.Random, request_id: str, port: int) -> tuple[Ask, bytes]:
    """A good request for a stream."""
    ask = Ask(request_id, "/api/chat/stream")
    content = json.dumps(_body(rng, ask)).encode()
    return ask, _message("POST", ask, port, {"Content-Type": "application/json"}, content)


def _message(method: str, ask: Ask, port: int, headers: dict[str, str], content: bytes) -> bytes:
    fields = {
        "Host": f"127.0.0.1:{port}",
        "X-Request-ID": ask.id,
        **headers,
        "Content-Length": str(len(content)),
    }
    lines = [f"{method} {ask.route} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + content


def _body(rng: random.Random, ask: Ask) -> dict[str, Any]:
    text = f"req:{ask.id} {PROMPT_CANARY} who keeps the keys?"
    if ask.route == "/api/embeddings":
        ask.texts = rng.randint(1, 6)
        texts = [text, *("another" for _ in range(ask.texts - 1))]
        return {"input": text if ask.texts == 1 and rng.random() < 0.5 else texts}
    if ask.route == "/api/structured":
        return {"prompt": text, **({"schema": _SCHEMA} if rng.random() < 0.7 else {})}
    if ask.route.startswith("/api/vision"):
        return {"prompt": text, "imageUrl": rng.choice([_PIXEL, "https://example.com/cat.png"])}
    settings: dict[str, Any] = {}
    if rng.random() < 0.3:
        settings["temperature"] = 0.5
    if rng.random() < 0.1:
        settings["model"] = rng.choice([CHAT, FALLBACK])
    if ask.is_text:
        return {"chatSettings": settings, "messages": [{"role": "user", "content": text}]}
    form = rng.choice(["message", "userMessage", "messages"])
    return {form: [{"role": "user", "content": text}] if form == "messages" else text, **settings}


def _spoil(rng: random.Random, ask: Ask, body: dict[str, Any]) -> tuple[str, dict[str, str], bytes]:
    """Make a request one that must be refused at the door, and note how."""
    method, headers, content = "POST", {"Content-Type": "application/json"}, json.dumps(body).encode()
    ask.what = rng.choice(
        ["no JSON", "odd field", "no object", "odd model", "odd type", "odd origin", "large", "GET"]
    )
    ask.expects = (400, "invalid_request")
    match ask.what:
        case "no JSON":
            content = content[: len(content) // 2]
        case "odd field":
            content = json.dumps(body | {"oddField": 1}).encode()
        case "no object":
            content = b"[]"
        case "odd model":
            settings = body.get("chatSettings", body)
            settings["model"] = "gpt-0"
            content = json.dumps(body).encode()
            ask.expects = (403, "forbidden")
            if ask.route == "/api/structured":
                content = json.dumps({"prompt": body["prompt"], "model": "gpt-0"}).encode()
        case "odd type":
            headers = {"Content-Type": "text/plain"}
            ask.expects = (415, "unsupported_media_type")
        case "odd origin":
            headers["Origin"] = FOREIGN_ORIGIN
            ask.expects = (403, "origin_not_allowed")
        case "large":
            content = json.dumps({"message": "x" * MAX_BODY_BYTES}).encode()
            ask.expects = (413, "body_too_large")
        case "GET":
            method = "GET"
            ask.expects = (405, "method_not_allowed")
    return method, headers, content
