"""Describe the request to a model for its span: parameters by the names of the conventions, never any content."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# The parameters of both endpoints.
_NUMBERS = {
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "max_output_tokens": "gen_ai.request.max_tokens",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "seed": "gen_ai.request.seed",
    "dimensions": "gen_ai.embeddings.dimension.count",
}


def describe_request(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the span attributes of a request's body."""
    found = {name: body[field] for field, name in _NUMBERS.items() if isinstance(body.get(field), int | float)}
    text = body.get("text")
    output = body.get("response_format") or (text.get("format") if isinstance(text, dict) else None)
    if isinstance(output, dict):
        found["gen_ai.output.type"] = "text" if output.get("type") == "text" else "json"
    return found
