"""Generate the requests of clients: routes by weight, valid bodies that contain the request id, and invalid ones."""

import json
import random
from typing import Any

from chaos.settings import CHAT, FALLBACK, FOREIGN_ORIGIN, MAX_BODY_BYTES, PROMPT_CANARY
from chaos.trace import ClientRequest

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


def make(rng: random.Random, request_id: str, port: int) -> tuple[ClientRequest, bytes]:
    """Return a random request: its record, and its bytes."""
    route = rng.choices(list(_ROUTES), weights=list(_ROUTES.values()))[0]
    request = ClientRequest(request_id, route)
    body = _body(rng, request)
    method, headers, content = "POST", {"Content-Type": "application/json"}, json.dumps(body).encode()
    if rng.random() < _SPOILED:
        method, headers, content = _spoil(rng, request, body)
    return request, _message(method, request, port, headers, content)


def make_stream(rng: random.Random, request_id: str, port: int) -> tuple[ClientRequest, bytes]:
    """Return a valid request for a stream."""
    request = ClientRequest(request_id, "/api/chat/stream")
    content = json.dumps(_body(rng, request)).encode()
    return request, _message("POST", request, port, {"Content-Type": "application/json"}, content)


def _message(method: str, request: ClientRequest, port: int, headers: dict[str, str], content: bytes) -> bytes:
    fields = {
        "Host": f"127.0.0.1:{port}",
        "X-Request-ID": request.id,
        **headers,
        "Content-Length": str(len(content)),
    }
    lines = [f"{method} {request.route} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + content


def _body(rng: random.Random, request: ClientRequest) -> dict[str, Any]:
    text = f"req:{request.id} {PROMPT_CANARY} who keeps the keys?"
    if request.route == "/api/embeddings":
        request.texts = rng.randint(1, 6)
        texts = [text, *("another" for _ in range(request.texts - 1))]
        return {"input": text if request.texts == 1 and rng.random() < 0.5 else texts}
    if request.route == "/api/structured":
        return {"prompt": text, **({"schema": _SCHEMA} if rng.random() < 0.7 else {})}
    if request.route.startswith("/api/vision"):
        return {"prompt": text, "imageUrl": rng.choice([_PIXEL, "https://example.com/cat.png"])}
    settings: dict[str, Any] = {}
    if rng.random() < 0.3:
        settings["temperature"] = 0.5
    if rng.random() < 0.1:
        settings["model"] = rng.choice([CHAT, FALLBACK])
    if request.is_text:
        return {"chatSettings": settings, "messages": [{"role": "user", "content": text}]}
    form = rng.choice(["message", "userMessage", "messages"])
    return {form: [{"role": "user", "content": text}] if form == "messages" else text, **settings}


def _spoil(rng: random.Random, request: ClientRequest, body: dict[str, Any]) -> tuple[str, dict[str, str], bytes]:
    """Change a request so that the application must refuse it, and record how."""
    method, headers, content = "POST", {"Content-Type": "application/json"}, json.dumps(body).encode()
    request.what = rng.choice(
        ["no JSON", "odd field", "no object", "odd model", "odd type", "odd origin", "large", "GET"]
    )
    request.expects = (400, "invalid_request")
    match request.what:
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
            request.expects = (403, "forbidden")
            if request.route == "/api/structured":
                content = json.dumps({"prompt": body["prompt"], "model": "gpt-0"}).encode()
        case "odd type":
            headers = {"Content-Type": "text/plain"}
            request.expects = (415, "unsupported_media_type")
        case "odd origin":
            headers["Origin"] = FOREIGN_ORIGIN
            request.expects = (403, "origin_not_allowed")
        case "large":
            content = json.dumps({"message": "x" * MAX_BODY_BYTES}).encode()
            request.expects = (413, "body_too_large")
        case "GET":
            method = "GET"
            request.expects = (405, "method_not_allowed")
    return method, headers, content
