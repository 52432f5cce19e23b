"""The computer as OpenAI's /responses has it: what it refuses of a request, and the items and events of calls.

Written against the types of OpenAI's client and its documents, not against the application.
"""

from __future__ import annotations

from typing import Any

from tests.fakes.upstreams.hosted_tools import check_types
from tests.fakes.upstreams.responses_form import message, response

PREVIEW = {
    "type": "computer_use_preview",
    "display_width": 1024,
    "display_height": 768,
    "environment": "browser",
}
CLICK = {"type": "click", "button": "left", "x": 12, "y": 34}
CHECK = {"id": "cu_sc_1", "code": "malicious_instructions", "message": "Is that what you want?"}


def call(*actions: dict[str, Any], call_id: str = "call_1", checks: Any = ()) -> dict[str, Any]:
    """The item of a call: of one action as computer-use-preview writes it, of several as later models do."""
    told = {"action": actions[0]} if len(actions) == 1 else {"actions": list(actions)}
    item = {"id": f"cu_upstream_{call_id}", "type": "computer_call", "call_id": call_id, "status": "completed"}
    return {**item, **told, "pending_safety_checks": list(checks)}


def check_request(body: dict[str, Any]) -> None:
    """Fails where a request with the computer is not of the documented form."""
    check_types(body)
    assert body["truncation"] == "auto"
    assert "max_tool_calls" not in body, "it is of tools that run at OpenAI"


def answer(*items: dict[str, Any], text: str = "", **fields: Any) -> dict[str, Any]:
    """A response in one piece."""
    said = [message(text)] if text else []
    return response("completed", *said, *items, **fields)


def events(*items: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    """The events of the same response without a text."""
    whole = response("completed", *items, **fields)
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    told: list[dict[str, Any]] = [
        {"type": f"response.{kind}", "response": begun} for kind in ("created", "in_progress")
    ]
    for place, item in enumerate(items):
        told += [
            {
                "type": "response.output_item.added",
                "output_index": place,
                "item": {**item, "status": "in_progress"},
            },
            {"type": "response.output_item.done", "output_index": place, "item": item},
        ]
    return [*told, {"type": "response.completed", "response": whole}]
