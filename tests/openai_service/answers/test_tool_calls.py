"""Tool calls as other servers write them: the same for an answer in one piece, for a stream and for our own tools."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from app.openai_service.answers.tool_calls import ToolCalls
from app.openai_service.chat.completion import parse_completion
from app.openai_service.errors import UpstreamFailed
from app.openai_service.results import CallRecord
from app.openai_service.streaming.chunks import ChunkReader
from app.web.schemas.messages import Messages, build_turns
from tests.fakes.generated import generated
from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import chunk, completion, sse, stream_of
from tests.fakes.wire.reading import events_of

HI = {"message": "Hi"}
BERN, ROME = '{"city":"Bern"}', '{"city":"Rome"}'


def entry(name=None, arguments=None, *, id_=None, index=0):
    function = {name_: value for name_, value in (("name", name), ("arguments", arguments)) if value is not None}
    return {"index": index, "function": function} | ({} if id_ is None else {"id": id_})


# The deltas of a stream, chunk by chunk, and the calls: id, name and arguments.
STREAMS = {
    "OpenAI": (
        [[entry("f", "", id_="a")], [entry(arguments='{"city":')], [entry(arguments='"Bern"}')],
         [entry("g", "", id_="b", index=1)], [entry(arguments=ROME, index=1)]],
        [("a", "f", BERN), ("b", "g", ROME)],
    ),
    "all at index 0": ([[entry("f", BERN, id_="a")], [entry("f", ROME, id_="b")]], [("a", "f", BERN), ("b", "f", ROME)]),
    "all at index 0 in one chunk, no id": ([[entry("f", BERN, id_=""), entry("f", BERN, id_="")]],
                                           [("call_0", "f", BERN), ("call_1", "f", BERN)]),
    "all at index 0, no id": ([[entry("f", BERN)], [entry("f", ROME)], [entry("g", ROME)]],
                              [("call_0", "f", BERN), ("call_1", "f", ROME), ("call_2", "g", ROME)]),
    "all at index 0, in pieces": (
        [[entry("f", "", id_="a")], [entry(arguments='{"city":')], [entry(arguments='"Bern"}')],
         [entry("f", "", id_="b")], [entry(arguments=ROME)]],
        [("a", "f", BERN), ("b", "f", ROME)],
    ),
    "no index": ([[entry("f", BERN, id_="a", index=None)], [entry("f", '{"city":', id_="b", index=None)],
                  [entry(arguments='"Rome"}', index=None)]], [("a", "f", BERN), ("b", "f", ROME)]),
    "interleaved": ([[entry("f", '{"city":', id_="a"), entry("g", '{"city":', id_="b", index=1)],
                     [entry(arguments='"Bern"}'), entry(arguments='"Rome"}', index=1)]],
                    [("a", "f", BERN), ("b", "g", ROME)]),
    "id and name repeated": ([[entry("f", '{"city":', id_="a")], [entry("f", '"Bern"}', id_="a")], [entry("f", "", id_="a")]],
                             [("a", "f", BERN)]),
    "name repeated": ([[entry("f", "")], [entry("f", '{"city":')], [entry("f", '"Bern"}')], [entry("f", "")]],
                      [("call_0", "f", BERN)]),
    "another id for each piece": ([[entry("f", "", id_="a")], [entry(arguments='{"city":', id_="b")],
                                   [entry(arguments='"Bern"}', id_="c")]], [("a", "f", BERN)]),
    "an object": ([[entry("f", {"city": "Bern"}, id_="a")]], [("a", "f", BERN)]),
    "objects without ids": ([[entry("f", {"city": "Bern"})], [entry("f", {"city": "Rome"})]],
                            [("call_0", "f", BERN), ("call_1", "f", ROME)]),
    "nothing for arguments": ([[entry("f", id_="a")], [entry("g", "", id_="b")], [entry("g", {}, id_="c")]],
                              [("a", "f", "{}"), ("b", "g", "{}"), ("c", "g", "{}")]),
    "no arguments, no ids": ([[entry("f")], [entry("f")]], [("call_0", "f", "{}"), ("call_1", "f", "{}")]),
    "null": ([[entry("f", "null", id_="a")]], [("a", "f", "{}")]),
    "an empty entry": ([[entry("", "", id_="")], [entry("f", BERN, id_="a")]], [("a", "f", BERN)]),
    "null for each id": ([[entry("f", BERN, id_="null")], [entry("g", ROME, id_="null")], [entry("g", BERN, id_="None")]],
                         [("call_0", "f", BERN), ("call_1", "g", ROME), ("call_2", "g", BERN)]),
    "one id for two calls": ([[entry("f", BERN, id_="a")], [entry("g", ROME, id_="a")]],
                             [("a", "f", BERN), ("call_1", "g", ROME)]),
    "a blank id": ([[entry("f", BERN, id_=" ")], [entry("f", ROME, id_=" ")]], [("call_0", "f", BERN), ("call_1", "f", ROME)]),
    "an id before the name": ([[entry(id_="a")], [entry("f", '{"city":')], [entry(arguments='"Bern"}')]], [("a", "f", BERN)]),
    "a text for an index": ([[entry("f", '{"city":', id_="a", index="0"), entry("g", ROME, id_="b", index="1")],
                             [entry(arguments='"Bern"}', index="0")]], [("a", "f", BERN), ("b", "g", ROME)]),
    "a number for an id": ([[entry("f", BERN, id_=7)]], [("7", "f", BERN)]),
    "an id that looks like ours": ([[entry("f", BERN, id_="call_1"), entry("g", ROME, index=1)]],
                                   [("call_1", "f", BERN), ("call_2", "g", ROME)]),
}  # fmt: skip


def told(calls):
    return [(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in calls]


@each_row(("chunks", "calls"), STREAMS.values(), ids=STREAMS)
@pytest.mark.chat_form
def test_a_stream_has_the_calls_that_were_meant(client, upstream, chunks, calls):
    upstream.streams(*[chunk({"tool_calls": deltas}) for deltas in chunks], *stream_of()[1:])

    done = events_of(client.post("/api/chat/stream", json=HI).data)[-1]

    assert (told(done["toolCalls"]), done["finishReason"]) == (calls, "tool_calls")


@each_row("arguments", [BERN, {"city": "Bern"}, None, "", {}, [], "[]", "null"])
@each_row("ids", [("a", "b"), (None, None), ("", ""), ("same", "same")])
@pytest.mark.chat_form
def test_an_answer_in_one_piece_has_the_calls_of_the_same_stream(client, upstream, arguments, ids):
    calls = [entry("f", arguments, id_=id_) for id_ in ids]
    upstream.answers(completion(None, tool_calls=calls))
    numbered = [call | {"index": index} for index, call in enumerate(calls)]
    upstream.streams(*[chunk({"tool_calls": [call]}) for call in numbered], *stream_of()[1:])

    plain = client.post("/api/chat", json=HI).json
    streamed = events_of(client.post("/api/chat/stream", json=HI).data)[-1]

    assert plain["toolCalls"] == streamed["toolCalls"]
    assert len({call["id"] for call in plain["toolCalls"]}) == 2
    city = BERN if arguments in (BERN, {"city": "Bern"}) else "{}"
    assert [call["function"]["arguments"] for call in plain["toolCalls"]] == [city] * 2


@pytest.mark.parametrize(
    "calls", ["f", {"f": 1}, ["f"], [entry(arguments="{}", id_="a")], [{"id": "a", "function": "f"}]]
)
@pytest.mark.chat_form
def test_what_is_no_call_is_no_answer(client, upstream, calls):
    upstream.answers(completion("x", tool_calls=calls))
    upstream.streams(chunk({"content": "x"}), chunk({"tool_calls": calls}), *stream_of()[1:])

    assert client.post("/api/chat", json=HI).json["code"] == "upstream_failed"
    assert events_of(client.post("/api/chat/stream", json=HI).data)[-1]["code"] == "upstream_failed"


def test_a_name_repeated_with_each_piece_costs_no_more_than_the_pieces(monkeypatch):
    parsed = []
    monkeypatch.setattr("app.openai_service.answers.tool_calls.orjson.loads", parsed.append)
    calls = ToolCalls()
    for piece in ['{"a":"', *["x" * 100] * 10_000]:
        calls.add([entry("f", piece)])

    assert parsed == []
    assert len(calls.finish()[0]["function"]["arguments"]) == 1_000_006


def test_endless_calls_are_no_answer():
    calls = ToolCalls()
    with pytest.raises(UpstreamFailed):
        for number in range(2_000):
            calls.add([entry("f", "{}", id_=str(number))])


@pytest.mark.parametrize("arguments", ['{"a":1}', {"a": 1}], ids=["text", "object"])
def test_a_function_call_as_it_was_before_tools_is_a_tool_call(arguments):
    answer = completion("", finish_reason="function_call")
    answer["choices"][0]["message"] |= {"content": None, "function_call": {"name": "f", "arguments": arguments}}
    plain = parse_completion(answer, CallRecord("r", "chat", "m"))
    deltas = [{"name": "f", "arguments": ""}, *[{"arguments": piece} for piece in ('{"a"', ":1}")]]
    if not isinstance(arguments, str):
        deltas = [{"name": "f", "arguments": arguments}]
    reader, events = ChunkReader(), []
    pieces = [chunk({"role": "assistant", "content": None, "function_call": delta}) for delta in deltas]
    reader.feed(sse(*pieces, chunk(finish_reason="function_call"), "[DONE]"), events)

    assert plain.tool_calls == events[-1].tool_calls
    assert (plain.finish_reason, events[-1].finish_reason) == ("tool_calls", "tool_calls")
    assert [(name, json.loads(written)) for _, name, written in told(plain.tool_calls)] == [("f", {"a": 1})]


@pytest.mark.parametrize("nothing", [None, {}, "", []])
def test_an_empty_function_call_is_none(nothing):
    answer = completion("Hi")
    answer["choices"][0]["message"]["function_call"] = nothing

    assert parse_completion(answer, CallRecord("r", "chat", "m")).tool_calls == []


SPELLINGS = st.sampled_from(["string", "object", "pieces"])
REASONS = st.sampled_from(["stop", "tool_calls", "function_call", "eos", "TOOL_USE", "odd"])
CALLS = st.lists(
    st.tuples(
        st.sampled_from(["f", "g"]),
        st.dictionaries(st.sampled_from("ab"), st.integers(-(2**53), 2**53), min_size=1),
    ),
    max_size=4,
)


@generated(cases=150, quickly=10)
@given(CALLS, SPELLINGS, st.booleans(), st.booleans(), REASONS, st.text(max_size=5))
def test_any_answer_is_the_same_plain_and_streamed_and_is_valid_history(
    meant, spelling, has_ids, has_index, reason, text
):
    whole, chunks = [], []
    for number, (name, arguments) in enumerate(meant):
        written = json.dumps(arguments)
        index = number if has_index else 0
        id_ = f"id{number}" if has_ids else None
        whole.append(entry(name, arguments if spelling == "object" else written, id_=id_))
        if spelling == "pieces":
            chunks += [[entry(name, "", id_=id_, index=index)]] if has_ids or has_index else []
            first = entry(None if chunks and (has_ids or has_index) else name, written[:3], index=index)
            chunks += [[first], [entry(arguments=written[3:], index=index)]]
        else:
            chunks.append([whole[-1] | {"index": index}])
    answer = completion(text, tool_calls=whole, finish_reason=reason)
    plain = parse_completion(json.loads(json.dumps(answer)), CallRecord("r", "chat", "m"))
    reader, events = ChunkReader(), []
    pieces = [chunk({"content": letter}) for letter in text] + [chunk({"tool_calls": deltas}) for deltas in chunks]
    reader.feed(sse(*pieces, chunk(finish_reason=reason), "[DONE]"), events)
    done = events[-1]

    assert done.tool_calls == plain.tool_calls
    assert done.finish_reason == plain.finish_reason
    assert [(name, json.loads(arguments)) for _, name, arguments in told(plain.tool_calls)] == meant
    if text or meant:
        turn = {"role": "assistant", "content": text} | ({"toolCalls": plain.tool_calls} if meant else {})
        results = [{"role": "tool", "toolCallId": call["id"], "content": ""} for call in plain.tool_calls]
        history = [{"role": "user", "content": "Hi"}, turn, *results, {"role": "user", "content": "And?"}]
        build_turns(TypeAdapter(Messages).validate_python(history))
