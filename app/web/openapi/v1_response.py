"""The schemas of the answers and events of /v1/responses, in the form of OpenAI's Responses API."""

from __future__ import annotations

from app.web.openapi.schema import (
    BOOLEAN,
    INTEGER,
    NUMBER,
    OBJECT,
    TEXT,
    Schema,
    closed,
    const,
    list_of,
    nullable,
    one_of,
    refer,
)

_STATUS = one_of("in_progress", "completed", "incomplete", "failed")
_ANNOTATION: Schema = {"type": "object", "properties": {"type": TEXT}, "required": ["type"]}
_PART: Schema = {
    "oneOf": [
        closed(
            {
                "type": const("output_text"),
                "text": TEXT,
                "annotations": list_of(_ANNOTATION),
                "logprobs": list_of(OBJECT),
            }
        ),
        closed({"type": const("refusal"), "refusal": TEXT}),
    ]
}
_HOSTED: Schema = {
    "type": "object",
    "description": "A call of a tool that OpenAI runs, with the fields of its type.",
    "properties": {
        "id": TEXT,
        "type": one_of(
            "web_search_call", "code_interpreter_call", "file_search_call", "mcp_call", "mcp_list_tools"
        ),
        "status": TEXT,
    },
    "required": ["id", "type"],
}
OUTPUT_ITEM: Schema = {
    "oneOf": [
        closed(
            {
                "id": TEXT,
                "type": const("message"),
                "status": _STATUS,
                "role": const("assistant"),
                "content": list_of(_PART),
            }
        ),
        closed(
            {
                "id": TEXT,
                "type": const("function_call"),
                "status": _STATUS,
                "call_id": TEXT,
                "name": TEXT,
                "arguments": TEXT,
            }
        ),
        closed(
            {
                "id": TEXT,
                "type": const("custom_tool_call"),
                "status": _STATUS,
                "call_id": TEXT,
                "name": TEXT,
                "input": TEXT,
            }
        ),
        closed(
            {
                "id": TEXT,
                "type": const("computer_call"),
                "status": _STATUS,
                "call_id": TEXT,
                "pending_safety_checks": list_of(OBJECT),
            },
            action=OBJECT,
            actions=list_of(OBJECT),
        ),
        closed({"id": TEXT, "type": const("reasoning"), "summary": list_of(OBJECT), "encrypted_content": TEXT}),
        _HOSTED,
    ]
}
RESPONSE = closed(
    {
        "id": TEXT,
        "object": const("response"),
        "created_at": INTEGER,
        "completed_at": nullable(INTEGER),
        "status": _STATUS,
        "background": const(False),
        "error": nullable(closed({"code": nullable(TEXT), "message": TEXT})),
        "incomplete_details": nullable(closed({"reason": one_of("max_output_tokens", "content_filter")})),
        "model": TEXT,
        "output": list_of(refer("OutputItem")),
        "usage": nullable(
            closed(
                {
                    "input_tokens": INTEGER,
                    "input_tokens_details": OBJECT,
                    "output_tokens": INTEGER,
                    "output_tokens_details": OBJECT,
                    "total_tokens": INTEGER,
                }
            )
        ),
        "service_tier": TEXT,
        "store": const(False),
        "previous_response_id": {"type": "null"},
        "instructions": nullable(TEXT),
        "max_output_tokens": nullable(INTEGER),
        "max_tool_calls": nullable(INTEGER),
        "metadata": {"type": "object", "additionalProperties": TEXT},
        "parallel_tool_calls": BOOLEAN,
        "reasoning": OBJECT,
        "temperature": NUMBER,
        "text": OBJECT,
        "tool_choice": {"anyOf": [TEXT, OBJECT]},
        "tools": list_of(OBJECT),
        "top_logprobs": INTEGER,
        "top_p": NUMBER,
        "presence_penalty": NUMBER,
        "frequency_penalty": NUMBER,
        "truncation": one_of("auto", "disabled"),
        "prompt_cache_key": {"type": "null"},
        "safety_identifier": {"type": "null"},
    }
)

_ITEM_AT: dict[str, Schema] = {"item_id": TEXT, "output_index": INTEGER}
_PART_AT: dict[str, Schema] = {**_ITEM_AT, "content_index": INTEGER}


def _event(kind: str, **fields: Schema) -> Schema:
    required = {"type": const(f"response.{kind}"), "sequence_number": INTEGER, **fields}
    return closed(required, obfuscation=TEXT) if kind.endswith("delta") else closed(required)


_STEP: Schema = {
    "type": "object",
    "description": "The progress of a call of a tool that OpenAI runs.",
    "properties": {
        "type": {
            "type": "string",
            "pattern": r"^response\.(web_search_call|code_interpreter_call|file_search_call|mcp_call|mcp_list_tools)",
        },
        "sequence_number": INTEGER,
        **_ITEM_AT,
    },
    "required": ["type", "sequence_number", "item_id", "output_index"],
}
EVENT: Schema = {
    "oneOf": [
        *(
            _event(kind, response=refer("Response"))
            for kind in ("created", "in_progress", "completed", "incomplete", "failed")
        ),
        *(
            _event(kind, output_index=INTEGER, item=refer("OutputItem"))
            for kind in ("output_item.added", "output_item.done")
        ),
        *(_event(kind, **_PART_AT, part=_PART) for kind in ("content_part.added", "content_part.done")),
        _event("output_text.delta", **_PART_AT, logprobs=list_of(OBJECT), delta=TEXT),
        _event("output_text.done", **_PART_AT, logprobs=list_of(OBJECT), text=TEXT),
        _event("output_text.annotation.added", **_PART_AT, annotation_index=INTEGER, annotation=_ANNOTATION),
        _event("refusal.delta", **_PART_AT, delta=TEXT),
        _event("refusal.done", **_PART_AT, refusal=TEXT),
        _event("function_call_arguments.delta", **_ITEM_AT, delta=TEXT),
        _event("function_call_arguments.done", **_ITEM_AT, name=TEXT, arguments=TEXT),
        _event("custom_tool_call_input.delta", **_ITEM_AT, delta=TEXT),
        _event("custom_tool_call_input.done", **_ITEM_AT, input=TEXT),
        _STEP,
    ]
}
