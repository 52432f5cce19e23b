"""The schemas of stream events: of the JSON that follows `data: `."""

from __future__ import annotations

from app.web.openapi.answers import (
    END_FIELDS,
    FINISH_REASON,
    OPTIONAL_CHAT_FIELDS,
    OPTIONAL_FIELDS,
    REASONING_DETAILS,
    TOOL_RUN,
)
from app.web.openapi.schema import (
    ANY,
    INTEGER,
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

# The padding of an event, so that its length does not reveal its text.
_PADDING: dict[str, Schema] = {"p": TEXT}
_ERROR = refer("Error")

TOKEN_EVENT: Schema = {
    "oneOf": [
        closed({"token": TEXT}, **_PADDING),
        closed({"tool": TOOL_RUN}),
        closed({"done": const(True), **END_FIELDS}, **OPTIONAL_CHAT_FIELDS),
        _ERROR,
    ]
}
VALUE_EVENT: Schema = {
    "oneOf": [
        closed({"partial": ANY}, **_PADDING),
        closed({"done": const(True), "data": ANY, **END_FIELDS}, normalized=list_of(TEXT), **OPTIONAL_FIELDS),
        _ERROR,
    ]
}
CHUNK = closed(
    {
        "id": TEXT,
        "object": const("chat.completion.chunk"),
        "created": INTEGER,
        "model": TEXT,
        "choices": list_of(
            closed(
                {
                    "index": const(0),
                    "delta": closed(
                        {},
                        role=const("assistant"),
                        content=nullable(TEXT),
                        refusal=nullable(TEXT),
                        reasoning_content=TEXT,
                        tool_calls=list_of(OBJECT),
                        reasoning_details=REASONING_DETAILS,
                    ),
                    "logprobs": {"type": "null"},
                    "finish_reason": nullable(FINISH_REASON),
                }
            )
        ),
    },
    usage=nullable(refer("Usage")),
    service_tier=nullable(TEXT),
    system_fingerprint=nullable(TEXT),
    obfuscation=TEXT,
)
CHUNK_EVENT: Schema = {"oneOf": [CHUNK, refer("OpenAIError")]}


def _ui(kind: str, **fields: Schema) -> Schema:
    return closed({"type": const(kind), **fields}, **(_PADDING if kind.endswith("-delta") else {}))


_CALL: dict[str, Schema] = {"toolCallId": TEXT}
_OF_TOOL: dict[str, Schema] = {"providerExecuted": const(True), "dynamic": const(True)}
UI_EVENT: Schema = {
    "oneOf": [
        _ui("start", messageId=TEXT),
        _ui("start-step"),
        _ui("finish-step"),
        *(_ui(f"{part}-{step}", id=TEXT) for part in ("text", "reasoning") for step in ("start", "end")),
        *(_ui(f"{part}-delta", id=TEXT, delta=TEXT) for part in ("text", "reasoning")),
        _ui("tool-input-start", **_CALL, toolName=TEXT),
        _ui("tool-input-delta", **_CALL, inputTextDelta=TEXT),
        closed({"type": const("tool-input-available"), **_CALL, "toolName": TEXT, "input": ANY}, **_OF_TOOL),
        closed(
            {"type": const("tool-input-error"), **_CALL, "toolName": TEXT, "input": ANY, "errorText": TEXT},
            **_OF_TOOL,
        ),
        closed({"type": const("tool-output-available"), **_CALL, "output": ANY}, **_OF_TOOL),
        closed({"type": const("tool-output-error"), **_CALL, "errorText": TEXT}, **_OF_TOOL),
        _ui(
            "finish",
            finishReason=one_of("stop", "length", "content-filter", "tool-calls", "other"),
            messageMetadata=OBJECT,
        ),
        _ui("error", errorText=TEXT, code=TEXT, requestId=TEXT),
        _ui("abort"),
    ]
}


def _agui(kind: str, **fields: Schema) -> Schema:
    return closed({"type": const(kind), **fields}, rawEvent=TEXT)


_RUN: dict[str, Schema] = {"threadId": TEXT, "runId": TEXT}
_MESSAGE: dict[str, Schema] = {"messageId": TEXT}
AGUI_EVENT: Schema = {
    "oneOf": [
        _agui("RUN_STARTED", **_RUN, protocolVersion=TEXT),
        closed(
            {"type": const("RUN_FINISHED"), **_RUN, "outcome": OBJECT, "metadata": OBJECT}, usage=list_of(OBJECT)
        ),
        _agui("RUN_ERROR", message=TEXT, code=TEXT, metadata=OBJECT),
        _agui("REASONING_ENCRYPTED_VALUE", subtype=const("tool-call"), entityId=TEXT, encryptedValue=TEXT),
        _agui("TEXT_MESSAGE_START", **_MESSAGE, role=const("assistant")),
        _agui("TEXT_MESSAGE_CONTENT", **_MESSAGE, delta=TEXT),
        _agui("TEXT_MESSAGE_END", **_MESSAGE),
        _agui("REASONING_START", **_MESSAGE),
        _agui("REASONING_MESSAGE_START", **_MESSAGE, role=const("reasoning")),
        _agui("REASONING_MESSAGE_CONTENT", **_MESSAGE, delta=TEXT),
        _agui("REASONING_MESSAGE_END", **_MESSAGE),
        _agui("REASONING_END", **_MESSAGE),
        _agui("TOOL_CALL_START", **_CALL, toolCallName=TEXT, parentMessageId=TEXT),
        _agui("TOOL_CALL_ARGS", **_CALL, delta=TEXT),
        _agui("TOOL_CALL_END", **_CALL),
        _agui("TOOL_CALL_RESULT", **_MESSAGE, **_CALL, content=TEXT, role=const("tool")),
    ]
}
