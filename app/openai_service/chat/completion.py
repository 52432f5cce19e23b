"""Parses a complete answer, of /chat/completions or /responses, into a ChatResult.

A server may answer with a stream although none was requested. Such a stream is read to its end.
"""

from __future__ import annotations

from typing import Any

import httpx2

from app.models.token_counts import Usage
from app.models.token_counts.estimates import estimate_text
from app.openai_service.answers.contents import read_answer
from app.openai_service.answers.finish_reasons import read_finish_reason
from app.openai_service.answers.text import read_json
from app.openai_service.answers.tool_calls import ToolCalls, find_tool_calls
from app.openai_service.errors import UpstreamError, UpstreamFailed
from app.openai_service.responses.answer import is_response, parse_response
from app.openai_service.responses.stream import ResponseReader
from app.openai_service.results import CallRecord, ChatResult
from app.openai_service.streaming.chunks import ChunkReader
from app.openai_service.streaming.events import (
    Annotation,
    Done,
    Events,
    HostedStep,
    Refusal,
    Token,
    estimate_tokens,
)
from app.openai_service.transport.request_bodies import RESPONSES_PATH
from app.openai_service.transport.sdk_errors import translate_error_object


def read_completion(response: httpx2.Response, record: CallRecord) -> ChatResult:
    """Parse a complete answer, and add its usage to the record.

    Raises:
        UpstreamFailed: the body of the 200 response is not an answer.
        UpstreamTruncated: the upstream stopped before the end of its answer.
        UpstreamError: the body of the 200 response contains an error object.
    """
    try:
        body = read_json(response.content)
    except ValueError:
        return _read_stream(response, record)
    result = parse_completion(body, record)
    attempt = record.attempt_log[-1]
    if (tier := body.get("service_tier")) and isinstance(tier, str):
        attempt.service_tier = tier
    record.note_usage(result.usage)
    if attempt.billed == "unknown":  # otherwise the estimate is not used, and it takes time for a long text
        arguments = [str(call["function"]["arguments"]) for call in result.tool_calls]
        attempt.received = sum(map(estimate_text, [result.text, *arguments]))
    return result


def _read_stream(response: httpx2.Response, record: CallRecord) -> ChatResult:
    """Parse a complete stream. Raises what read_completion() raises."""
    is_responses_api = response.request.url.path.endswith(RESPONSES_PATH)
    reader = ResponseReader(record.models[-1]) if is_responses_api else ChunkReader()
    attempt = record.attempt_log[-1]
    events: Events = []
    try:
        reader.feed(response.content, events)
        if not reader.is_done:
            reader.end(events)
    finally:
        attempt.received = estimate_tokens(events)
        attempt.service_tier = reader.service_tier or attempt.service_tier
        attempt.hosted_calls = reader.hosted_calls
    record.note_usage(reader.usage)
    record.model = reader.model or record.model
    done = events[-1]
    assert isinstance(done, Done), "a stream ends with Done or an error"
    return ChatResult(
        text="".join([event.text for event in events if isinstance(event, Token)]),
        finish_reason=done.finish_reason,
        usage=done.usage,
        model=record.model,
        id=done.id,
        tool_calls=done.tool_calls,
        refusal="".join([event.text for event in events if isinstance(event, Refusal)]) or None,
        record=record,
        reasoning_items=done.reasoning_items,
        hosted_items=[event.fields for event in events if isinstance(event, HostedStep) and event.kind == "done"],
        annotations=[event.fields for event in events if isinstance(event, Annotation)],
    )


def parse_completion(body: Any, record: CallRecord) -> ChatResult:
    """Parse decoded JSON, a chat completion or a response, into a result. Raises what read_completion() raises."""
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
        raise _build_unreadable_error(body) from None
    usage = Usage.parse(body.get("usage") or choice.get("usage"), wrote=bool(text or refusal or calls))
    try:
        tool_calls = ToolCalls.read(calls) if calls else []
        finish_reason = read_finish_reason(choice.get("finish_reason"), has_tool_calls=bool(tool_calls))
    except UpstreamError as error:
        raise error.with_billed_usage(usage) from None
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


def _build_unreadable_error(body: object) -> UpstreamFailed:
    """Return the error for an answer that cannot be read, with its usage, as it is billed all the same."""
    return UpstreamFailed().with_billed_usage(Usage.parse(body.get("usage")) if isinstance(body, dict) else None)
