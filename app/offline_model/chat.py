"""Answer a chat request with text, JSON or a tool call, cut at its stop sequences and token limit."""

from __future__ import annotations

import time
import uuid

import orjson

from app.offline_model import replies, tokens
from app.offline_model.completion import Completion
from app.offline_model.instances.instance import UnsatisfiableError, make_instance
from app.offline_model.requests.chat_request import ChatRequest, parse_chat_request
from app.offline_model.requests.errors import InvalidRequestError
from app.offline_model.requests.fields import JsonObject


def complete(body: JsonObject) -> Completion:
    """Answer the body of `POST /chat/completions`.

    Raises:
        InvalidRequestError: a field is invalid, or no value was found for a schema.
    """
    request = parse_chat_request(body)
    after_tool = request.messages[-1].role == "tool"
    tool = None if after_tool else request.tools.choose(request.user_text)
    if tool:
        text = _make_instance(tool.parameters, request.user_text, "tools")
        finish_reason = "tool_calls"
    else:
        text = _cut_at_stop(_write_reply(request), request.stop)
        finish_reason = "stop"
    pieces = tokens.split(text)
    # A tool's name is the first token of its call.
    limit = len(pieces) if request.max_tokens is None else request.max_tokens - bool(tool)
    return Completion(
        request=request,
        pieces=pieces[:limit],
        finish_reason=finish_reason if len(pieces) <= limit else "length",
        tool_name=tool.name if tool else None,
        completion_id=f"chatcmpl-offline-{uuid.uuid4().hex}",
        created_s=int(time.time()),
    )


def _write_reply(request: ChatRequest) -> str:
    match request.response_format.kind:
        case "json_schema":
            return _make_instance(request.response_format.schema, request.user_text, "response_format")
        case "json_object":
            return orjson.dumps(replies.write_json(request.messages)).decode()
    return replies.write_text(request.messages)


def _make_instance(schema: JsonObject | bool, text: str, param: str) -> str:
    try:
        return orjson.dumps(make_instance(schema, text)).decode()
    except (UnsatisfiableError, orjson.JSONEncodeError) as error:
        raise InvalidRequestError(
            f"The offline model found no value for the schema: {error}", param=param
        ) from error


def _cut_at_stop(text: str, stops: tuple[str, ...]) -> str:
    ends = [at for stop in stops if (at := text.find(stop)) >= 0]
    return text[: min(ends)] if ends else text
