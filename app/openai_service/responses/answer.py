"""Parses a complete response into a ChatResult."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any

from app.models.token_counts import note_tokens
from app.openai_service.answers.tool_calls import ToolCalls
from app.openai_service.errors import UpstreamError, UpstreamFailed
from app.openai_service.responses.generated_images import check_images
from app.openai_service.responses.hosted_tools import count_calls, hide_stored_ids
from app.openai_service.responses.output import read_end, read_items, read_usage
from app.openai_service.results import CallRecord, ChatResult


def is_response(body: object) -> bool:
    """Return whether a body is a response rather than a chat completion."""
    if type(body) is not dict or "choices" in body:
        return False
    return body.get("object") == "response" or isinstance(body.get("output"), list)


def parse_response(body: Mapping[str, Any], record: CallRecord) -> ChatResult:
    """Parse a response.

    Raises:
        UpstreamFailed: it is malformed.
        UpstreamTruncated: the upstream aborted the answer.
        UpstreamError: the response failed.
    """
    output = read_items(body.get("output"), record.models[-1] if record.models else record.model)
    if output.hosted and record.attempt_log:  # a batch has no attempts
        record.attempt_log[-1].hosted_calls = count_calls(output.hosted)
    wrote = bool(output.text or output.refusal or output.calls)
    usage = read_usage(body, wrote=wrote)
    note_tokens(output.reasoning_items, usage)
    try:
        check_images(output.hosted)
        tool_calls = ToolCalls.read(output.calls) if output.calls else []
        finish_reason = read_end(body, has_calls=bool(tool_calls))
        if not isinstance(body.get("output"), list):
            raise UpstreamFailed
    except UpstreamError as error:
        raise error.with_billed_usage(usage) from None
    record.model = body["model"] if isinstance(body.get("model"), str) else record.model
    return ChatResult(
        text=output.text,
        finish_reason=finish_reason,
        usage=usage,
        model=record.model,
        id=make_answer_id(body.get("id")),
        tool_calls=tool_calls,
        refusal=output.refusal or None,
        record=record,
        reasoning_items=output.reasoning_items,
        hosted_items=[hide_stored_ids(item) for item in output.hosted],
        annotations=output.annotations,
    )


def make_answer_id(response_id: object) -> str:
    """Return the id of our answer, always the same for a response. The upstream's id would give access to its data."""
    if not isinstance(response_id, str) or not response_id:
        return f"chatcmpl-{secrets.token_hex(16)}"
    return f"chatcmpl-{hashlib.sha256(response_id.encode('utf-8', 'replace')).hexdigest()[:32]}"
