"""Each wire format of the same recorded answers: whatever happens, what a reader makes of it is the answer."""

from __future__ import annotations

import orjson
import pytest

from app.web.encoders.agui import PADDING, Agui
from app.web.encoders.base import BrokenStream
from app.web.encoders.call_ids import CallIds
from app.web.encoders.padding import get_padding
from app.web.encoders.plain_text import PlainText
from app.web.encoders.token_sse import TokenSse
from app.web.encoders.ui_message_stream import UIMessageStream
from tests.fakes.tables import each_row
from tests.fakes.wire.encoding import encode, fails, read_sse
from tests.fakes.wire.recorded_events import RECORDED, TEXT, text_of

ANSWERS = each_row("events", RECORDED.values(), ids=RECORDED)


def ui_encoder():
    return UIMessageStream("msg_1", call_ids=CallIds([]), padding=get_padding(0), request_id="r1")


@ANSWERS
def test_plain_text(events):
    if fails(events):
        with pytest.raises(BrokenStream):
            encode(PlainText(), events)
    else:
        assert encode(PlainText(), events).decode() == text_of(events)


@ANSWERS
def test_token_events(events):
    read = read_sse(encode(TokenSse("r1", get_padding(0)), events))

    assert "".join(event.get("token", "") for event in read) == text_of(events)
    assert [event.get("code") for event in read if "error" in event] == ["upstream_truncated"] * fails(events)
    assert ("done" in read[-1]) is not fails(events)


class Message:
    """What a page makes of a UI message stream. It knows the types that ai 5, 6 and 7 all have, and is as strict."""

    def __init__(self):
        self.parts = []
        self.error = self.finish = self.id = None
        self._open = {}
        self._inputs = {}

    def read(self, chunks):
        assert chunks.pop() == "[DONE]"
        assert chunks[0]["type"] == "start"
        for chunk in chunks:
            assert None not in chunk.values()
            kind = chunk.pop("type")
            getattr(self, f"_{kind.replace('-', '_')}")(**chunk)
        assert not self._open
        return self

    def text(self, kind="text"):
        return "".join(part["text"] for part in self.parts if part["type"] == kind)

    def tools(self):
        return {part["id"]: part for part in self.parts if part["type"] == "tool"}

    def _start(self, *, messageId):  # noqa: N803
        self.id = messageId

    def _start_step(self):
        self.parts.append({"type": "step-start"})

    def _finish_step(self):
        assert not self._open

    def _finish(self, *, finishReason, messageMetadata):  # noqa: N803
        self.finish = finishReason, messageMetadata

    def _error(self, *, errorText, code, requestId):  # noqa: N803
        self.error = errorText, code, requestId

    def _begin(self, kind, id_):
        assert not self._open, "a page shows parts in the order in which they began"
        self._open[kind, id_] = part = {"type": kind, "text": ""}
        self.parts.append(part)

    def _text_start(self, *, id):  # noqa: A002
        self._begin("text", id)

    def _text_delta(self, *, id, delta):  # noqa: A002
        assert delta
        self._open["text", id]["text"] += delta

    def _text_end(self, *, id):  # noqa: A002
        del self._open["text", id]

    def _reasoning_start(self, *, id):  # noqa: A002
        self._begin("reasoning", id)

    def _reasoning_delta(self, *, id, delta):  # noqa: A002
        assert delta
        self._open["reasoning", id]["text"] += delta

    def _reasoning_end(self, *, id):  # noqa: A002
        del self._open["reasoning", id]

    def _tool_input_start(self, *, toolCallId, toolName):  # noqa: N803
        assert not self._open
        self._inputs[toolCallId] = ""
        self.parts.append({"type": "tool", "id": toolCallId, "name": toolName})

    def _tool_input_delta(self, *, toolCallId, inputTextDelta):  # noqa: N803
        assert inputTextDelta
        self._inputs[toolCallId] += inputTextDelta

    def _tool_input_available(self, *, toolCallId, toolName, input, **flags):  # noqa: N803, A002
        if (streamed := self._inputs.get(toolCallId)) is not None:
            assert input == orjson.loads(streamed)
        if toolCallId not in self.tools():
            assert not self._open
            self.parts.append({"type": "tool", "id": toolCallId, "name": toolName})
        self.tools()[toolCallId].update(input=input, **flags)

    def _tool_input_error(self, *, toolCallId, toolName, input, errorText):  # noqa: N803, A002
        self.tools()[toolCallId].update(name=toolName, input=input, error=errorText)

    def _tool_output_available(self, *, toolCallId, output, **flags):  # noqa: N803
        self._in_this_step(toolCallId).update(output=output, **flags)

    def _tool_output_error(self, *, toolCallId, errorText, **flags):  # noqa: N803
        self._in_this_step(toolCallId).update(error=errorText, **flags)

    def _in_this_step(self, id_):
        begin = max(index for index, part in enumerate(self.parts) if part["type"] == "step-start")
        [part] = [part for part in self.parts[begin:] if part.get("id") == id_]
        return part


def message_of(name):
    return Message().read(read_sse(encode(ui_encoder(), RECORDED[name])))


@each_row("name", RECORDED)
def test_ui_message(name):
    events = RECORDED[name]

    message = message_of(name)

    assert message.id == "msg_1"
    assert message.text() == text_of(events)
    assert (message.finish is None) is fails(events)
    assert (message.error is not None) is fails(events)
    if fails(events):
        assert message.error[1:] == ("upstream_truncated", "r1")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("text", "stop"),
        ("reasoning between two texts", "length"),
        ("a refusal", "content-filter"),
        ("two calls in fragments", "tool-calls"),
        ("a text, then a refusal", "other"),
    ],
)
def test_ui_message_finish_reasons_are_those_that_the_sdk_knows(name, reason):
    assert message_of(name).finish[0] == reason


def test_ui_message_keeps_reasoning_apart_and_in_its_place():
    parts = message_of("reasoning between two texts").parts

    assert [(part["type"], part.get("text")) for part in parts] == [
        ("step-start", None),
        ("text", "a"),
        ("reasoning", "b"),
        ("text", "cd"),
    ]


def test_ui_message_calls_are_the_pages_own():
    calls = message_of("two calls in fragments").tools()

    assert calls == {
        "call_0": {"type": "tool", "id": "call_0", "name": "weather", "input": {"in": "Oslo"}},
        "call_1": {"type": "tool", "id": "call_1", "name": "clock", "input": {}},
    }
    assert message_of("a call whose name came late").tools()["call_0"]["input"] == {"a": 1}
    spoilt = message_of("a call that is no JSON").tools()["call_0"]
    assert (spoilt["input"], spoilt["error"]) == ('{"a"', "The model's input for this tool is not valid JSON.")


def test_ui_message_server_tools_have_run_and_keep_what_they_know():
    message = message_of("two rounds of server tools")

    ours = {"type": "tool", "providerExecuted": True, "dynamic": True, "input": {}}
    assert message.tools() == {
        "call_0": {**ours, "id": "call_0", "name": "order", "output": {"status": "done", "ms": 5}},
        "call_1": {**ours, "id": "call_1", "name": "stock", "error": "The tool failed."},
        "call_2": {**ours, "id": "call_2", "name": "order", "output": {"status": "done", "ms": 0}},
    }
    assert [part["type"] for part in message.parts] == [
        *("step-start", "text", "tool", "tool"),
        *("step-start", "tool"),
        *("step-start", "text"),
    ]


def test_ui_message_metadata():
    encoder = ui_encoder()
    encoder.read_cost = lambda: 42

    message = Message().read(read_sse(encode(encoder, RECORDED["a text of one piece, cached"])))

    assert message.finish[1] == {
        "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
        "model": "gpt-6.1-terra-2026-10-01",
        "id": "chatcmpl-1",
        "costMicroUsd": 42,
        "trimmed": 2,
        "cached": True,
    }


def test_a_token_of_a_running_part_is_one_event_of_one_write():
    encoder = ui_encoder()
    encoder.encode(TEXT[0])

    assert encoder.encode(TEXT[2]) == b'data: {"type":"text-delta","id":"1","delta":"lo"}\n\n'


@each_row("name", RECORDED)
def test_padded_events_say_the_same(name):
    ui = UIMessageStream("msg_1", call_ids=CallIds([]), padding=get_padding(16), request_id="r1")
    agui = Agui(
        {"threadId": "thread1", "runId": "run1"},
        token="ab",
        call_ids=CallIds([]),
        padding=get_padding(16, PADDING),
        request_id="r1",
    )
    for encoder, plain, field in [(ui, ui_encoder(), "p"), (agui, None, PADDING)]:
        encoded = encode(encoder, RECORDED[name]).removesuffix(b"data: [DONE]\n\n")

        assert {len(event) % 16 for event in encoded.split(b"\n\n")} <= {0, 14}
        read = [{**event, field: None} for event in read_sse(encoded)]
        if plain is not None:
            unpadded = encode(plain, RECORDED[name]).removesuffix(b"data: [DONE]\n\n")
            assert read == [{**event, field: None} for event in read_sse(unpadded)]
