"""The schemas of what routes answer."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_INTEGER: Schema = {"type": "integer"}
_NUMBER: Schema = {"type": "number"}
_OBJECT: Schema = {"type": "object"}
_OBJECTS: Schema = {"type": "array", "items": _OBJECT}
_USAGE: Schema = {"type": ["object", "null"], "description": "The token counts, as OpenAI names them."}


def _answer(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
    }


_END: dict[str, Schema] = {
    "finishReason": {"type": ["string", "null"]},
    "usage": _USAGE,
    "model": _TEXT,
    "id": {"type": ["string", "null"]},
}
_MAYBE: dict[str, Schema] = {"trimmed": _INTEGER, "cached": {"type": "boolean"}}

CHAT = _answer({"reply": _TEXT, **_END}, {"toolCalls": _OBJECTS, "toolRuns": _OBJECTS, **_MAYBE})
STRUCTURED = _answer({"data": {}, **_END}, {"normalized": {"type": "array", "items": _TEXT}, **_MAYBE})
EMBEDDINGS = _answer(
    {
        "embeddings": {"type": "array", "items": {"type": "array", "items": _NUMBER}},
        "model": _TEXT,
        "usage": _USAGE,
    },
    {"cached": _INTEGER},
)
SIMILARITY = _answer({}, {"similarity": _NUMBER, "results": _OBJECTS, "cached": _INTEGER})
TOKEN = _answer(
    {
        "token": _TEXT,
        "tokenId": _TEXT,
        "formToken": _TEXT,
        "expiresAt": {"type": "string", "format": "date-time"},
    }
)
USAGE = _answer(
    {
        "from": _TEXT,
        "to": _TEXT,
        "totals": _OBJECT,
        "rows": _OBJECTS,
        "limits": _OBJECTS,
        "rates": _OBJECTS,
        "streams": _OBJECTS,
    },
    {"safetyEvents": _OBJECTS},
)
LIMITS = _answer({"kind": _TEXT, "tenant": _TEXT, "id": _TEXT, "limits": _OBJECT, "defaults": _OBJECT})
ALL_LIMITS = _answer({"limits": {"type": "array", "items": LIMITS}})
BATCH = _answer({"id": _TEXT, "status": _TEXT})
BATCHES = _answer({"batches": _OBJECTS, "next": {"type": ["string", "null"]}})
COMPLETION = _answer({"id": _TEXT, "object": _TEXT, "created": _INTEGER, "model": _TEXT, "choices": _OBJECTS})
V1_EMBEDDINGS = _answer({"object": _TEXT, "data": _OBJECTS, "model": _TEXT, "usage": _USAGE})
MODEL = _answer({"id": _TEXT, "object": _TEXT, "created": _INTEGER, "owned_by": _TEXT})
MODELS = _answer({"object": _TEXT, "data": {"type": "array", "items": MODEL}})
ANY = _OBJECT

API_ERROR = _answer({"error": _TEXT, "code": _TEXT, "requestId": _TEXT})
MESSAGE_ERROR = _answer({"message": _TEXT})
OPENAI_ERROR = _answer(
    {
        "error": _answer(
            {
                "message": _TEXT,
                "type": _TEXT,
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            }
        )
    }
)
