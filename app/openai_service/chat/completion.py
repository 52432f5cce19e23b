"""Parses OpenAI's chat completion object into a ChatResult."""

from __future__ import annotations

from typing import Any

import httpx2
import orjson

from app.openai_service.errors import UpstreamFailed
from app.openai_service.results import CallRecord, ChatResult
from app.openai_service.streaming.chunks import map_finish_reason
from app.openai_service.streaming.events import ToolCallObject
from app.openai_service.transport.sdk_errors import translate_error_object
from app.token_counts import Usage
from app.token_counts.estimates import estimate_text


def read_completion(response: httpx2.Response, record: CallRecord) -> ChatResult:
    """Parse a complete answer, and note its usage on the record.

    Raises:
        UpstreamFailed: the response, of status 200, is not a completion.
        UpstreamError: the response, of status 200, contains an error object.
    """
    try:
        body = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        raise UpstreamFailed from None
    result = parse_completion(body, record)
    record.note_usage(result.usage)
    arguments = [str(call["function"]["arguments"]) for call in result.tool_calls]
    record.attempt_log[-1].received = sum(map(estimate_text, [result.text, *arguments]))
    return result


def parse_completion(body: Any, record: CallRecord) -> ChatResult:
    """Return the result of decoded JSON. Raises as read_completion() does."""
    if isinstance(body, dict) and body.get("error"):
        raise translate_error_object(body["error"])
    try:
        choice = body["choices"][0]
        message = choice["message"]
        text, refusal = message.get("content"), message.get("refusal")
        calls = message.get("tool_calls") or []
    except (TypeError, KeyError, IndexError, AttributeError):
        raise _unreadable(body) from None
    if not isinstance(text, str | None) or not isinstance(calls, list):
        raise _unreadable(body)
    tool_calls = [_parse_tool_call(call, position) for position, call in enumerate(calls) if _is_tool_call(call)]
    if len(tool_calls) != len(calls):
        raise _unreadable(body)
    record.model = body["model"] if isinstance(body.get("model"), str) else record.model
    return ChatResult(
        text=text or "",
        finish_reason=map_finish_reason(choice.get("finish_reason"), bool(tool_calls)),
        usage=Usage.parse(body.get("usage") or choice.get("usage"), wrote=bool(text or refusal or tool_calls)),
        model=record.model,
        id=body["id"] if isinstance(body.get("id"), str) else "",
        tool_calls=tool_calls,
        refusal=refusal if isinstance(refusal, str) else None,
        record=record,
    )


def _unreadable(body: object) -> UpstreamFailed:
    """Return the error of an answer that cannot be read, with what it has cost all the same."""
    return UpstreamFailed().paid_for(Usage.parse(body.get("usage")) if isinstance(body, dict) else None)


def _is_tool_call(call: Any) -> bool:
    function = call.get("function") if isinstance(call, dict) else None
    return isinstance(function, dict) and isinstance(function.get("name"), str)


def _parse_tool_call(call: dict[str, Any], position: int) -> ToolCallObject:
    """Return a tool call without fields that servers add, which an upstream might refuse when it is sent back.

    Some servers leave the id out, and some write the arguments as an object instead of as its JSON.
    """
    function, id_ = call["function"], call.get("id")
    arguments = function.get("arguments") or ""
    return {
        "id": id_ if isinstance(id_, str) and id_ else f"call_{position}",
        "type": "function",
        "function": {
            "name": function["name"],
            "arguments": arguments if isinstance(arguments, str) else orjson.dumps(arguments).decode(),
        },
    }
