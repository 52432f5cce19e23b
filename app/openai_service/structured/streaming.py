"""Gets structured answers, complete or streamed, with one repair of an answer that does not match."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from itertools import chain
from typing import Any

import orjson

from app.openai_service.chat.completion import read_completion
from app.openai_service.errors import SchemaMismatch, UpstreamRejected
from app.openai_service.results import ChatResult
from app.openai_service.streaming.events import Done, Events, Parsed, PartialParsed, Refusal, Token
from app.openai_service.streaming.reader import StreamedAnswer, open_rounds
from app.openai_service.streaming.ticks import Ticks
from app.openai_service.structured.checker import AnswerChecker, InvalidAnswer, request_repair
from app.openai_service.structured.partial_json import PartialJson
from app.openai_service.transport.request import PendingRequest
from app.openai_service.transport.sender import Sender


def get_structured_answer(sender: Sender, request: PendingRequest, checker: AnswerChecker) -> Ticks[ChatResult]:
    """Return an answer that matches the schema, after at most one repair. Its text is the JSON of the value.

    Raises:
        UpstreamError: there is no answer, or no answer that matches.
    """
    result = yield from sender.send(request, read_completion)
    try:
        return _make_structured_result(result, checker.read(result))
    except InvalidAnswer as error:
        if request.call_state.is_abandoned:
            raise SchemaMismatch from None
        request_repair(request, error, result.text)
    result = yield from sender.send(request, read_completion)
    try:
        return _make_structured_result(result, checker.read(result))
    except InvalidAnswer:
        raise SchemaMismatch from None


def stream_structured_answer(
    sender: Sender, request: PendingRequest, checker: AnswerChecker, *, as_text: bool = False
) -> Ticks[StreamedAnswer]:
    """Open a stream of PartialParsed values. Its last events are Parsed and Done.

    Args:
        sender: sends the requests.
        request: the first request.
        checker: checks the answers.
        as_text: whether to stream the JSON text as Tokens instead. Sent text cannot be withdrawn, so an answer that has
            started is not repaired.

    Raises:
        UpstreamError: there is no answer, or no answer that matches. The returned stream raises it as well.
    """
    return open_rounds(_stream_rounds(sender, request, checker, as_text=as_text), request.record)


def _stream_rounds(
    sender: Sender, request: PendingRequest, checker: AnswerChecker, *, as_text: bool
) -> Ticks[None]:
    record = request.record
    for is_last in (False, True):
        answer = yield from sender.open_stream(request)
        record.model = answer.model or record.model
        partial_json, refusal = PartialJson(), ""
        failure: Exception | None = None
        with closing(answer.rest):
            for received in chain([answer.first], answer.rest):
                events: Events = []
                for event in received:
                    if type(event) is Token:
                        partial_json.add(event.text)
                        if as_text:
                            events.append(event)
                    elif type(event) is Refusal:
                        refusal += event.text
                    elif type(event) is Done:
                        try:
                            data = checker.read(_make_result(partial_json.text, refusal, event, request))
                        except (InvalidAnswer, UpstreamRejected) as error:
                            failure = (
                                error  # raised after the rest of the body, so that the connection can be reused
                            )
                        else:
                            events += [Parsed(data), event._replace(usage=record.usage)]
                if not (events or as_text or failure) and (value := partial_json.take_changes()) is not None:
                    events = [PartialParsed(value)]
                yield events
        if failure is None:
            return
        if not isinstance(failure, InvalidAnswer):
            raise failure
        if is_last or (as_text and partial_json.text) or request.call_state.is_abandoned:
            raise SchemaMismatch
        request_repair(request, failure, partial_json.text)


def _make_result(text: str, refusal: str, end: Done, request: PendingRequest) -> ChatResult:
    return ChatResult(
        text, end.finish_reason, end.usage, end.model, end.id, end.tool_calls, refusal or None, request.record
    )


def _make_structured_result(result: ChatResult, data: Any) -> ChatResult:
    return replace(result, text=orjson.dumps(data).decode(), usage=result.record.usage)
