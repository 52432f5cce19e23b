"""Parse and validate the body of a chat request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.offline_model.requests.conversation import Message, parse_messages
from app.offline_model.requests.errors import InvalidRequestError
from app.offline_model.requests.fields import (
    JsonObject,
    check_number,
    flag,
    integer,
    invalid_value,
    json_object,
    missing,
    string,
    wrong_type,
)
from app.offline_model.tools import ToolSet, parse_tools

MAX_STOPS = 4


@dataclass(frozen=True)
class ResponseFormat:
    """The format of the reply: `text`, `json_object` or `json_schema`."""

    kind: str
    schema: JsonObject | bool = True


@dataclass(frozen=True)
class ChatRequest:
    """A validated body of `POST /chat/completions`."""

    messages: tuple[Message, ...]
    max_tokens: int | None
    stop: tuple[str, ...]
    stream: bool
    include_usage: bool
    has_obfuscation: bool
    response_format: ResponseFormat
    tools: ToolSet

    @property
    def user_text(self) -> str:
        """The text of the user's last message; empty if the user wrote none."""
        return next((message.text for message in reversed(self.messages) if message.role == "user"), "")


def parse_chat_request(body: JsonObject) -> ChatRequest:
    """Parse the body of `POST /chat/completions`; unused fields are ignored.

    Raises:
        InvalidRequestError: OpenAI would refuse a field.
    """
    string(body, "model")
    if integer(body, "n", low=1, high=128) not in (None, 1):
        raise invalid_value("n", "1: the offline model gives one choice")
    check_number(body, "temperature", low=0, high=2)
    check_number(body, "top_p", low=0, high=1)
    limits = [integer(body, name, low=1, high=2**31 - 1) for name in ("max_completion_tokens", "max_tokens")]
    stream = flag(body, "stream")
    include_usage, has_obfuscation = _parse_stream_options(body, stream)
    return ChatRequest(
        messages=parse_messages(body),
        max_tokens=limits[0] or limits[1],
        stop=_parse_stop(body.get("stop")),
        stream=stream,
        include_usage=include_usage,
        has_obfuscation=has_obfuscation,
        response_format=_parse_response_format(body.get("response_format")),
        tools=parse_tools(body),
    )


def _parse_stop(given: Any) -> tuple[str, ...]:
    if given is None:
        return ()
    stops = [given] if isinstance(given, str) else given
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise wrong_type("stop", "a string or an array of strings")
    if len(stops) > MAX_STOPS:
        raise invalid_value("stop", f"at most {MAX_STOPS} strings")
    return tuple(filter(None, stops))


def _parse_stream_options(body: JsonObject, stream: bool) -> tuple[bool, bool]:
    if body.get("stream_options") is None:
        return False, True
    options = json_object(body, "stream_options")
    if not stream:
        raise InvalidRequestError(
            "'stream_options' is only allowed when 'stream' is true.", param="stream_options"
        )
    include_usage = flag(options, "include_usage", "stream_options.include_usage")
    has_no_padding = options.get("include_obfuscation") is not None and not flag(
        options, "include_obfuscation", "stream_options.include_obfuscation"
    )
    return include_usage, not has_no_padding


def _parse_response_format(given: Any) -> ResponseFormat:
    if given is None:
        return ResponseFormat("text")
    if not isinstance(given, dict):
        raise wrong_type("response_format", "an object")
    kind = string(given, "type", "response_format.type")
    if kind not in ("text", "json_object", "json_schema"):
        raise invalid_value("response_format.type", "'text', 'json_object' or 'json_schema'")
    if kind != "json_schema":
        return ResponseFormat(kind)
    described = json_object(given, "json_schema", "response_format.json_schema")
    if not string(described, "name", "response_format.json_schema.name"):
        raise missing("response_format.json_schema.name")
    flag(described, "strict", "response_format.json_schema.strict")
    return ResponseFormat(kind, json_object(described, "schema", "response_format.json_schema.schema"))
