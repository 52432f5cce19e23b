"""Read the body of `POST /responses`, by translating it into that of a chat."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from app.offline_model.requests.chat_request import ChatRequest, parse_chat_request
from app.offline_model.requests.errors import InvalidRequestError
from app.offline_model.requests.fields import (
    JsonObject,
    flag,
    invalid_value,
    json_object,
    missing,
    string,
    wrong_type,
)
from app.offline_model.responses.sealed_reasoning import open_thought

_SAME_NAMES = (
    "model",
    "stream",
    "temperature",
    "top_p",
    "prompt_cache_key",
    "prompt_cache_options",
    "service_tier",
)


@dataclass(frozen=True)
class ResponsesRequest:
    """A validated body of `POST /responses`.

    Attributes:
        model: the imitated model.
        chat: the request in the form of a chat; `chat_body` is its body.
        removed: the ids of reasoning items that are ignored, because another model made them.
    """

    body: JsonObject
    model: str
    chat: ChatRequest
    chat_body: JsonObject
    effort: str | None
    has_summary: bool
    removed: tuple[str, ...]


@dataclass
class _Conversation:
    messages: list[JsonObject] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


def parse_responses_request(body: JsonObject, model: str) -> ResponsesRequest:
    """Parse a body; unused fields are ignored.

    Raises:
        InvalidRequestError: a field is invalid, or requires state on the server.
    """
    _refuse_state(body)
    conversation = _read_conversation(body, model)
    text = json_object(body, "text") if body.get("text") is not None else {}
    reasoning = json_object(body, "reasoning") if body.get("reasoning") is not None else {}
    chat_body: JsonObject = {name: body[name] for name in _SAME_NAMES if name in body}
    chat_body |= {
        "messages": conversation.messages,
        "max_completion_tokens": body.get("max_output_tokens"),
        "response_format": _nest_format(text.get("format")),
        "tools": _nest_tools(body.get("tools")) or None,
        "tool_choice": _nest_choice(body),
        "reasoning_effort": reasoning.get("effort"),
        "verbosity": text.get("verbosity"),
    }
    if flag(body, "stream"):
        chat_body["stream_options"] = body.get("stream_options")
    return ResponsesRequest(
        body=body,
        model=model,
        chat=parse_chat_request(chat_body),
        chat_body=chat_body,
        effort=reasoning.get("effort"),
        has_summary=reasoning.get("summary") is not None,
        removed=tuple(conversation.removed),
    )


def _refuse_state(body: JsonObject) -> None:
    if (previous := body.get("previous_response_id")) is not None:
        raise InvalidRequestError(
            f"Previous response with id '{previous}' not found.",
            param="previous_response_id",
            code="previous_response_not_found",
        )
    for name in ("conversation", "prompt"):
        if body.get(name) is not None:
            raise InvalidRequestError("The offline model stores nothing.", param=name, status=404)
    if flag(body, "background"):
        raise invalid_value("background", "false: the offline model answers at once")


def _read_conversation(body: JsonObject, model: str) -> _Conversation:
    conversation = _Conversation()
    if body.get("instructions") is not None:
        conversation.messages.append({"role": "system", "content": string(body, "instructions")})
    given = body.get("input")
    if given is None:
        raise missing("input")
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if not isinstance(given, list):
        raise wrong_type("input", "a string or an array")
    for index, item in enumerate(given):
        if not isinstance(item, dict):
            raise wrong_type(f"input[{index}]", "an object")
        _add_item(conversation, item, f"input[{index}]", model)
    if not conversation.messages:
        raise invalid_value("input", "at least one message")
    return conversation


def _add_item(conversation: _Conversation, item: JsonObject, param: str, model: str) -> None:
    match item.get("type", "message"):
        case "message":
            message = {"role": item.get("role"), "content": _translate_content(item.get("content"), param)}
            conversation.messages.append(message)
        case "function_call":
            function = {name: string(item, name, f"{param}.{name}") for name in ("name", "arguments")}
            call = {"id": string(item, "call_id", f"{param}.call_id"), "type": "function", "function": function}
            _add_call(conversation.messages, call)
        case "custom_tool_call":
            custom = {name: string(item, name, f"{param}.{name}") for name in ("name", "input")}
            call = {"id": string(item, "call_id", f"{param}.call_id"), "type": "custom", "custom": custom}
            _add_call(conversation.messages, call)
        case "function_call_output" | "custom_tool_call_output":
            result = {"role": "tool", "tool_call_id": string(item, "call_id", f"{param}.call_id")}
            content = _translate_content(item.get("output"), param)
            conversation.messages.append({**result, "content": content})
        case "reasoning":
            sealed = item.get("encrypted_content")
            if isinstance(sealed, str) and open_thought(sealed) != model:
                conversation.removed.append(str(item.get("id")))
        case _:
            raise invalid_value(
                f"{param}.type", "a message, a call of a function or custom tool, its output or reasoning"
            )


def _add_call(messages: list[JsonObject], call: JsonObject) -> None:
    """Add a call to the last message if that is the assistant's, otherwise as a new message."""
    if messages and messages[-1].get("role") == "assistant":
        messages[-1]["tool_calls"] = [*messages[-1].get("tool_calls", []), call]
    else:
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})


def _translate_content(content: Any, param: str) -> Any:
    return [_translate_part(part, param) for part in content] if isinstance(content, list) else content


def _translate_part(part: Any, param: str) -> Any:
    if not isinstance(part, dict):
        raise wrong_type(f"{param}.content", "an array of objects")
    extra = {name: part[name] for name in ("prompt_cache_breakpoint",) if name in part}
    match part.get("type"):
        case "input_text" | "output_text":
            return {"type": "text", "text": part.get("text"), **extra}
        case "input_image":
            image = {"url": part.get("image_url"), "detail": part.get("detail") or "auto"}
            return {"type": "image_url", "image_url": image, **extra}
        case "input_file":
            file = {name: part[name] for name in ("file_data", "filename") if name in part}
            return {"type": "file", "file": file, **extra}
    return part


def _nest_format(given: Any) -> Any:
    if not isinstance(given, dict) or given.get("type") != "json_schema":
        return given
    return {"type": "json_schema", "json_schema": {name: given[name] for name in given if name != "type"}}


def _nest_tools(given: Any) -> Any:
    return [_nest_tool(tool) for tool in given] if isinstance(given, list) else given


def _nest_tool(tool: Any) -> Any:
    kind = tool.get("type") if isinstance(tool, dict) else None
    if kind not in ("function", "custom"):
        return tool
    return {"type": kind, kind: {name: tool[name] for name in tool if name != "type"}}


def _nest_choice(body: JsonObject) -> Any:
    choice = body.get("tool_choice")
    return _nest_tool(choice) if body.get("tools") or choice not in ("auto", "none") else None
