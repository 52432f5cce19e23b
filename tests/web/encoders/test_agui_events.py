"""AG-UI's events of the recorded answers, checked as `@ag-ui/client` verifies them, and what a page makes of them."""

from __future__ import annotations

import orjson

from app.openai_service import Done
from app.web.encoders.agui import PADDING, Agui
from app.web.encoders.call_ids import CallIds
from app.web.encoders.padding import get_padding
from tests.fakes.tables import each_row
from tests.fakes.wire.encoding import encode, fails, read_sse
from tests.fakes.wire.recorded_events import RECORDED, TEXT, call, text_of


def make_encoder(messages=()):
    return Agui(
        {"threadId": "thread1", "runId": "run1"},
        token="ab",
        call_ids=CallIds(messages),
        padding=get_padding(0, PADDING),
        request_id="r1",
    )


class Run:
    """Reads events as strictly as the client does, and keeps the messages that it makes of them."""

    def __init__(self):
        self.messages = []
        self.end = None
        self._open = set()
        self._seen = set()

    def read(self, events):
        assert events[0] == {
            "type": "RUN_STARTED",
            "threadId": "thread1",
            "runId": "run1",
            "protocolVersion": "1.0",
        }
        for event in events:
            assert self.end is None, "nothing follows the end of a run"
            assert None not in event.values()
            assert event.get("delta") != ""
            kind = event.pop("type")
            getattr(self, f"_{kind.lower()}")(**event)
        assert not self._open
        return self

    def of(self, role):
        return [each for each in self.messages if each["role"] == role]

    def text(self, role="assistant"):
        return "".join(each.get("content", "") for each in self.of(role))

    def _find(self, id_):
        [found] = [each for each in self.messages if each["id"] == id_]
        return found

    def _begin(self, kind, id_):
        assert (kind, id_) not in self._seen
        self._seen.add((kind, id_))
        self._open.add((kind, id_))

    def _run_started(self, **fields):
        pass

    def _run_finished(self, **fields):
        assert not self._open
        self.end = fields

    def _run_error(self, **fields):
        self.end = fields

    def _text_message_start(self, *, messageId, role):  # noqa: N803
        self._begin("text", messageId)
        self.messages.append({"id": messageId, "role": role, "content": ""})

    def _text_message_content(self, *, messageId, delta):  # noqa: N803
        assert ("text", messageId) in self._open
        self._find(messageId)["content"] += delta

    def _text_message_end(self, *, messageId):  # noqa: N803
        self._open.remove(("text", messageId))

    def _reasoning_start(self, *, messageId):  # noqa: N803
        self._begin("span", messageId)

    def _reasoning_message_start(self, *, messageId, role):  # noqa: N803
        assert role == "reasoning"
        self._begin("reasoning", messageId)
        self.messages.append({"id": messageId, "role": role, "content": ""})

    def _reasoning_message_content(self, *, messageId, delta):  # noqa: N803
        assert ("reasoning", messageId) in self._open
        self._find(messageId)["content"] += delta

    def _reasoning_message_end(self, *, messageId):  # noqa: N803
        self._open.remove(("reasoning", messageId))

    def _reasoning_end(self, *, messageId):  # noqa: N803
        self._open.remove(("span", messageId))

    def _tool_call_start(self, *, toolCallId, toolCallName, parentMessageId):  # noqa: N803
        self._begin("call", toolCallId)
        if not any(each["id"] == parentMessageId for each in self.messages):
            self.messages.append({"id": parentMessageId, "role": "assistant"})
        made = {"id": toolCallId, "name": toolCallName, "arguments": ""}
        self._find(parentMessageId).setdefault("calls", []).append(made)

    def _tool_call_args(self, *, toolCallId, delta):  # noqa: N803
        assert ("call", toolCallId) in self._open
        [made] = [made for made in self.calls() if made["id"] == toolCallId]
        made["arguments"] += delta

    def _tool_call_end(self, *, toolCallId):  # noqa: N803
        self._open.remove(("call", toolCallId))

    def _tool_call_result(self, *, messageId, toolCallId, content, role):  # noqa: N803
        assert ("call", toolCallId) in self._seen - self._open
        self.messages.append({"id": messageId, "role": role, "call": toolCallId, "content": content})

    def calls(self):
        return [made for each in self.messages for made in each.get("calls", ())]


def run_of(name, encoder=None):
    return Run().read(read_sse(encode(encoder or make_encoder(), RECORDED[name])))


@each_row("name", RECORDED)
def test_every_answer_is_a_run_in_order(name):
    events = RECORDED[name]

    run = run_of(name)

    assert run.text() == text_of(events)
    if fails(events):
        assert (run.end["code"], run.end["metadata"]) == ("upstream_truncated", {"requestId": "r1"})
        assert run.end["message"]
        return
    done: Done = events[-1][-1]
    calls = [{"id": each["id"], **each["function"]} for each in done.tool_calls]
    assert [made for made in run.calls() if not made["id"].startswith("servertool_")] == calls
    assert run.end["outcome"].get("pendingToolCallIds", []) == [made["id"] for made in calls]
    assert run.end["metadata"]["finishReason"] == done.finish_reason
    assert run.end["usage"] == [
        {"model": "gpt-6.1-terra-2026-10-01", "inputTokens": 9, "outputTokens": 3, "totalTokens": 12}
    ]


def test_reasoning_is_a_message_of_its_own():
    run = run_of("reasoning between two texts")

    assert [(each["role"], each["content"]) for each in run.messages] == [
        ("assistant", "a"),
        ("reasoning", "b"),
        ("assistant", "cd"),
    ]


def test_calls_belong_to_the_message_before_them():
    [message] = run_of("two calls in fragments").messages

    assert message["content"] == "Wait."
    assert [made["name"] for made in message["calls"]] == ["weather", "clock"]


def test_server_tools_are_calls_with_results_that_tell_nothing():
    run = run_of("two rounds of server tools")

    assert [each["role"] for each in run.messages] == [
        "assistant",
        "tool",
        "tool",
        "assistant",
        "tool",
        "assistant",
    ]
    assert [made["arguments"] for made in run.calls()] == ["{}", "{}", "{}"]
    assert [orjson.loads(each["content"]) for each in run.of("tool")] == [
        {"status": "failed", "ms": 3},
        {"status": "done", "ms": 5},
        {"status": "done", "ms": 0},
    ]


def test_a_call_has_no_id_of_an_earlier_one():
    earlier = [{"role": "assistant", "content": None, "tool_calls": [call(0, "weather", "{}")]}]

    run = run_of("two calls in fragments", make_encoder(earlier))

    first, second = run.calls()
    assert first["id"] != "call_0"
    assert second["id"] == "call_1"
    assert run.end["outcome"]["pendingToolCallIds"] == [first["id"], "call_1"]


def test_what_is_known_of_the_cost_is_told():
    encoder = make_encoder()
    encoder.read_cost = lambda: 42

    run = run_of("a text of one piece, cached", encoder)

    assert run.end["metadata"] == {
        "finishReason": "stop",
        "model": "gpt-6.1-terra-2026-10-01",
        "id": "chatcmpl-1",
        "costMicroUsd": 42,
        "trimmed": 2,
        "cached": True,
    }


def test_a_token_of_a_running_message_is_one_event_of_one_write():
    encoder = make_encoder()
    encoder.encode(TEXT[0])

    assert encoder.encode(TEXT[2]) == (
        b'data: {"type":"TEXT_MESSAGE_CONTENT","messageId":"msg_ab_1","delta":"lo"}\n\n'
    )
