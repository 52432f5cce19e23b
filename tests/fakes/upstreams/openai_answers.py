"""Bodies in OpenAI's wire format, for a fake upstream to answer with."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

MODEL = "gpt-6.1-terra-2026-10-01"
USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}


def completion(
    text: str | None = "Hello there", *, finish_reason: str = "stop", usage: Any = USAGE, **message: Any
) -> dict[str, Any]:
    """A chat.completion; further arguments go into its message."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": MODEL,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": None, **message},
                "finish_reason": finish_reason,
                "logprobs": None,
            }
        ],
        "usage": usage,
    }


def chunk(
    delta: dict[str, Any] | None = None, *, finish_reason: str | None = None, **fields: Any
) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": MODEL,
        "choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish_reason}],
        **fields,
    }


def sse(*payloads: Any) -> bytes:
    """Each payload as one event; texts as they are, all else as JSON."""
    texts = [payload if isinstance(payload, str) else json.dumps(payload) for payload in payloads]
    return "".join(f"data: {text}\n\n" for text in texts).encode()


def stream_of(
    *tokens: str, finish_reason: str | None = "stop", usage: Any = USAGE, done: bool = True
) -> list[dict[str, Any] | str]:
    """The payloads of a whole streamed answer."""
    payloads: list[dict[str, Any] | str] = [chunk({"role": "assistant", "content": ""})]
    payloads += [chunk({"content": token}) for token in tokens]
    if finish_reason is not None:
        payloads.append(chunk(finish_reason=finish_reason))
    if usage is not None:
        payloads.append({**chunk(), "choices": [], "usage": usage})
    if done:
        payloads.append("[DONE]")
    return payloads


def embeddings(vectors: Iterable[Any]) -> dict[str, Any]:
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    return {
        "object": "list",
        "data": data,
        "model": "text-embedding-3-small",
        "usage": {"prompt_tokens": 5, "total_tokens": 5},
    }


def error(
    message: str = "no", *, code: str | None = None, param: str | None = None, kind: str = "e"
) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
