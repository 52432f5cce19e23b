"""Answering a chat request: text, JSON or the call of a tool, cut where the caller wants it cut."""

from __future__ import annotations

import time
import uuid

import orjson

from app.offline_model import replies, tokens
from app.offline_model.completion import Completion
from app.offline_model.instances.instance import UnsatisfiableError, instance_of
from app.offline_model.requests.chat_request import ChatRequest, parse_chat_request
from app.offline_model.requests.errors import InvalidRequestError
from app.offline_model.requests.fields import JsonObject


def complete(body: JsonObject) -> Completion:
    """Answer the body of `POST /chat/completions`; everything that can be refused is refused here.

    Raises:
        InvalidRequestError: a field is off, or no value fits a schema.
    """
    request = parse_chat_request(body)
    after_tool = request.messages[-1].role == "tool"
    tool = None if after_tool else request.tools.chosen_for(request.user_text)
    if tool:
        text = _instance(tool.parameters, request.user_text, "tools")
        finish_reason = "tool_calls"
    else:
        text = _cut_at_stop(_reply(request), request.stop)
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


def _reply(request: ChatRequest) -> str:
    match request.response_format.kind:
        case "json_schema":
            return _instance(request.response_format.schema, request.user_text, "response_format")
        case "json_object":
            return orjson.dumps(replies.json_reply(request.messages)).decode()
    return replies.text_reply(request.messages)


def _instance(schema: JsonObject | bool, text: str, param: str) -> str:
    try:
        return orjson.dumps(instance_of(schema, text)).decode()
    except (UnsatisfiableError, orjson.JSONEncodeError) as error:
        raise InvalidRequestError(
            f"The offline model found no value for the schema: {error}", param=param
        ) from error


def _cut_at_stop(text: str, stops: tuple[str, ...]) -> str:
    ends = [at for stop in stops if (at := text.find(stop)) >= 0]
    return text[: min(ends)] if ends else text
