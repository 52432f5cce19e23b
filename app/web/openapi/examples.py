"""An example body for each route that accepts one: for the console, the OpenAPI document and the tests."""

from __future__ import annotations

from typing import Any

# An image that is half red and half blue, small enough for a command line.
_IMAGE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAABAAAAAQAQMAAAAlPW0iAAAABlBMVEXcHh4ePNxFowWuAAAA"
    "EElEQVR42mNg+M/EwEA8AgAw0gEe0P1L1QAAAABJRU5ErkJggg=="
)
_CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["city", "people"],
    "additionalProperties": False,
}
EXAMPLES: dict[str, dict[str, Any]] = {
    "/api/chat": {"message": "Hello"},
    "/api/chat/stream": {"message": "Hello"},
    "/api/chat/openai": {"chatSettings": {}, "messages": [{"role": "user", "content": "Hello"}]},
    "/api/vision": {"prompt": "Which colours are these?", "imageUrl": _IMAGE},
    "/api/vision/stream": {"prompt": "Which colours are these?", "imageUrl": _IMAGE},
    "/api/embeddings": {"input": ["a gate", "a house"], "dimensions": 8},
    "/api/embeddings/similarity": {"query": "an open gate", "documents": ["a cloud", "the gate is open"]},
    "/api/structured": {"prompt": "Berlin has 3700000 people.", "schema": _CITY},
    "/api/structured/stream": {"prompt": "Berlin has 3700000 people.", "schema": _CITY},
    "/api/completion": {"prompt": "Hello"},
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "Hello"}]},
    "/v1/responses": {"input": "Hello"},
    "/v1/embeddings": {"input": "a gate", "dimensions": 8},
    "/api/agui": {
        "threadId": "thread-1",
        "runId": "run-1",
        "messages": [{"id": "message-1", "role": "user", "content": "Hello"}],
    },
    "/api/tokens": {"userId": "user-1", "ttlS": 600, "scopes": ["chat"]},
    "/api/batches": {"requests": [{"id": "first", "chat": {"message": "Hello"}}]},
}

PUT_EXAMPLES: dict[str, dict[str, Any]] = {
    "/api/limits/<kind>/<path:name>": {"requestRate": "10/minute", "budgetUsd": 5},
}
"""The example bodies of PUT requests, by URL rule."""
