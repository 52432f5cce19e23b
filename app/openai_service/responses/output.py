"""What the output items of a response say: text, refusal, calls, and what is kept to be handed back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.models.token_counts import Usage
from app.openai_service.answers.finish_reasons import read_finish_reason
from app.openai_service.answers.text import mend
from app.openai_service.errors import UpstreamError, UpstreamTruncated
from app.openai_service.responses.client_tools import CALL_TYPES, read_call
from app.openai_service.responses.hosted_tools import HOSTED_ITEMS, hide_kept_ids
from app.openai_service.responses.kept_items import KeptItem, keep_item, limit_items
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
"""The phase of a message that the model writes before it calls tools. It is not the answer."""


@dataclass(slots=True)
class Output:
    """An answer, put together from its items in whatever order they come.

    Attributes:
        calls: in the form of chat completions, as a server spells them.
        kept: items that a tool loop hands back.
        hosted: items of tools that run at OpenAI.
        annotations: on the text.
    """

    text: str = ""
    refusal: str = ""
    calls: list[dict[str, Any]] = field(default_factory=list)
    kept: list[KeptItem] = field(default_factory=list)
    hosted: list[Mapping[str, Any]] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)


def read_items(items: object, model: str) -> Output:
    """Read the output of a response that was asked of a model."""
    output = Output()
    kept: list[KeptItem | None] = []
    for item in items if isinstance(items, list) else ():
        if not isinstance(item, Mapping):
            continue
        at = len(output.calls) + bool(output.text)
        kind = item.get("type")
        match kind if isinstance(kind, str) else "":
            case type_ if type_ in CALL_TYPES:
                output.calls.append(read_call(item))
            case "reasoning":
                kept.append(keep_item(item, model, at))
            case "message" if item.get("phase") == COMMENTARY:
                kept.append(keep_item(item, model, at))
            case "message":
                output.annotations += read_annotations(item, len(output.text))
                output.text += "".join(read_parts(item, "output_text", "text"))
                output.refusal += "".join(read_parts(item, "refusal", "refusal"))
            case type_ if type_ in HOSTED_ITEMS:
                output.hosted.append(item)
    output.kept = limit_items([entry for entry in kept if entry])
    return output


def read_parts(item: Mapping[str, Any], kind: str, name: str) -> Iterator[str]:
    """Yield the texts of a message's parts of a kind."""
    parts: Iterable[object] = item["content"] if isinstance(item.get("content"), list) else ()
    for part in parts:
        if isinstance(part, Mapping) and part.get("type") == kind and isinstance(part.get(name), str):
            yield mend(part[name])


def read_annotations(item: Mapping[str, Any], begin: int = 0) -> Iterator[dict[str, Any]]:
    """Yield the annotations of a message, whose text begins at this place of the whole text."""
    parts: Iterable[object] = item["content"] if isinstance(item.get("content"), list) else ()
    for part in parts:
        if not isinstance(part, Mapping) or part.get("type") != "output_text":
            continue
        listed = part.get("annotations")
        for each in listed if isinstance(listed, list) else ():
            if isinstance(each, dict):
                yield _shift(hide_kept_ids(each), begin)
        begin += len(part["text"]) if isinstance(part.get("text"), str) else 0


def _shift(annotation: dict[str, Any], by: int) -> dict[str, Any]:
    """Move the places that an annotation names in its text; that of a file names none."""
    places = ("start_index", "end_index") if "start_index" in annotation else ("index",)
    is_of_text = annotation.get("type") != "file_path"
    moved = {name: annotation[name] + by for name in places if is_of_text and type(annotation.get(name)) is int}
    return annotation | moved


def read_usage(response: Mapping[str, Any], *, wrote: bool) -> Usage | None:
    """Return the usage of a response that has come to its end, if it tells one."""
    return Usage.parse(rename_usage(response.get("usage")), wrote=wrote)


def read_end(response: Mapping[str, Any], *, has_calls: bool) -> str:
    """Return why a response ended, in the words of chat completions.

    Raises:
        UpstreamTruncated: it has not come to its end.
        UpstreamError: it failed.
    """
    status = response.get("status")
    if status == "failed" or (response.get("error") and status != "completed"):
        raise read_failure(response.get("error"))
    if status == "incomplete":
        details = response.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, Mapping) else None
        # Whatever the reason, such as a word that is new: the answer is cut off, and so may its calls be.
        is_filtered = read_finish_reason(reason, has_tool_calls=False) == "content_filter"
        return "content_filter" if is_filtered else "length"
    if status in ("in_progress", "queued", "cancelled"):
        raise UpstreamTruncated
    return read_finish_reason(status, has_tool_calls=has_calls)


def read_failure(error: object) -> UpstreamError:
    """Return the error of a response that failed, or of an error event. It may be asked again, even if it is paid for.

    Inside of a 200 it has no status. It is the one that would have been sent instead of the 200.
    """
    translated = translate_error_object(error)
    code = translated.upstream_code or ""
    if translated.upstream_status is None and (code in _STATUSES or "image" in code):
        translated = translate_error_object(error, status=_STATUSES.get(code, 400))
    translated.is_generation_failure = True
    return translated
