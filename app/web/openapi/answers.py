"""The schemas of complete answers, which are not streamed."""

from __future__ import annotations

from app.web.openapi.schema import (
    ANY,
    BOOLEAN,
    DATE_TIME,
    INTEGER,
    NULL,
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

FINISH_REASON = one_of("stop", "length", "content_filter", "tool_calls", "unknown")
END_FIELDS: dict[str, Schema] = {
    "finishReason": nullable(FINISH_REASON),
    "usage": nullable(refer("Usage")),
    "model": TEXT,
    "id": nullable(TEXT),
}
"""The fields that every answer of a model ends with."""
TOOL_RUN = closed({"id": TEXT, "name": TEXT, "status": one_of("running", "done", "failed")}, ms=INTEGER)
OPTIONAL_FIELDS: dict[str, Schema] = {"trimmed": INTEGER, "cached": BOOLEAN}
OPTIONAL_CHAT_FIELDS: dict[str, Schema] = {
    "toolCalls": list_of(refer("ToolCall")),
    "reasoning": TEXT,
    **OPTIONAL_FIELDS,
}

CHAT = closed(
    {"reply": TEXT, **END_FIELDS},
    **OPTIONAL_CHAT_FIELDS,
    toolRuns=list_of(TOOL_RUN),
    text=TEXT,
    role=const("assistant"),
    content=TEXT,
)
STRUCTURED = closed({"data": ANY, **END_FIELDS}, normalized=list_of(TEXT), **OPTIONAL_FIELDS)
EMBEDDINGS = closed(
    {"embeddings": list_of(list_of(NUMBER)), "model": TEXT, "usage": nullable(refer("Usage"))}, cached=INTEGER
)
SIMILARITY: Schema = {
    "anyOf": [
        closed({"similarity": NUMBER}, cached=INTEGER),
        closed(
            {"results": list_of(closed({"index": INTEGER, "similarity": NUMBER}, document=TEXT))}, cached=INTEGER
        ),
    ]
}
TOKEN = closed({"token": TEXT, "tokenId": TEXT, "formToken": TEXT, "expiresAt": DATE_TIME})

_COUNTS = ("requests", "estimated", "unpriced", "promptTokens", "cachedTokens", "cacheWriteTokens")
_SUMS: dict[str, Schema] = dict.fromkeys(
    (*_COUNTS, "completionTokens", "reasoningTokens", "tokens", "costMicroUsd", "cacheSavedMicroUsd"), INTEGER
)
_LIMIT = closed(
    {
        "of": TEXT,
        "window": one_of("day", "month"),
        **dict.fromkeys(("microUsd", "tokens", "leftMicroUsd", "leftTokens"), nullable(INTEGER)),
        "resetsInS": INTEGER,
    }
)
_RATE = closed(
    {
        "of": TEXT,
        "counts": one_of("requests", "tokens"),
        **dict.fromkeys(("limit", "windowS", "left", "resetsInS"), INTEGER),
    }
)
_STREAMS = closed({"of": TEXT, "limit": INTEGER})
_SAFETY_EVENT = closed(
    {
        "at": DATE_TIME,
        "type": TEXT,
        **dict.fromkeys(("tenant", "user", "category", "caseId", "action"), nullable(TEXT)),
    }
)
USAGE = closed(
    {
        "from": {"type": "string", "format": "date"},
        "to": {"type": "string", "format": "date"},
        "totals": closed(_SUMS),
        "rows": list_of({"type": "object", "properties": _SUMS, "required": list(_SUMS)}),
        "limits": list_of(_LIMIT),
        "rates": list_of(_RATE),
        "streams": list_of(_STREAMS),
    },
    safetyEvents=list_of(_SAFETY_EVENT),
)

_OWN_LIMIT: Schema = {"type": ["number", "string", "null"]}
_OWN_LIMITS = closed(
    dict.fromkeys(("requestRate", "tokenRate", "concurrentStreams", "budgetUsd", "budgetTokens"), _OWN_LIMIT)
)
LIMITS = closed({"kind": TEXT, "tenant": TEXT, "id": TEXT, "limits": _OWN_LIMITS, "defaults": _OWN_LIMITS})
ALL_LIMITS = closed({"limits": list_of(refer("Limits"))})

BATCH = closed(
    {
        "id": TEXT,
        "kind": one_of("chat", "structured", "embeddings"),
        "model": TEXT,
        "status": TEXT,
        "createdAt": DATE_TIME,
        "endedAt": nullable(DATE_TIME),
        "counts": closed({"total": INTEGER, "completed": INTEGER, "failed": INTEGER}),
        "costMicroUsd": nullable(INTEGER),
    },
    user=nullable(TEXT),
    tenant=nullable(TEXT),
)
BATCHES = closed({"batches": list_of(refer("Batch")), "next": nullable(TEXT)})
BATCH_RESULTS: Schema = {
    "type": "object",
    "description": "The answers in order, each with the id of its request. The response is streamed.",
    "properties": {"results": list_of(OBJECT)},
}

TOOL_CALL: Schema = {
    "type": "object",
    "properties": {
        "id": TEXT,
        "type": const("function"),
        "function": {
            "type": "object",
            "properties": {"name": TEXT, "arguments": TEXT},
            "required": ["name", "arguments"],
        },
    },
    "required": ["id", "type", "function"],
}
CUSTOM_TOOL_CALL: Schema = {
    "type": "object",
    "description": "A call of a tool that accepts free text.",
    "properties": {"id": TEXT, "type": const("custom"), "custom": closed({"name": TEXT, "input": TEXT})},
    "required": ["id", "type", "custom"],
}
TOKEN_COUNTS: Schema = {
    "type": "object",
    "description": "The token counts as the upstream reports them, with OpenAI's field names.",
    "properties": {
        **dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), INTEGER),
        "prompt_tokens_details": nullable(OBJECT),
        "completion_tokens_details": nullable(OBJECT),
    },
}
REASONING_DETAILS = list_of(closed({"type": const("reasoning.encrypted"), "index": const(0), "data": TEXT}))

COMPLETION = closed(
    {
        "id": TEXT,
        "object": const("chat.completion"),
        "created": INTEGER,
        "model": TEXT,
        "choices": list_of(
            closed(
                {
                    "index": const(0),
                    "message": closed(
                        {"role": const("assistant"), "content": nullable(TEXT), "refusal": nullable(TEXT)},
                        tool_calls=list_of({"oneOf": [refer("ToolCall"), refer("CustomToolCall")]}),
                        reasoning_details=REASONING_DETAILS,
                    ),
                    "logprobs": NULL,
                    "finish_reason": FINISH_REASON,
                }
            )
        ),
        "usage": nullable(refer("Usage")),
        "service_tier": nullable(TEXT),
        "system_fingerprint": nullable(TEXT),
    }
)
V1_EMBEDDINGS = closed(
    {
        "object": const("list"),
        "data": list_of(
            closed(
                {
                    "object": const("embedding"),
                    "index": INTEGER,
                    "embedding": {"anyOf": [list_of(NUMBER), {"type": "string", "contentEncoding": "base64"}]},
                }
            )
        ),
        "model": TEXT,
        "usage": nullable(refer("Usage")),
    }
)
MODEL = closed({"id": TEXT, "object": const("model"), "created": INTEGER, "owned_by": TEXT})
MODELS = closed({"object": const("list"), "data": list_of(refer("Model"))})
STATUS = closed({"status": TEXT}, advice=TEXT)

API_ERROR = closed({"error": TEXT, "code": TEXT, "requestId": TEXT})
MESSAGE_ERROR = closed({"message": TEXT})
OPENAI_ERROR = closed(
    {"error": closed({"message": TEXT, "type": TEXT, "param": nullable(TEXT), "code": nullable(TEXT)})}
)
