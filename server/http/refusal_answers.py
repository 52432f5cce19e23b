"""Write the answer to a request that does not reach the application, in the form of the application's errors."""

from __future__ import annotations

import json
import secrets
from contextlib import suppress
from typing import Any

Refusal = tuple[str, str, str]
"""The status line, the code and the sentence of an error."""


def refuse(sock: Any, why: Refusal, path: str = "") -> str:
    """Send an error, if the client reads it, and return its request id.

    Args:
        sock: of the client.
        why: the error.
        path: of the request, if known: below /v1 the body has the form of OpenAI's errors.
    """
    status, code, sentence = why
    request_id = secrets.token_hex(12)
    error: Any = {"error": sentence, "code": code, "requestId": request_id}
    if path == "/v1" or path.startswith("/v1/"):
        kind = "api_error" if status >= "5" else "invalid_request_error"
        error = {"error": {"message": sentence, "type": kind, "param": None, "code": code}}
    body = json.dumps(error).encode()
    head = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    head += [f"X-Request-ID: {request_id}", "Connection: close"]
    head += ["Cache-Control: no-store", "X-Content-Type-Options: nosniff"]
    head += ["Retry-After: 1"] if status.startswith("429") else []
    with suppress(OSError):
        sock.send("\r\n".join([*head, "", ""]).encode() + body)
    return request_id
