"""The messages of a chat request, checked and with their images opened."""

from __future__ import annotations

from dataclasses import dataclass

from app.offline_model import tokens
from app.offline_model.images import SeenImage, look_at
from app.offline_model.requests.errors import InvalidRequestError
from app.offline_model.requests.fields import (
    JsonObject,
    invalid_value,
    json_object,
    missing,
    string,
    wrong_type,
)

ROLES = ("system", "developer", "user", "assistant", "tool")

# What the frame around each message costs at OpenAI, in tokens.
TOKENS_PER_MESSAGE = 3


@dataclass(frozen=True)
class Message:
    """One message of a conversation."""

    role: str
    text: str
    images: tuple[SeenImage, ...]
    prompt_tokens: int


def parse_messages(body: JsonObject) -> tuple[Message, ...]:
    """Read `messages`.

    Raises:
        InvalidRequestError: a message is not as OpenAI takes it, or an image in it cannot be opened.
    """
    messages = body.get("messages")
    if messages is None:
        raise missing("messages")
    if not isinstance(messages, list):
        raise wrong_type("messages", "an array of objects")
    if not messages:
        raise invalid_value("messages", "at least one message")
    return tuple(_message(message, f"messages[{index}]") for index, message in enumerate(messages))


def _message(message: object, param: str) -> Message:
    if not isinstance(message, dict):
        raise wrong_type(param, "an object")
    role = string(message, "role", f"{param}.role")
    if role not in ROLES:
        raise invalid_value(f"{param}.role", f"one of {', '.join(ROLES)}")
    if role == "tool":
        string(message, "tool_call_id", f"{param}.tool_call_id")
    call_tokens = _tool_call_tokens(message, param)
    text, images = _content(message, role, param)
    prompt_tokens = TOKENS_PER_MESSAGE + tokens.count(text) + sum(image.tokens for image in images) + call_tokens
    return Message(role, text, images, prompt_tokens)


def _tool_call_tokens(message: JsonObject, param: str) -> int:
    calls = message.get("tool_calls")
    if calls is None:
        return 0
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        raise wrong_type(f"{param}.tool_calls", "an array of objects")
    return tokens.count_json(calls, f"{param}.tool_calls")


def _content(message: JsonObject, role: str, param: str) -> tuple[str, tuple[SeenImage, ...]]:
    content = message.get("content")
    if content is None and role == "assistant" and (message.get("tool_calls") or message.get("refusal")):
        return "", ()
    if content is None:
        raise missing(f"{param}.content")
    if isinstance(content, str):
        return content, ()
    if not isinstance(content, list):
        raise wrong_type(f"{param}.content", "a string or an array of content parts")
    texts: list[str] = []
    images: list[SeenImage] = []
    for index, part in enumerate(content):
        seen = _part(part, role, f"{param}.content[{index}]")
        if isinstance(seen, str):
            texts.append(seen)
        else:
            images.append(seen)
    return "\n".join(texts), tuple(images)


def _part(part: object, role: str, param: str) -> str | SeenImage:
    if not isinstance(part, dict):
        raise wrong_type(param, "an object")
    match string(part, "type", f"{param}.type"):
        case "text":
            return string(part, "text", f"{param}.text")
        case "refusal" if role == "assistant":
            return string(part, "refusal", f"{param}.refusal")
        case "image_url" if role == "user":
            return look_at(json_object(part, "image_url", f"{param}.image_url"))
        case "image_url":
            raise InvalidRequestError("Images are only allowed in messages of role 'user'.", param=param)
    raise invalid_value(f"{param}.type", "'text' or 'image_url'; the offline model takes no other part")
