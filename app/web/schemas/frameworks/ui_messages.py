"""Define the AI SDK's body of POST /api/chat, sent by `useChat`, and convert its messages to OpenAI's form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired

import orjson
from pydantic import ConfigDict, Discriminator, Field, Tag
from typing_extensions import TypedDict

from app.openai_service import REASONING_ITEMS
from app.problems import InvalidRequest
from app.prompts.selection import PromptSelection
from app.web.media.intake import MediaIntake
from app.web.media.parts import ChatPart
from app.web.media.plain_texts import MAX_MESSAGES
from app.web.schemas.chat import ChatFields
from app.web.schemas.fields import JsonValue, Text
from app.web.schemas.frameworks.media import (
    NO_FILES,
    is_image,
    is_pdf,
    join_parts,
    make_file_part,
    make_image_part,
    prepare_parts,
)
from app.web.schemas.messages import build_turns
from app.web.schemas.validation import AS_OTHER, AS_TEXT

_AS_FILE, _AS_TOOL = "(as file)", "(as tool)"
_TRIGGERS = ("submit-message", "regenerate-message")
# The parts of a user's message that are sent to the model, once its files are in OpenAI's form.
_CONTENT_TYPES = ("text", "image_url", "file")
_DENIED = "The user did not allow this call."

# Versions of the SDK add fields and types of parts, and return what they received, so unknown ones are ignored.
_OPEN = ConfigDict(extra="ignore", strict=True)


class TextPart(TypedDict):
    """A piece of a message's text."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]

    type: Literal["text"]
    text: Text


class FilePart(TypedDict):
    """An image, as a `data:` or https URL; or a PDF file, as a `data:` URL."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]

    type: Literal["file"]
    media_type: Annotated[str, Field(validation_alias="mediaType", max_length=200)]
    url: Annotated[str, Field(min_length=1)]
    filename: NotRequired[str | None]
    provider_metadata: NotRequired[Annotated[Any, Field(validation_alias="providerMetadata")]]


class ToolPart(TypedDict):
    """A tool call, with its result if it has one. `type` is `tool-` and the tool's name, or `dynamic-tool`."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]

    type: str
    tool_call_id: Annotated[str, Field(validation_alias="toolCallId", min_length=1)]
    tool_name: NotRequired[Annotated[str, Field(validation_alias="toolName", min_length=1)]]
    state: str
    input: NotRequired[JsonValue]
    raw_input: NotRequired[Annotated[JsonValue, Field(validation_alias="rawInput")]]
    output: NotRequired[JsonValue]
    error_text: NotRequired[Annotated[str | None, Field(validation_alias="errorText")]]
    provider_executed: NotRequired[Annotated[bool | None, Field(validation_alias="providerExecuted")]]
    approval: NotRequired[Any]


class OtherPart(TypedDict):
    """Reasoning, sources, data parts, the start of a step, and types of later versions."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]

    type: str


def _get_part_tag(part: Any) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text":
        return AS_TEXT
    if kind == "file":
        return _AS_FILE
    is_tool = isinstance(kind, str) and (kind == "dynamic-tool" or kind.startswith("tool-"))
    return _AS_TOOL if is_tool else AS_OTHER


Part = Annotated[
    Annotated[TextPart, Tag(AS_TEXT)]
    | Annotated[FilePart, Tag(_AS_FILE)]
    | Annotated[ToolPart, Tag(_AS_TOOL)]
    | Annotated[OtherPart, Tag(AS_OTHER)],
    Discriminator(_get_part_tag),
]


class UIMessage(TypedDict):
    """A message as the page shows it. An answer of several steps is one message."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]

    id: NotRequired[Any]
    role: Literal["system", "user", "assistant"]
    parts: Annotated[list[Part], Field(fail_fast=True)]
    metadata: NotRequired[Any]


class UIMessagesRequest(ChatFields):
    """A conversation of `UIMessage`s, with the SDK's fields and those of ChatFields."""

    messages: Annotated[list[UIMessage], Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True)]
    id: Any = None
    trigger: Any = None
    message_id: Any = None
    metadata: Any = None

    @staticmethod
    def fits(body: dict[str, Any]) -> bool:
        """Return whether a body is from the AI SDK: a message has `parts`, or the body has a `trigger`.

        This includes pages that send only the last message, as `message`. The SDK then shows the error.
        """
        messages = body.get("messages")
        listed = messages if isinstance(messages, list) else [body.get("message")]
        has_parts = any(isinstance(message, dict) and "parts" in message for message in listed)
        return has_parts or body.get("trigger") in _TRIGGERS

    @property
    def continued_id(self) -> str | None:
        """The id of the answer at the end of the conversation, which the page continues; None if there is none."""
        last = self.messages[-1]
        id_ = last.get("id")
        return id_ if last["role"] == "assistant" and isinstance(id_, str) and id_ else None

    def list_urls(self) -> list[str]:
        """Return the URLs of the user's files."""
        return [
            part["url"]  # type: ignore[typeddict-item]
            for message in self.messages
            if message["role"] == "user"
            for part in message["parts"]
            if part["type"] == "file"
        ]

    def open_reasoning(self, open_sealed: Callable[[str, str], Sequence[dict[str, Any]]]) -> None:
        """Open the sealed reasoning of each message in place. Other metadata of the same name is ignored.

        Args:
            open_sealed: opens a sealed text; its second argument is the field for errors.
        """
        for index, message in enumerate(self.messages):
            metadata = message.get("metadata")
            sealed = metadata.get("reasoning") if isinstance(metadata, dict) else None
            if message["role"] != "assistant" or not isinstance(sealed, dict):
                continue
            calls = [part["tool_call_id"] for part in message["parts"] if "tool_call_id" in part]  # type: ignore[typeddict-item]
            message["opened"] = {  # type: ignore[typeddict-unknown-key]
                id_: open_sealed(sealed[id_], f"messages.{index}.metadata.reasoning")
                for id_ in calls
                if isinstance(sealed.get(id_), str)
            }

    def _prepare_media(self, media: MediaIntake, prompts: PromptSelection) -> None:
        if self.list_urls():
            contents = [_read_content(each, index) for index, each in enumerate(self.messages)]
            prepare_parts(contents, self, media, prompts, self._name_part)

    def _name_part(self, index: int, number: int) -> str:
        """Return the path of a part, from its index among those that are sent to the model."""
        parts: Sequence[Any] = self.messages[index]["parts"]
        positions = [position for position, part in enumerate(parts) if part["type"] in _CONTENT_TYPES]
        return f"messages.{index}.parts.{positions[number]}"

    def _build_messages(self) -> list[dict[str, Any]]:
        return build_turns(
            [turn for index, message in enumerate(self.messages) for turn in _read_message(message, index)]
        )


def _read_content(message: UIMessage, index: int) -> list[ChatPart]:
    """Return the content parts of a user's message. Images and files are replaced in place by OpenAI's parts."""
    content: list[ChatPart] = []
    if message["role"] != "user":
        return content
    parts: list[Any] = message["parts"]
    for position, part in enumerate(parts):
        if part["type"] == "file" and "file" not in part:
            if is_image(part["media_type"]):
                parts[position] = make_image_part(part["url"], _find_detail(part))
            elif is_pdf(part["media_type"]):
                parts[position] = make_file_part(part["url"], part.get("filename"))
            else:
                raise InvalidRequest(NO_FILES, field=f"messages.{index}.parts.{position}")
        if parts[position]["type"] in _CONTENT_TYPES:
            content.append(parts[position])
    return content


def _find_detail(part: FilePart) -> object:
    """Return the detail of an image, from the field that the SDK's OpenAI provider uses."""
    metadata = part.get("provider_metadata")
    options = metadata.get("openai") if isinstance(metadata, dict) else None
    return options.get("imageDetail") if isinstance(options, dict) else None


def _read_message(message: UIMessage, index: int) -> list[dict[str, Any]]:
    parts: Sequence[Any] = message["parts"]
    if message["role"] == "assistant":
        return _Answer(message.get("opened") or {}).read(parts)  # type: ignore[arg-type]
    if message["role"] == "system":
        text = join_parts([part for part in parts if part["type"] == "text"])
        return [{"role": "system", "content": text}] if text else []
    content = join_parts(_read_content(message, index))
    if not content:
        raise InvalidRequest("must have a text.", field=f"messages.{index}.parts")
    return [{"role": "user", "content": content}]


class _Answer:
    """Splits an assistant's message into turns: each may have a text and calls, which their results follow.

    Calls of server tools are omitted, as their results were not sent to the client.
    """

    def __init__(self, reasoning: Mapping[str, Any]) -> None:
        self._reasoning = reasoning
        self._turns: list[dict[str, Any]] = []
        self._texts: list[list[str]] = [[]]
        """The pieces of text of each step in the current turn."""
        self._calls: list[dict[str, Any]] = []
        self._results: list[dict[str, Any]] = []

    def read(self, parts: Sequence[Any]) -> list[dict[str, Any]]:
        """Return the turns of a message's parts."""
        for part in parts:
            kind = part["type"]
            if kind == "step-start":
                self._texts.append([])
            if self._calls and kind in ("step-start", "text"):
                self._end_turn()
            if kind == "text":
                self._texts[-1].append(part["text"])
            elif "tool_call_id" in part:
                self._add_call(part)
        if self._calls or any(map(any, self._texts)) or not self._turns:
            self._end_turn()
        return self._turns

    def _end_turn(self) -> None:
        turn: dict[str, Any] = {
            "role": "assistant",
            "content": "\n\n".join(filter(None, map("".join, self._texts))),
        }
        if self._calls:
            turn["tool_calls"] = self._calls
            if reasoning := self._reasoning.get(self._calls[0]["id"]):
                turn[REASONING_ITEMS] = reasoning
        self._turns += [turn, *self._results]
        self._texts, self._calls, self._results = [[]], [], []

    def _add_call(self, part: dict[str, Any]) -> None:
        if part.get("provider_executed") or part["state"] == "input-streaming":
            return
        given = part.get("input")
        if given is None:
            given = part.get("raw_input")
        name = part.get("tool_name") or part["type"].removeprefix("tool-")
        function = {"name": name, "arguments": _to_text(given) if given is not None else "{}"}
        self._calls.append({"id": part["tool_call_id"], "type": "function", "function": function})
        if (result := _read_result(part)) is not None:
            self._results.append({"role": "tool", "tool_call_id": part["tool_call_id"], "content": result})


def _read_result(part: dict[str, Any]) -> str | None:
    """Return the result of a call for the model; None if there is none yet."""
    state, approval = part["state"], part.get("approval")
    approval = approval if isinstance(approval, dict) else {}
    if state == "output-available":
        return _to_text(part.get("output"))
    if state == "output-error":
        return part.get("error_text") or ""
    if state == "output-denied" or approval.get("approved") is False:
        reason = approval.get("reason")
        return reason if isinstance(reason, str) and reason else _DENIED
    return None


def _to_text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
