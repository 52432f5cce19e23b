"""OpenAI's tool image_generation as its /responses has it: what it refuses of a request, and the item and events of an image.

Written against the types of OpenAI's client (`openai.types.responses.tool_param.ImageGeneration`), not against the application.
"""

from __future__ import annotations

from typing import Any

from tests.fakes.upstreams import hosted_tools as hosted

TOOL = "image_generation"
USAGE = {"input_tokens": 300, "output_tokens": 40, "total_tokens": 340}


def image(result: str | None = "aW1hZ2U=", *, number: int = 1, **fields: Any) -> dict[str, Any]:
    """The item of one image."""
    return {
        "id": f"ig_upstream_{number}",
        "type": "image_generation_call",
        "status": "completed",
        "background": "opaque",
        "output_format": "png",
        "quality": "low",
        "size": "1024x1024",
        "revised_prompt": "A cat, seen from its left side",
        "result": result,
        **fields,
    }


def check_request(body: dict[str, Any]) -> None:
    """Fails where OpenAI refuses such a request."""
    hosted.check_request(body)
    [tool] = [tool for tool in body["tools"] if tool["type"] == TOOL]
    kind = tool.get("output_format", "png")
    assert 0 <= tool.get("partial_images", 0) <= 3
    assert 0 <= tool.get("output_compression", 100) <= 100
    assert tool.get("background") != "transparent" or kind in ("png", "webp")
    # "For `gpt-image-2`, omit this parameter", as for the models after it, of which the default is one.
    assert "input_fidelity" not in tool or tool.get("model", "").startswith("gpt-image-1")
    assert tool.get("model") != "gpt-image-1", "it was shut down on October 23, 2026"


def events(*items: dict[str, Any], partials: int = 0, **fields: Any) -> list[dict[str, Any]]:
    """The events of a response with these images, each with so many partial images."""
    told: list[dict[str, Any]] = []
    for event in hosted.events(*items, **fields):
        told.append(event)
        if event["type"] == "response.image_generation_call.generating":
            told += [_partial(event, number) for number in range(partials)]
    return told


def _partial(event: dict[str, Any], number: int) -> dict[str, Any]:
    return {
        "type": "response.image_generation_call.partial_image",
        "item_id": event["item_id"],
        "output_index": event["output_index"],
        "partial_image_index": number,
        "partial_image_b64": f"cGFydCA{number}",
        "output_format": "png",
        "size": "1024x1024",
    }
