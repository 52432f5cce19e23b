"""Parses an answer, a chat completion or a response, into a ChatResult."""

from __future__ import annotations

from typing import Any

import httpx2

from app.openai_service.answers.contents import read_answer
from app.openai_service.answers.finish_reasons import read_finish_reason
from app.openai_service.answers.text import read_json
from app.openai_service.answers.tool_calls import ToolCalls, find_tool_calls
from app.openai_service.errors import UpstreamError, UpstreamFailed
from app.openai_service.responses.answer import is_response, parse_response
from app.openai_service.results import CallRecord, ChatResult
from app.openai_service.transport.sdk_errors import translate_error_object
from app.token_counts import Usage
from app.token_counts.estimates import estimate_text


def read_completion(response: httpx2.Response, record: CallRecord) -> ChatResult:
    """Parse a complete answer, and note its usage on the record.

    Raises:
        UpstreamFailed: the response, of status 200, is not a completion.
        UpstreamTruncated: the upstream broke off.
        UpstreamError: the response, of status 200, contains an error object.
    """
    try:
        body = read_json(response.content)
    except ValueError:
        raise UpstreamFailed from None
    result = parse_completion(body, record)
    attempt = record.attempt_log[-1]
    if (tier := body.get("service_tier")) and isinstance(tier, str):
        attempt.service_tier = tier
    record.note_usage(result.usage)
    if attempt.billed == "unknown":  # otherwise nobody asks for the estimate, which takes time for a long text
        arguments = [str(call["function"]["arguments"]) for call in result.tool_calls]
        attempt.received = sum(map(estimate_text, [result.text, *arguments]))
    return result


def parse_completion(body: Any, record: CallRecord) -> ChatResult:
    """Return the result of decoded JSON, a chat completion or a response. Raises as read_completion() does."""
    if is_response(body):
        return parse_response(body, record)
    if isinstance(body, dict) and body.get("error"):
        raise translate_error_object(body["error"])
    try:
        choice = body["choices"][0]
        message = choice["message"]
        text, refusal = read_answer(message)
        calls = find_tool_calls(message) or []
    except (TypeError, KeyError, IndexError, AttributeError, UpstreamFailed):
        raise _unreadable(body) from None
    usage = Usage.parse(body.get("usage") or choice.get("usage"), wrote=bool(text or refusal or calls))
    try:
        tool_calls = ToolCalls.read(calls) if calls else []
        finish_reason = read_finish_reason(choice.get("finish_reason"), has_tool_calls=bool(tool_calls))
    except UpstreamError as error:
        raise error.paid_for(usage) from None
    record.model = body["model"] if isinstance(body.get("model"), str) else record.model
    return ChatResult(
        text=text,
        finish_reason=finish_reason,
        usage=usage,
        model=record.model,
        id=body["id"] if isinstance(body.get("id"), str) else "",
        tool_calls=tool_calls,
        refusal=refusal or None,
        record=record,
    )


def _unreadable(body: object) -> UpstreamFailed:
    """Return the error of an answer that cannot be read, with what it has cost all the same."""
    return UpstreamFailed().paid_for(Usage.parse(body.get("usage")) if isinstance(body, dict) else None)
