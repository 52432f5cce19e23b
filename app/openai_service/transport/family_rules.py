"""Replaces or removes parameters that a model does not accept, according to the table of model families."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.config.models import REASONING_EFFORTS, VERBOSITIES
from app.models.families import Family, find_family
from app.models.token_counts.estimates import ImageInput, find_media
from app.openai_service.transport.request_bodies import RESPONSES_PATH

SAMPLING = (
    "temperature",
    "top_p",
    "logprobs",
    "top_logprobs",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
)
"""The parameters that a model accepts only without reasoning, if at all."""

RULED = frozenset(
    {
        *SAMPLING,
        "reasoning_effort",
        "verbosity",
        "stop",
        "seed",
        "max_tokens",
        "tools",
        "parallel_tool_calls",
    }
)
"""The parameters that some family does not accept. A body without any of them needs no change."""

ORDERED = {"reasoning_effort": REASONING_EFFORTS, "verbosity": VERBOSITIES}
"""The parameters whose values are ordered, from low to high, so that the nearest accepted value can be used instead."""

_ONLY_IN_CHATS = ("stop", "seed", "logit_bias", "presence_penalty", "frequency_penalty")

Changes = dict[str, Any]
"""The values to send instead, by parameter; None removes the parameter."""


def find_family_changes(model: str, path: str, body: Mapping[str, Any]) -> Changes:
    """Return the changes that a model needs in a body in the format of chat completions.

    Args:
        model: the name of a model of OpenAI. A model that the table does not list needs no changes.
        path: the endpoint that is called. On /responses, models accept other efforts, and tools with any effort.
        body: the body, without its model.
    """
    if body.keys().isdisjoint(RULED) or (family := find_family(model)) is None:
        return {}
    is_chat = path != RESPONSES_PATH
    changes = _change_effort(family, body, is_chat=is_chat)
    effort = changes["reasoning_effort"] if "reasoning_effort" in changes else body.get("reasoning_effort")
    reasons = (effort or family.default_effort or "none") != "none"
    if family.sampling == "never" or (family.sampling == "without_reasoning" and reasons):
        changes |= {name: None for name in SAMPLING if name in body}
    if "verbosity" in body and body["verbosity"] not in family.verbosities:
        changes["verbosity"] = find_nearest("verbosity", body["verbosity"], family.verbosities)
    if is_chat and "stop" in body and not family.takes_stop:
        changes["stop"] = None
    if is_chat and "max_tokens" in body and not family.takes_max_tokens:
        changes |= {"max_tokens": None, "max_completion_tokens": body["max_tokens"]}
    if is_chat and "parallel_tool_calls" in body and not family.takes_parallel_tool_calls:
        changes["parallel_tool_calls"] = None
    if not is_chat:
        changes |= {name: None for name in _ONLY_IN_CHATS if name in body}
    return changes


def lower_details(model: str, body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Change the detail of images from `original` to `high` if the model does not accept `original`.

    Returns:
        the body to send, which is a new dict if it was changed, and the changes to report to the caller.
    """
    family = find_family(model)
    if family is None or family.takes_original_detail or not has_original_detail(body):
        return body, {}
    messages = [{**message, "content": _lower_parts(message.get("content"))} for message in body["messages"]]
    return {**body, "messages": messages}, {"detail": "high"}


def has_original_detail(body: Mapping[str, Any]) -> bool:
    """Return whether a body has an image with the detail `original`."""
    return any(isinstance(one, ImageInput) and one.detail == "original" for one in find_media(body))


def _lower_parts(content: Any) -> Any:
    if not isinstance(content, list):
        return content
    return [
        {**part, "image_url": {**part["image_url"], "detail": "high"}}
        if part["type"] == "image_url" and part["image_url"].get("detail") == "original"
        else part
        for part in content
    ]


def _change_effort(family: Family, body: Mapping[str, Any], *, is_chat: bool) -> Changes:
    efforts = family.efforts if is_chat else family.responses_efforts
    effort = body.get("reasoning_effort")
    needs_none = is_chat and family.chat_tools == "without_reasoning" and body.get("tools")
    if needs_none and (effort or family.default_effort) != "none":
        return {"reasoning_effort": "none"}
    if effort is None or effort in efforts:
        return {}
    return {"reasoning_effort": find_nearest("reasoning_effort", effort, efforts)}


def find_nearest(param: str, value: object, accepted: Sequence[str]) -> str | None:
    """Return the lowest accepted value that is at least `value`, else the highest accepted; None if none is accepted."""
    order = ORDERED.get(param, ())
    known = sorted((each for each in accepted if each in order), key=order.index)
    if not known:
        return None
    requested = order.index(value) if isinstance(value, str) and value in order else 0
    return next((each for each in known if order.index(each) >= requested), known[-1])
