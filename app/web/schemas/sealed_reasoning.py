"""Seal the reasoning before a client's tool calls into the answer, and open it in the next request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from app.openai_service import REASONING_ITEMS, ChatResult, Done
from app.problems import InvalidRequest
from app.safety.sealed_reasoning import NotSealedHere, is_sealed_here
from app.services import services
from app.web.media.plain_texts import PlainTexts
from app.web.request_id import current_state

_ENCRYPTED = "reasoning.encrypted"

Seal = Callable[[ChatResult | Done], str | None]
SealItems = Callable[[Sequence[dict[str, Any]]], str | None]


def seal_nothing(answer: object) -> None:
    """Return None, for answers that cannot be continued."""


def make_seal() -> Seal:
    """Return a function that seals the reasoning of an answer to the current request."""
    return partial(_seal, services(), current_state().principal)


def make_items_seal() -> SealItems:
    """Return a function that seals reasoning items of an answer to the current request."""
    return partial(services().reasoning_seals.seal, owner=current_state().principal)


def seal_reasoning(answer: ChatResult | Done) -> str | None:
    """Return the sealed reasoning of an answer to the current request; None if the next turn needs none."""
    return make_seal()(answer) if answer.reasoning_items else None


def _seal(built: Any, principal: Any, answer: ChatResult | Done) -> str | None:
    # A turn without tool calls is complete, so its reasoning is not used again.
    if not answer.reasoning_items or not answer.tool_calls:
        return None
    sealed: str | None = built.reasoning_seals.seal(answer.reasoning_items, principal)
    return sealed


def open_reasoning(messages: Iterable[Any] | None) -> None:
    """Open the sealed reasoning of each message, in place.

    Raises:
        InvalidRequest: a sealed text is not from this server, or was sealed for another user.
    """
    if isinstance(messages, PlainTexts):
        return
    for index, message in enumerate(messages or ()):
        if sealed := message.get("reasoning"):
            message[REASONING_ITEMS] = open_sealed(sealed, f"messages.{index}.reasoning")


def build_details(sealed: str | None) -> dict[str, Any]:
    """Return the field with sealed reasoning in a message of /v1. The name is OpenRouter's, as OpenAI has none."""
    return {} if sealed is None else {"reasoning_details": [{"type": _ENCRYPTED, "index": 0, "data": sealed}]}


def open_details(messages: Iterable[Any]) -> None:
    """Open the sealed reasoning of each message of /v1, in place. Reasoning of other servers is ignored.

    Raises:
        InvalidRequest: it was sealed for another user.
    """
    if isinstance(messages, PlainTexts):
        return
    for index, message in enumerate(messages):
        details = message.pop("reasoning_details", None)
        for number, detail in enumerate(details if isinstance(details, list) else ()):
            sealed = detail.get("data") if isinstance(detail, dict) and detail.get("type") == _ENCRYPTED else None
            if isinstance(sealed, str) and is_sealed_here(sealed):
                field = f"messages.{index}.reasoning_details.{number}"
                message[REASONING_ITEMS] = open_sealed(sealed, field)


def build_reasoning_item(id_: str, sealed: str) -> dict[str, Any]:
    """Return OpenAI's reasoning item, with the sealed text in its opaque field."""
    return {"id": id_, "type": "reasoning", "summary": [], "encrypted_content": sealed}


def open_items(items: Iterable[dict[str, Any]]) -> None:
    """Open the sealed reasoning among the items of a conversation in place. That of other servers is ignored.

    Raises:
        InvalidRequest: it was sealed for another user.
    """
    for index, item in enumerate(items):
        sealed = item.get("encrypted_content") if item.get("type") == "reasoning" else None
        if isinstance(sealed, str) and is_sealed_here(sealed):
            item[REASONING_ITEMS] = open_sealed(sealed, f"input.{index}.encrypted_content")


def open_encrypted_values(messages: Iterable[Any]) -> None:
    """Open the sealed reasoning of each AG-UI message with tool calls in place. That of other servers is ignored.

    It is in one of the calls, where the answer had it, in the message itself, or in a reasoning message before it.

    Raises:
        InvalidRequest: it was sealed for another user.
    """
    opened: Sequence[dict[str, Any]] | None = None
    for index, message in enumerate(messages):
        calls = message.get("tool_calls") or ()
        entities = {"encryptedValue": message}
        entities |= {f"toolCalls.{number}.encryptedValue": call for number, call in enumerate(calls)}
        for path, entity in entities.items():
            sealed = entity.get("encrypted_value")
            if isinstance(sealed, str) and is_sealed_here(sealed):
                opened = open_sealed(sealed, f"messages.{index}.{path}")
        if calls and opened:
            message[REASONING_ITEMS] = opened
        if calls or message["role"] in ("user", "tool"):
            opened = None


def open_sealed(sealed: str, field: str) -> Sequence[dict[str, Any]]:
    """Return the reasoning items.

    Raises InvalidRequest if they were not sealed by this server, or for another user.
    """
    try:
        return services().reasoning_seals.open(sealed, current_state().principal)
    except NotSealedHere:
        raise InvalidRequest("was not sealed by this server for this user.", field=field) from None
