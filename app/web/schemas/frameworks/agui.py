"""Define the body of POST /api/agui, AG-UI's `RunAgentInput`, and convert its messages to OpenAI's form."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic.alias_generators import to_camel
from typing_extensions import TypedDict

from app.openai_service import REASONING_ITEMS
from app.problems import InvalidRequest
from app.prompts.selection import PromptSelection
from app.web.media.intake import MediaIntake
from app.web.media.parts import ChatPart
from app.web.media.plain_texts import MAX_MESSAGES
from app.web.schemas.chat import ChatFields
from app.web.schemas.fields import Text
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
from app.web.schemas.validation import AS_OTHER, AS_TEXT, get_union_tag

SERVER_CALL_PREFIX = "servertool_"
"""The prefix of the ids of server tools' calls, which are ignored in requests, as their results were not sent."""

_IGNORED_ROLES = ("activity", "reasoning")
_CONTEXT = "What the page says of itself:"

# Later versions may add fields, so unknown ones are ignored.
_OPEN = ConfigDict(extra="ignore", strict=True, alias_generator=to_camel)


class Source(TypedDict):
    """The content of a file: a URL, or base64."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]

    type: str
    value: Annotated[str, Field(min_length=1)]
    mime_type: NotRequired[str | None]


class Part(TypedDict):
    """A part of a message: a text, or a file. Before version 1 all files had the type `binary`."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]

    type: str
    text: NotRequired[Text]
    source: NotRequired[Source]
    mime_type: NotRequired[str | None]
    data: NotRequired[str | None]
    url: NotRequired[str | None]
    filename: NotRequired[str | None]


Content = Annotated[
    Annotated[Text, Tag(AS_TEXT)] | Annotated[list[Part], Tag(AS_OTHER), Field(fail_fast=True)],
    Discriminator(get_union_tag),
]


class AguiFunction(TypedDict):
    """The name and the JSON arguments of a call."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]

    name: str
    arguments: str


class AguiToolCall(TypedDict):
    """A call in a message of the assistant. It may have the sealed reasoning before it."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]

    id: Annotated[str, Field(min_length=1)]
    function: AguiFunction
    encrypted_value: NotRequired[Any]


class SpokenMessage(TypedDict):
    """A message that is sent to the model."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]

    role: Literal["developer", "system", "user", "assistant", "tool"]
    content: NotRequired[Content | None]
    tool_calls: NotRequired[Annotated[list[AguiToolCall] | None, Field(fail_fast=True)]]
    tool_call_id: NotRequired[str]
    error: NotRequired[str | None]
    encrypted_value: NotRequired[Any]


class SilentMessage(TypedDict):
    """A message that only the page shows.

    Nothing of it is sent to the model except this server's sealed reasoning.
    """

    __pydantic_config__ = _OPEN  # type: ignore[misc]

    role: Literal["activity", "reasoning"]
    encrypted_value: NotRequired[Any]


def _get_message_tag(message: Any) -> str:
    return AS_OTHER if isinstance(message, dict) and message.get("role") in _IGNORED_ROLES else AS_TEXT


AguiMessage = Annotated[
    Annotated[SpokenMessage, Tag(AS_TEXT)] | Annotated[SilentMessage, Tag(AS_OTHER)],
    Discriminator(_get_message_tag),
]


class ContextItem(TypedDict):
    """Context from the page, such as the user's selection."""

    __pydantic_config__ = _OPEN  # type: ignore[misc]

    description: Text
    value: Text


def _describe_protocol(schema: dict[str, Any]) -> None:
    """Change the JSON schema to that of the protocol, with the fields of ChatFields in `forwardedProps`."""
    fields = schema["properties"]
    protocol = {name: fields.pop(name) for name in ("threadId", "runId", "messages", "context")}
    fields.pop("tools")
    tool = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "description": {"type": "string"}, "parameters": {}},
        "required": ["name"],
    }
    schema["properties"] = {
        **protocol,
        "tools": {"anyOf": [{"type": "array", "items": tool}, {"type": "null"}]},
        "forwardedProps": {"anyOf": [{"type": "object", "properties": fields}, {}]},
        "state": {},
        "resume": {},
    }
    schema.pop("additionalProperties", None)


class AguiRequest(ChatFields):
    """A run: the messages of a thread, the page's tools, and in `forwardedProps` the fields of ChatFields.

    `state` and `resume` are accepted and ignored, as runs have no state and are never interrupted.
    """

    model_config = ConfigDict(extra="ignore", json_schema_extra=_describe_protocol)

    thread_id: Text
    run_id: Text
    messages: Annotated[list[AguiMessage], Field(max_length=MAX_MESSAGES, fail_fast=True)]
    context: Annotated[list[ContextItem], Field(fail_fast=True)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _arrange(cls, body: Any) -> Any:
        """Return the protocol's fields, and those of ChatFields, which frameworks send in `forwardedProps`."""
        if not isinstance(body, dict):
            return body
        forwarded = body.get("forwardedProps")
        known = {to_camel(name) for name in ChatFields.model_fields} - {"tools"}
        own = {name: forwarded[name] for name in known & forwarded.keys()} if isinstance(forwarded, dict) else {}
        tools = _declare_tools(body.get("tools"))
        protocol = {name: body[name] for name in ("threadId", "runId", "messages") if name in body}
        return {**own, **protocol, "tools": tools, "context": body.get("context")}

    def list_urls(self) -> list[str]:
        """Return the images and files of the messages, as base64 or URLs."""
        contents = [each.get("content") for each in self.messages]
        parts = [part for content in contents if isinstance(content, list) for part in content]
        given = [value for part in parts for value in (part.get("data"), part.get("url"))]
        return [*filter(None, given), *(part["source"]["value"] for part in parts if "source" in part)]

    def _prepare_media(self, media: MediaIntake, prompts: PromptSelection) -> None:
        contents = [
            _read_content(each.get("content"), f"messages.{index}.content", has_images=each["role"] == "user")
            if each["role"] not in _IGNORED_ROLES
            else []
            for index, each in enumerate(self.messages)
        ]
        prepare_parts(contents, self, media, prompts, lambda index, number: f"messages.{index}.content.{number}")

    def _build_messages(self) -> list[dict[str, Any]]:
        turns = [turn for index, each in enumerate(self.messages) if (turn := _read_message(each, index))]
        if self.context:
            lines = [f"- {item['description']}: {item['value']}" for item in self.context]
            # A user message, not a system message, as the page's context is not trusted.
            turns.insert(0, {"role": "user", "content": "\n".join([_CONTEXT, *lines])})
        if not turns:
            raise InvalidRequest("must have a message to answer.", field="messages")
        return build_turns(turns)


def _declare_tools(tools: Any) -> Any:
    """Return AG-UI's tools in OpenAI's form, not validated yet."""
    if not isinstance(tools, list):
        return tools
    declared = [
        {
            "type": "function",
            "function": {
                name: tool[name]
                for name in ("name", "description", "parameters")
                if tool.get(name) not in (None, "")
            },
        }
        if isinstance(tool, dict)
        else tool
        for tool in tools
    ]
    return declared or None


def _read_message(message: Any, index: int) -> dict[str, Any] | None:
    """Return the turn of a message; None if the message is not sent to the model."""
    role = message["role"]
    if role in _IGNORED_ROLES:
        return None
    text = join_parts(_read_content(message.get("content"), f"messages.{index}.content"))
    if role == "assistant":
        given = message.get("tool_calls") or ()
        calls = [call for call in given if not call["id"].startswith(SERVER_CALL_PREFIX)]
        if given and not calls and not text:
            return None
        turn: dict[str, Any] = {"role": role, "content": text}
        if calls:
            turn["tool_calls"] = [
                {"id": each["id"], "type": "function", "function": each["function"]} for each in calls
            ]
            if reasoning := message.get(REASONING_ITEMS):
                turn[REASONING_ITEMS] = reasoning
        return turn
    if role == "tool":
        if "tool_call_id" not in message:
            raise InvalidRequest.missing(f"messages.{index}.toolCallId")
        if message["tool_call_id"].startswith(SERVER_CALL_PREFIX):
            return None
        return {
            "role": role,
            "tool_call_id": message["tool_call_id"],
            "content": text or message.get("error") or "",
        }
    if not text:
        if role == "user":
            raise InvalidRequest("must have a text.", field=f"messages.{index}.content")
        return None
    return {"role": "user" if role == "user" else "system", "content": text}


def _read_content(content: Any, where: str, *, has_images: bool = True) -> list[ChatPart]:
    """Return the parts of a message. Images and files are replaced in place by OpenAI's parts."""
    if content is None or isinstance(content, str):
        return [{"type": "text", "text": content or ""}]
    for position, part in enumerate(content):
        if part["type"] == "text" and "text" not in part:
            raise InvalidRequest.missing(f"{where}.{position}.text")
        if part["type"] in ("text", "image_url", "file"):
            continue
        found = _find_media(part) if has_images else None
        if found is None:
            raise InvalidRequest(
                NO_FILES if has_images else "only texts are accepted.", field=f"{where}.{position}"
            )
        content[position] = found
    return [*content]


def _find_media(part: Any) -> ChatPart | None:
    """Return OpenAI's part for an image or a PDF file; None for another part."""
    if part["type"] in ("image", "document") and "source" in part:
        source = part["source"]
        default = "image/png" if part["type"] == "image" else None
        media_type, kind, value = source.get("mime_type") or default, source["type"], source["value"]
        data, url = (value, None) if kind == "data" else (None, value if kind == "url" else None)
    elif part["type"] == "binary":
        media_type, data, url = part.get("mime_type"), part.get("data"), part.get("url")
    else:
        return None
    # A complete data URL is accepted, too; and a large one was replaced by a name with the same prefix.
    address = (data if data.startswith("data:") else f"data:{media_type};base64,{data}") if data else url
    if address is None:
        return None
    if is_image(media_type):
        return make_image_part(address)
    return make_file_part(address, part.get("filename")) if is_pdf(media_type) else None
