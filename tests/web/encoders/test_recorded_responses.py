"""The typed events of /v1/responses, of the same recorded answers, as OpenAI's own client puts them together."""

from __future__ import annotations

import timeit
from functools import cache

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import omit
from pydantic import TypeAdapter

from app.openai_service import CallRecord, ChatResult, Done, Refusal, Thought, Token, ToolCallDelta
from app.web.encoders.padding import get_padding
from app.web.encoders.response_object import GrowingReasoning, ResponseFrame, build_response
from app.web.encoders.responses_sse import ResponsesSse
from app.web.encoders.token_sse import TokenSse
from tests.fakes.generated import generated
from tests.fakes.tables import each_row
from tests.fakes.wire.encoding import encode, fails
from tests.fakes.wire.recorded_events import MODEL, RECORDED, call, done, text_of

DESCRIBED = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
FRAME = ResponseFrame("r1", 1_800_000_000, DESCRIBED)
FAILURES_BEFORE_ALL = {
    "a failure before the first token",
    "a failure amid reasoning",
    "a failure amid a server tool",
}


@cache
def read_type():
    from openai.types.responses import ResponseStreamEvent  # builds models for half a second

    return TypeAdapter(ResponseStreamEvent)


def make_encoder(block=0, thoughts=None):
    encoder = ResponsesSse(FRAME, get_padding(block, "obfuscation"), thoughts)
    encoder.record = CallRecord("r1", "chat", MODEL)
    return encoder


def read(encoded):
    """The events, each of which has its type, all fields that OpenAI's have, and the next number."""
    blocks = encoded.decode().split("\n\n")
    assert blocks.pop() == ""
    events = []
    for number, block in enumerate(blocks):
        name, data = block.split("\n")
        event = orjson.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        assert event["sequence_number"] == number
        events.append(event)
        validate(event)
    return events


def validate(event):
    """The event as the client has it. Its types list OpenAI's codes of errors, which it does not insist on."""
    if (event.get("response") or {}).get("error"):
        event = {**event, "response": {**event["response"], "error": {"code": "server_error", "message": "m"}}}
    return read_type().validate_python(event)


class Reader:
    """Puts a response together from its events alone, and fails at one that is out of order."""

    def __init__(self):
        self.output = []
        self._parts = {}
        self._is_done = set()

    def read(self, events):
        assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
        for event in events[2:-1]:
            getattr(self, f"_{event['type'].replace('.', '_')}")(event)
        last = events[-1]
        if last["type"] != "response.failed":
            assert self._is_done == set(range(len(self.output)))
            assert not self._parts
        assert last["type"] == f"response.{last['response']['status']}"
        return last["response"]

    def _response_output_item_added(self, event):
        assert event["output_index"] == len(self.output)
        assert not self._parts, "a text has ended when something else begins"
        assert event["item"]["status"] == "in_progress"
        self.output.append(event["item"])

    def _response_output_item_done(self, event):
        place, item = event["output_index"], event["item"]
        built = self.output[place]
        assert place not in self._is_done
        assert not any(key[0] == place for key in self._parts)
        assert {**built, "status": item["status"]} == item
        self.output[place] = item
        self._is_done.add(place)

    def _response_content_part_added(self, event):
        content = self._item(event)["content"]
        assert event["content_index"] == len(content)
        assert not self._parts
        content.append(event["part"])
        self._parts[event["output_index"], event["content_index"]] = "begun"

    def _response_content_part_done(self, event):
        assert self._parts.pop((event["output_index"], event["content_index"])) == "said"
        assert self._part(event) == event["part"]

    def _response_output_text_delta(self, event):
        assert event["delta"]
        self._part(event)["text"] += event["delta"]

    def _response_output_text_done(self, event):
        assert self._part(event)["text"] == event["text"]
        self._parts[event["output_index"], event["content_index"]] = "said"

    def _response_refusal_delta(self, event):
        assert event["delta"]
        self._part(event)["refusal"] += event["delta"]

    def _response_refusal_done(self, event):
        assert self._part(event)["refusal"] == event["refusal"]
        self._parts[event["output_index"], event["content_index"]] = "said"

    def _response_function_call_arguments_delta(self, event):
        assert event["delta"]
        self._item(event)["arguments"] += event["delta"]

    def _response_function_call_arguments_done(self, event):
        assert self._item(event)["arguments"] == event["arguments"]

    def _item(self, event):
        item = self.output[event["output_index"]]
        assert event["output_index"] not in self._is_done
        assert item["id"] == event["item_id"]
        return item

    def _part(self, event):
        return self._item(event)["content"][event["content_index"]]


def texts_in(output):
    parts = [part for item in output if item["type"] == "message" for part in item["content"]]
    return "".join(part.get("text") or part.get("refusal") or "" for part in parts)


def calls_in(output):
    return [
        (item["call_id"], item["name"], item["arguments"]) for item in output if item["type"] == "function_call"
    ]


def calls_of(events):
    last = events[-1][-1]
    calls = last.tool_calls if isinstance(last, Done) else []
    return [(each["id"], each["function"]["name"], each["function"]["arguments"]) for each in calls]


def accumulate(events):
    """What the client's `stream()` makes of the events; it fails at any that it does not expect."""
    from openai.lib.streaming.responses._responses import ResponseStreamState  # so does this

    state = ResponseStreamState(input_tools=omit, text_format=omit)
    return [each for event in events for each in state.handle_event(validate(event))]


@each_row("name", RECORDED)
def test_events_build_the_answer(name):
    events = RECORDED[name]
    told = read(encode(make_encoder(), events))

    reader = Reader()
    response = reader.read(told)

    ended = [
        {**item, "status": "incomplete" if item["status"] == "in_progress" else item["status"]}
        for item in reader.output
    ]
    assert ended == response["output"]
    assert texts_in(response["output"]) == text_of(events)
    if fails(events):
        assert response["error"]["code"] == "upstream_truncated"
        assert (response["output"] == []) is (name in FAILURES_BEFORE_ALL)
    else:
        assert response["error"] is None
        assert calls_in(response["output"]) == calls_of(events)
        assert response["usage"]["total_tokens"] == 12
    assert accumulate(told)[-1].type == told[-1]["type"]


@each_row("name", [name for name, events in RECORDED.items() if not fails(events)])
def test_a_stream_ends_with_what_a_plain_answer_is(name):
    events = [event for each in RECORDED[name] for event in each]
    last = events[-1]
    texts = {kind: "".join(each.text for each in events if isinstance(each, kind)) for kind in (Token, Refusal)}
    result = ChatResult(
        texts[Token],
        last.finish_reason,
        last.usage,
        last.model,
        last.id,
        last.tool_calls,
        texts[Refusal] or None,
        CallRecord("r1", "chat", MODEL),
    )

    told = read(encode(make_encoder(), RECORDED[name]))[-1]["response"]
    plain = orjson.loads(orjson.dumps(build_response(FRAME, result)))

    for response in (told, plain):
        del response["completed_at"]
        for item in response["output"]:
            del item["status"]  # what came before the cut was complete
    assert told == plain


@each_row("name", RECORDED)
def test_padded_events_say_the_same(name):
    encoded = encode(make_encoder(16), RECORDED[name])

    assert {len(event) % 16 for event in encoded.split(b"\n\n")} <= {0, 14}
    padded = [{**event, "obfuscation": None} for event in read(encoded)]
    plain = read(encode(make_encoder(), RECORDED[name]))
    for events in (padded, plain):
        events[-1]["response"].pop("completed_at")
    assert padded == [{**event, "obfuscation": None} for event in plain]


def test_a_text_goes_on_after_a_call_in_a_message_of_its_own():
    told = [
        [ToolCallDelta(0, "call_0", "f", "{}")],
        [Token("a")],
        [done(tool_calls=[call(0, "f", "{}")])],
    ]

    output = Reader().read(read(encode(make_encoder(), told)))["output"]

    assert [item["type"] for item in output] == ["function_call", "message"]


@pytest.mark.parametrize("is_asked_for", [True, False])
def test_openais_client_reads_what_was_reasoned(is_asked_for):
    thought = {"model": MODEL, "at": 0, "item": {"type": "reasoning", "encrypted_content": "gAAAA"}}
    events = [
        [Thought([thought]), Token("Well.")],
        [ToolCallDelta(0, "call_0", "f", "{}")],
        [done("tool_calls", tool_calls=[call(0, "f", "{}")], reasoning_items=[{**thought, "tokens": 7}])],
    ]
    thoughts = GrowingReasoning(lambda items: f"r1.{items[0].get('tokens')}", is_asked_for)

    told = read(encode(make_encoder(thoughts=thoughts), events))

    output = accumulate(told)[-1].response.to_dict()["output"]
    kinds = (
        ["reasoning", "message", "function_call"] if is_asked_for else ["message", "reasoning", "function_call"]
    )
    assert [item["type"] for item in output] == kinds
    [item] = [each for each in output if each["type"] == "reasoning"]
    assert item["encrypted_content"] == "r1.7"
    told_first = next(
        event["item"]
        for event in told
        if event["type"] == "response.output_item.done" and event["item"]["type"] == "reasoning"
    )
    assert told_first == {**item, "encrypted_content": "r1.None"}


def test_a_token_of_a_running_part_is_one_event_of_one_write():
    encoder = make_encoder()
    encoder.encode([Token("Hel")])

    assert encoder.encode([Token('l"o%s')]) == (
        b"event: response.output_text.delta\n"
        b'data: {"type":"response.output_text.delta","item_id":"msg_r1_0","output_index":0,"content_index":0,'
        b'"logprobs":[],"sequence_number":5,"delta":"l\\"o%s"}\n\n'
    )


PIECES = st.one_of(
    st.text(min_size=1, max_size=3).map(Token),
    st.text(max_size=3).map(Refusal),
    st.tuples(st.integers(0, 3), st.text(max_size=3)).map(lambda piece: ToolCallDelta(piece[0], "", "", piece[1])),
)


@generated(cases=150, quickly=10)
@given(
    pieces=st.lists(PIECES, max_size=12),
    groups=st.integers(1, 3),
    reason=st.sampled_from(["stop", "length", "unknown"]),
)
def test_whatever_comes_in_whatever_order_the_client_can_read(pieces, groups, reason):
    begun, arguments, events = {}, {}, []
    for piece in pieces:
        if isinstance(piece, ToolCallDelta):
            place = begun.setdefault(piece.position, len(begun))
            is_new = place not in arguments
            arguments[place] = arguments.get(place, "") + piece.arguments
            named = (f"call_{place}", "f") if is_new else ("", "")
            piece = ToolCallDelta(place, *named, piece.arguments)  # noqa: PLW2901
        events.append(piece)
    calls = [call(place, "f", text or "{}") for place, text in arguments.items()]
    events.append(done(reason, tool_calls=calls))
    answer = [events[at : at + groups] for at in range(0, len(events), groups)]

    told = read(encode(make_encoder(), answer))
    response = Reader().read(told)

    assert texts_in(response["output"]) == text_of(answer)
    assert sorted(calls_in(response["output"])) == sorted(calls_of(answer))
    read_output = accumulate(told)[-1].response.to_dict()["output"]
    assert texts_in(read_output) == text_of(answer)
    assert calls_in(read_output) == calls_in(response["output"])


def test_a_chunk_costs_little_more_than_a_token_event():
    events = [Token(" word")]

    def cost_of(encoder):
        encoder.encode([Token("The")])
        return min(timeit.repeat(lambda: encoder.encode(events), number=2_000, repeat=7))

    # Of the whole way of a chunk, which is some 20 times longer, this is a few hundredths.
    assert cost_of(make_encoder(16)) < 3 * cost_of(TokenSse("r", get_padding(16)))
