"""Parse and validate the messages of a chat request, and describe their images and files."""

from __future__ import annotations

from dataclasses import dataclass

from app.offline_model import tokens
from app.offline_model.images import DescribedImage, describe_file, describe_image
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
# Only on /responses can a tool's output contain images; /chat/completions refuses them as OpenAI does.
_ROLES_WITH_IMAGES = ("user", "tool")

# Tokens that OpenAI counts for the framing of each message.
TOKENS_PER_MESSAGE = 3


@dataclass(frozen=True)
class Message:
    """One message of a conversation."""

    role: str
    text: str
    images: tuple[DescribedImage, ...]
    prompt_tokens: int


def parse_messages(body: JsonObject) -> tuple[Message, ...]:
    """Parse `messages`.

    Raises:
        InvalidRequestError: OpenAI would refuse a message, or an image cannot be opened.
    """
    messages = body.get("messages")
    if messages is None:
        raise missing("messages")
    if not isinstance(messages, list):
        raise wrong_type("messages", "an array of objects")
    if not messages:
        raise invalid_value("messages", "at least one message")
    return tuple(_parse_message(message, f"messages[{index}]") for index, message in enumerate(messages))


def _parse_message(message: object, param: str) -> Message:
    if not isinstance(message, dict):
        raise wrong_type(param, "an object")
    role = string(message, "role", f"{param}.role")
    if role not in ROLES:
        raise invalid_value(f"{param}.role", f"one of {', '.join(ROLES)}")
    if role == "tool":
        string(message, "tool_call_id", f"{param}.tool_call_id")
    call_tokens = _count_tool_calls(message, param)
    text, images = _parse_content(message, role, param)
    prompt_tokens = TOKENS_PER_MESSAGE + tokens.count(text) + sum(image.tokens for image in images) + call_tokens
    return Message(role, text, images, prompt_tokens)


def _count_tool_calls(message: JsonObject, param: str) -> int:
    calls = message.get("tool_calls")
    if calls is None:
        return 0
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        raise wrong_type(f"{param}.tool_calls", "an array of objects")
    return tokens.count_json(calls, f"{param}.tool_calls")


def _parse_content(message: JsonObject, role: str, param: str) -> tuple[str, tuple[DescribedImage, ...]]:
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
    images: list[DescribedImage] = []
    for index, part in enumerate(content):
        seen = _parse_part(part, role, f"{param}.content[{index}]")
        if isinstance(seen, str):
            texts.append(seen)
        else:
            images.append(seen)
    return "\n".join(texts), tuple(images)


def _parse_part(part: object, role: str, param: str) -> str | DescribedImage:
    if not isinstance(part, dict):
        raise wrong_type(param, "an object")
    match string(part, "type", f"{param}.type"):
        case "text":
            return string(part, "text", f"{param}.text")
        case "refusal" if role == "assistant":
            return string(part, "refusal", f"{param}.refusal")
        case "image_url" if role in _ROLES_WITH_IMAGES:
            return describe_image(json_object(part, "image_url", f"{param}.image_url"))
        case "file" if role in _ROLES_WITH_IMAGES:
            return describe_file(json_object(part, "file", f"{param}.file"))
        case "image_url" | "file":
            raise InvalidRequestError("Images and files are only allowed in messages of role 'user'.", param=param)
    raise invalid_value(f"{param}.type", "'text', 'image_url' or 'file'; the offline model accepts no other part")
