"""A stream that is kept has its end prepared for the case that its writer dies; that must not change what is sent."""

from __future__ import annotations

import copy

from app.openai_service import CallRecord, Failed
from app.openai_service.errors import UpstreamTruncated
from app.web.encoders.agui import Agui
from app.web.encoders.call_ids import CallIds
from app.web.encoders.openai_sse import OpenAISse
from app.web.encoders.padding import get_padding
from app.web.encoders.response_object import ResponseFrame
from app.web.encoders.responses_sse import ResponsesSse
from app.web.encoders.token_sse import TokenSse
from app.web.encoders.ui_message_stream import UIMessageStream
from tests.fakes.tables import each_row
from tests.fakes.wire.recorded_events import MODEL, RECORDED

PLAIN = get_padding(0)


def make_responses():
    described = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
    encoder = ResponsesSse(ResponseFrame("r1", 1_800_000_000, described), PLAIN)
    encoder.record = CallRecord("r1", "chat", MODEL)
    return encoder


def make_chunks():
    encoder = OpenAISse("chatcmpl-1", 1_800_000_000, PLAIN, includes_usage=True)
    encoder.record = CallRecord("r1", "chat", MODEL)
    return encoder


ENCODERS = {
    "tokens": lambda: TokenSse("r1", PLAIN),
    "ui": lambda: UIMessageStream("msg_1", call_ids=CallIds([]), padding=PLAIN, request_id="r1"),
    "agui": lambda: Agui(
        {"threadId": "t1", "runId": "r1"}, token="ab", call_ids=CallIds([]), padding=PLAIN, request_id="r1"
    ),
    "chunks": make_chunks,
    "responses": make_responses,
}


@each_row("make", ENCODERS.values(), ids=ENCODERS)
@each_row("name", RECORDED)
def test_the_end_of_a_copy_changes_nothing(make, name, clock):
    copied, alone = make(), make()
    for events in filter(None, RECORDED[name]):
        assert copied.encode(list(events)) == alone.encode(list(events))
        assert copy.copy(copied).encode([Failed(UpstreamTruncated())])
