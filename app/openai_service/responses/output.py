"""Parses the output items of a response: text, refusal, tool calls, and the items to send back in the next turn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.models.token_counts import Usage
from app.openai_service.answers.finish_reasons import read_finish_reason
from app.openai_service.answers.text import repair_surrogates
from app.openai_service.errors import UpstreamError, UpstreamTruncated
from app.openai_service.responses.client_tools import CALL_TYPES, read_call
from app.openai_service.responses.hosted_tools import HOSTED_ITEMS, hide_stored_ids
from app.openai_service.responses.reasoning_items import ReasoningItem, build_reasoning_item, limit_reasoning_items
from app.openai_service.responses.usage import rename_usage
from app.openai_service.transport.sdk_errors import translate_error_object

_STATUSES = {
    "rate_limit_exceeded": 429,
    "slow_down": 429,
    "too_many_requests": 429,
    "bio_policy": 400,
    "invalid_prompt": 400,
    "misalignment_policy_violation": 400,
    "data_residency_mismatch": 403,
}

COMMENTARY = "commentary"
"""The phase of a message that the model writes before it calls tools. Such a message is not part of the answer."""


@dataclass(slots=True)
class Output:
    """An answer, assembled from its items in any order.

    Attributes:
        calls: in the form of chat completions, not normalized.
        reasoning_items: items that a tool loop sends back.
        hosted: the items of hosted tools.
        annotations: of the text.
    """

    text: str = ""
    refusal: str = ""
    calls: list[dict[str, Any]] = field(default_factory=list)
    reasoning_items: list[ReasoningItem] = field(default_factory=list)
    hosted: list[Mapping[str, Any]] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)


def read_items(items: object, model: str) -> Output:
    """Parse the output of a response from a requested model."""
    output = Output()
    entries: list[ReasoningItem | None] = []
    for item in items if isinstance(items, list) else ():
        if not isinstance(item, Mapping):
            continue
        at = len(output.calls) + bool(output.text)
        kind = item.get("type")
        match kind if isinstance(kind, str) else "":
            case type_ if type_ in CALL_TYPES:
                output.calls.append(read_call(item))
            case "reasoning":
                entries.append(build_reasoning_item(item, model, at))
            case "message" if item.get("phase") == COMMENTARY:
                entries.append(build_reasoning_item(item, model, at))
            case "message":
                output.annotations += read_annotations(item, len(output.text))
                output.text += "".join(read_parts(item, "output_text", "text"))
                output.refusal += "".join(read_parts(item, "refusal", "refusal"))
            case type_ if type_ in HOSTED_ITEMS:
                output.hosted.append(item)
    output.reasoning_items = limit_reasoning_items([entry for entry in entries if entry])
    return output


def read_parts(item: Mapping[str, Any], kind: str, name: str) -> Iterator[str]:
    """Yield the texts of those parts of a message that have a type."""
    parts: Iterable[object] = item["content"] if isinstance(item.get("content"), list) else ()
    for part in parts:
        if isinstance(part, Mapping) and part.get("type") == kind and isinstance(part.get(name), str):
            yield repair_surrogates(part[name])


def read_annotations(item: Mapping[str, Any], begin: int = 0) -> Iterator[dict[str, Any]]:
    """Yield the annotations of a message whose text starts at this offset of the answer's text."""
    parts: Iterable[object] = item["content"] if isinstance(item.get("content"), list) else ()
    for part in parts:
        if not isinstance(part, Mapping) or part.get("type") != "output_text":
            continue
        listed = part.get("annotations")
        for each in listed if isinstance(listed, list) else ():
            if isinstance(each, dict):
                yield _shift(hide_stored_ids(each), begin)
        begin += len(part["text"]) if isinstance(part.get("text"), str) else 0


def _shift(annotation: dict[str, Any], by: int) -> dict[str, Any]:
    """Shift the offsets of an annotation into the text. That of a file has none."""
    offsets = ("start_index", "end_index") if "start_index" in annotation else ("index",)
    is_of_text = annotation.get("type") != "file_path"
    moved = {name: annotation[name] + by for name in offsets if is_of_text and type(annotation.get(name)) is int}
    return annotation | moved


def read_usage(response: Mapping[str, Any], *, wrote: bool) -> Usage | None:
    """Return the usage of a response that has ended, if it reports one."""
    return Usage.parse(rename_usage(response.get("usage")), wrote=wrote)


def read_end(response: Mapping[str, Any], *, has_calls: bool) -> str:
    """Return the finish reason of a response, as in chat completions.

    Raises:
        UpstreamTruncated: it has not ended.
        UpstreamError: it failed.
    """
    status = response.get("status")
    if status == "failed" or (response.get("error") and status != "completed"):
        raise read_failure(response.get("error"))
    if status == "incomplete":
        details = response.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, Mapping) else None
        # For any other reason, even an unknown one, the answer is truncated, and its calls may be truncated too.
        is_filtered = read_finish_reason(reason, has_tool_calls=False) == "content_filter"
        return "content_filter" if is_filtered else "length"
    if status in ("in_progress", "queued", "cancelled"):
        raise UpstreamTruncated
    return read_finish_reason(status, has_tool_calls=has_calls)


def read_failure(error: object) -> UpstreamError:
    """Return the error of a failed response or of an error event. The request may be retried, even if it is billed.

    The HTTP status was 200. The error gets the status that OpenAI would have sent in its place.
    """
    translated = translate_error_object(error)
    code = translated.upstream_code or ""
    if translated.upstream_status is None and (code in _STATUSES or "image" in code):
        translated = translate_error_object(error, status=_STATUSES.get(code, 400))
    translated.is_generation_failure = True
    return translated
