"""What a model reasoned before it called the caller's tools: sealed into an answer, and opened in the next turn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from app.openai_service import KEPT_REASONING, ChatResult, Done
from app.problems import InvalidRequest
from app.safety.sealed_reasoning import NotSealedHere, is_sealed_here
from app.services import services
from app.web.media.plain_texts import PlainTexts
from app.web.request_id import current_state

_ENCRYPTED = "reasoning.encrypted"

Seal = Callable[[ChatResult | Done], str | None]
SealItems = Callable[[Sequence[dict[str, Any]]], str | None]


def seal_nothing(answer: object) -> None:
    """Return None: the answer is nobody's who could continue it."""


def make_seal() -> Seal:
    """Return what seals the reasoning of an answer to the current request."""
    return partial(_seal, services(), current_state().principal)


def make_items_seal() -> SealItems:
    """Return what seals reasoning to the current request."""
    return partial(services().reasoning_seals.seal, owner=current_state().principal)


def seal_reasoning(answer: ChatResult | Done) -> str | None:
    """Return the reasoning of an answer to the current request; None if it has none that the next turn needs."""
    return make_seal()(answer) if answer.reasoning_items else None


def _seal(built: Any, principal: Any, answer: ChatResult | Done) -> str | None:
    # A turn without calls has come to its end: what was reasoned in it is of no use any more.
    if not answer.reasoning_items or not answer.tool_calls:
        return None
    sealed: str | None = built.reasoning_seals.seal(answer.reasoning_items, principal)
    return sealed


def open_reasoning(messages: Iterable[Any] | None) -> None:
    """Open the sealed reasoning of each message, in place.

    Raises:
        InvalidRequest: one was not sealed here, or for another user.
    """
    if isinstance(messages, PlainTexts):
        return
    for index, message in enumerate(messages or ()):
        if sealed := message.get("reasoning"):
            message[KEPT_REASONING] = open_sealed(sealed, f"messages.{index}.reasoning")


def build_details(sealed: str | None) -> dict[str, Any]:
    """Return the field of a message of /v1 that has sealed reasoning, as OpenRouter calls it; OpenAI has none."""
    return {} if sealed is None else {"reasoning_details": [{"type": _ENCRYPTED, "index": 0, "data": sealed}]}


def open_details(messages: Iterable[Any]) -> None:
    """Open the sealed reasoning of each message of /v1, in place. Other servers' details are ignored.

    Raises:
        InvalidRequest: one was sealed for another user.
    """
    if isinstance(messages, PlainTexts):
        return
    for index, message in enumerate(messages):
        details = message.pop("reasoning_details", None)
        for place, detail in enumerate(details if isinstance(details, list) else ()):
            sealed = detail.get("data") if isinstance(detail, dict) and detail.get("type") == _ENCRYPTED else None
            if isinstance(sealed, str) and is_sealed_here(sealed):
                field = f"messages.{index}.reasoning_details.{place}"
                message[KEPT_REASONING] = open_sealed(sealed, field)


def build_reasoning_item(id_: str, sealed: str) -> dict[str, Any]:
    """Return the item of sealed reasoning in a response: OpenAI's, with what is opaque there as well."""
    return {"id": id_, "type": "reasoning", "summary": [], "encrypted_content": sealed}


def open_items(items: Iterable[dict[str, Any]]) -> None:
    """Open the sealed reasoning among the items of a conversation, in place. Other servers' is ignored.

    Raises:
        InvalidRequest: one was sealed for another user.
    """
    for index, item in enumerate(items):
        sealed = item.get("encrypted_content") if item.get("type") == "reasoning" else None
        if isinstance(sealed, str) and is_sealed_here(sealed):
            item[KEPT_REASONING] = open_sealed(sealed, f"input.{index}.encrypted_content")


def open_encrypted_values(messages: Iterable[Any]) -> None:
    """Open the sealed reasoning of each turn of AG-UI that has calls, in place. Other servers' is ignored.

    It is at one of the calls, where it was given, at the turn itself, or at the reasoning that was told before it.

    Raises:
        InvalidRequest: one was sealed for another user.
    """
    kept: Sequence[dict[str, Any]] | None = None
    for index, message in enumerate(messages):
        calls = message.get("tool_calls") or ()
        places = {"encryptedValue": message}
        places |= {f"toolCalls.{place}.encryptedValue": call for place, call in enumerate(calls)}
        for path, entity in places.items():
            sealed = entity.get("encrypted_value")
            if isinstance(sealed, str) and is_sealed_here(sealed):
                kept = open_sealed(sealed, f"messages.{index}.{path}")
        if calls and kept:
            message[KEPT_REASONING] = kept
        if calls or message["role"] in ("user", "tool"):
            kept = None


def open_sealed(sealed: str, field: str) -> Sequence[dict[str, Any]]:
    """Return what was sealed. Raises InvalidRequest if that was not done here, or for another user."""
    try:
        return services().reasoning_seals.open(sealed, current_state().principal)
    except NotSealedHere:
        raise InvalidRequest("was not made here, or not for this user.", field=field) from None
