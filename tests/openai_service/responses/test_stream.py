"""Streams of /responses as OpenAI and worse servers send them: the same answer, or a clear error."""

from __future__ import annotations

import json
import random

import pytest

from app.openai_service.errors import (
    ContentFiltered,
    InvalidImage,
    UpstreamError,
    UpstreamFailed,
    UpstreamRateLimited,
    UpstreamTruncated,
)
from app.openai_service.responses.event_order import EventOrder
from app.openai_service.responses.stream import ResponseReader
from app.openai_service.streaming.events import Done, Reasoning, Refusal, Token, ToolCallDelta
from tests.fakes.upstreams.openai_answers import USAGE
from tests.fakes.upstreams.responses_form import function_call, message, reasoning, response

CALLS = [
    function_call("call_a", "f", '{"x":1}', id_="fc_a"),
    function_call("call_b", "g", '{"y":"é"}', id_="fc_b"),
]


def numbered(events):
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


def begun(**fields):
    return [
        {"type": f"response.{kind}", "response": response("in_progress", usage=None, **fields)}
        for kind in ("created", "in_progress")
    ]


def grown(place, item, *deltas, kind="output_text"):
    """The events of one item, whose text or arguments come in pieces."""
    name = f"response.{kind}.delta"
    where = {"item_id": item["id"], "output_index": place, "content_index": 0}
    if kind != "output_text":
        del where["content_index"]
    empty = {**item, "content": []} if item["type"] == "message" else {**item, "arguments": ""}
    return [
        {"type": "response.output_item.added", "output_index": place, "item": empty},
        *[{"type": name, **where, "delta": delta, "obfuscation": "xyz"} for delta in deltas],
        {"type": "response.output_item.done", "output_index": place, "item": item},
    ]


def ended(*output, status="completed", **fields):
    return [{"type": f"response.{status}", "response": response(status, *output, **fields)}]


def text_stream(*deltas):
    item = message("".join(deltas))
    return numbered([*begun(), *grown(0, item, *deltas), *ended(item)])


def tool_stream():
    thought = reasoning("gAAA", id_="rs_1")
    events = [
        *begun(),
        {"type": "response.output_item.added", "output_index": 0, "item": {**thought, "encrypted_content": "g"}},
        {"type": "response.output_item.done", "output_index": 0, "item": thought},
    ]
    first = grown(1, CALLS[0], '{"x"', ":1}", kind="function_call_arguments")
    second = grown(2, CALLS[1], '{"y":"', 'é"}', kind="function_call_arguments")
    woven = [event for pair in zip(first, second, strict=True) for event in pair]
    return numbered([*events, *woven, *ended(thought, *CALLS)])


def encode(events):
    return b"".join(
        f"event: {event['type']}\ndata: {json.dumps(event, separators=(',', ':'))}\n\n".encode()
        for event in events
    )


def read(data, *, piece=None):
    """The events of a body that arrives in pieces of a size, and the reader."""
    data = data if isinstance(data, bytes) else encode(data)
    reader, events = ResponseReader("gpt-6.1-terra"), []
    for at in range(0, len(data), piece or len(data) or 1):
        reader.feed(data[at : at + (piece or len(data))], events)
        if reader.is_done:
            return events, reader
    reader.end(events)
    return events, reader


def text_of(events):
    return "".join(event.text for event in events if type(event) is Token)


@pytest.mark.parametrize("piece", [1, 7, 100, 1_000, None])
def test_a_text(piece):
    events, reader = read(text_stream("Hel", "lo ", 'a "quote" \\ and é', "\n", "🎈"), piece=piece)

    assert text_of(events) == 'Hello a "quote" \\ and é\n🎈'
    done = events[-1]
    assert (done.finish_reason, done.usage.raw, done.model) == ("stop", USAGE, "gpt-6.1-terra-2026-10-01")
    assert done.id.startswith("chatcmpl-")
    assert reader.usage == done.usage


def test_most_of_a_text_is_not_parsed():
    _, reader = read(text_stream(*["word"] * 100))
    assert reader.chunks == 6  # two at its beginning, its item's two ends, its first piece, its end


def test_a_text_of_json_that_looks_like_an_event_is_a_text():
    said = '{"type":"response.completed","sequence_number":1},"delta":"x","item_id":"msg_1"'
    events, _ = read(text_stream("a", said, "b"))
    assert text_of(events) == f"a{said}b"


@pytest.mark.parametrize("piece", [1, 50, None])
def test_parallel_calls_and_the_reasoning_before_them(piece):
    events, _ = read(tool_stream(), piece=piece)

    deltas = [event for event in events if type(event) is ToolCallDelta]
    assert [(delta.position, delta.id, delta.name) for delta in deltas if delta.name] == [
        (0, "call_a", "f"),
        (1, "call_b", "g"),
    ]
    pieces = ["".join(delta.arguments for delta in deltas if delta.position == place) for place in (0, 1)]
    assert pieces == ['{"x":1}', '{"y":"é"}']
    done = events[-1]
    assert done.finish_reason == "tool_calls"
    assert done.tool_calls == [
        {"id": call["call_id"], "type": "function", "function": {"name": call["name"], "arguments": arguments}}
        for call, arguments in zip(CALLS, pieces, strict=True)
    ]
    [kept] = done.reasoning_items
    assert (kept["model"], kept["at"]) == ("gpt-6.1-terra", 0)
    assert kept["item"] == {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}


@pytest.mark.parametrize("make", [tool_stream, lambda: text_stream("a", "b", "c")], ids=["calls", "text"])
def test_a_stream_cut_at_any_event_is_truncated_and_has_no_calls(make):
    events = make()
    for end in range(1, len(events)):
        reader, told = ResponseReader("m"), []
        reader.feed(encode(events[:end]), told)
        with pytest.raises(UpstreamTruncated):
            reader.end(told)
        assert not any(type(event) is Done for event in told)
        assert reader.usage is None


def test_only_events_that_are_still_buffered_count_towards_its_limit():
    order = EventOrder()
    events = [b'{"type":"x","pad":"%b","sequence_number":%d}' % (b"x" * 100_000, number) for number in range(60)]

    for first, second in zip(events[::2], events[1::2], strict=True):
        assert [*order.arrange(second), *order.arrange(first)] == [first, second]
    assert order.arrange(events[-2]) == ()


@pytest.mark.parametrize("make", [tool_stream, lambda: text_stream("a", "b", "c")], ids=["calls", "text"])
@pytest.mark.parametrize("disorder", ["twice", "twice over", "two swapped", "shuffled"])
def test_numbered_events_may_come_twice_and_in_any_order(make, disorder):
    events = make()
    expected, _ = read(events)
    orders = {
        "twice": [[event for each in events for event in (each, each)]],
        "twice over": [[*events[:-1], *events]],
        "two swapped": [
            [*events[:at], *reversed(events[at : at + 2]), *events[at + 2 :]] for at in range(len(events) - 1)
        ],
        "shuffled": [[events[0], *random.Random(seed).sample(events[1:], len(events) - 1)] for seed in range(20)],
    }
    for order in orders[disorder]:
        told, _ = read(order)
        assert text_of(told) == text_of(expected)
        assert told[-1]._replace(id="") == expected[-1]._replace(id="")


@pytest.mark.parametrize("number", [None, 0, 7])
def test_servers_that_do_not_number_their_events_are_taken_as_they_come(number):
    events = text_stream("ha", "ha", "ha")
    for event in events:
        del event["sequence_number"]
        if number is not None:
            event["sequence_number"] = number
    assert text_of(read(events)[0]) == "hahaha"[: None if number is None else 6]


def test_an_event_that_is_left_out_on_the_way_holds_nothing_up_for_long():
    events = text_stream(*[f"{number} " for number in range(50)])
    del events[1]
    reader, told = ResponseReader("m"), []
    reader.feed(encode(events[:30]), told)
    assert text_of(told).startswith("0 1 2 ")
    reader.feed(encode(events[30:]), told)
    assert text_of(told) == "".join(f"{number} " for number in range(50))


def test_what_is_said_before_the_answer_is_no_text_of_it_and_goes_back_to_the_model():
    aside = message("I will look it up.", id_="msg_0", phase="commentary")
    answer = message("It rains.", id_="msg_1", phase="final_answer")
    events, _ = read(
        numbered(
            [
                *begun(),
                *grown(0, aside, "I will ", "look it up."),
                *grown(1, answer, "It ", "rains."),
                *ended(aside, answer),
            ]
        )
    )

    assert text_of(events) == "It rains."
    assert [event.text for event in events if type(event) is Reasoning] == ["I will ", "look it up."]
    [kept] = events[-1].reasoning_items
    assert (kept["item"]["phase"], kept["item"]["content"][0]["text"]) == ("commentary", "I will look it up.")


@pytest.mark.parametrize("kind", ["reasoning_text", "reasoning_summary_text"])
def test_reasoning_is_never_text(kind):
    item = {"id": "rs_1", "type": "reasoning", "summary": []}
    thought = {"type": f"response.{kind}.delta", "item_id": "rs_1", "output_index": 0, "delta": "Hm."}
    answer = message("Yes")
    events, _ = read(
        numbered([*begun(), *grown(0, item)[:1], thought, *grown(1, answer, "Yes"), *ended(item, answer)])
    )
    assert [event for event in events if type(event) is Reasoning] == [Reasoning("Hm.")]
    assert text_of(events) == "Yes"


def test_a_refusal():
    item = message("", refusal="No.")
    delta = {"type": "response.refusal.delta", "item_id": "msg_1", "output_index": 0, "delta": "No."}
    added, done = grown(0, item)
    events, _ = read(numbered([*begun(), added, delta, done, *ended(item)]))
    assert [event for event in events if type(event) is Refusal] == [Refusal("No.")]
    assert events[-1].finish_reason == "stop"


@pytest.mark.parametrize(
    ("reason", "finish_reason"),
    [
        ("max_output_tokens", "length"),
        ("content_filter", "content_filter"),
        ("max_messages", "length"),
        ("steered", "length"),
        ("a word that is new", "length"),
        (None, "length"),
    ],
)
def test_an_incomplete_answer_says_why_and_has_its_usage(reason, finish_reason):
    item = message("Hel")
    details = reason and {"reason": reason}
    end = ended(item, status="incomplete", incomplete_details=details)
    events, reader = read(numbered([*begun(), *grown(0, item, "Hel"), *end]))
    assert (text_of(events), events[-1].finish_reason, reader.usage.raw) == ("Hel", finish_reason, USAGE)


def test_reasoning_that_takes_the_whole_limit_is_an_empty_answer_cut_off():
    thought = reasoning()
    end = ended(thought, status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    [told, done], _ = read(numbered([*begun(), *grown(0, thought)[1:], *end]))

    assert [entry["item"] for entry in told.items] == [thought]
    assert (done.finish_reason, done.usage.completion_tokens) == ("length", 3)


@pytest.mark.parametrize("shape", ["flat", "nested", "failed"])
@pytest.mark.parametrize(
    ("code", "kind", "status"),
    [
        ("rate_limit_exceeded", UpstreamRateLimited, 429),
        ("server_error", UpstreamFailed, None),
        ("invalid_prompt", ContentFiltered, 400),
        ("invalid_base64_image", InvalidImage, 400),
        ("something_new", UpstreamFailed, None),
        (None, UpstreamFailed, None),
    ],
)
def test_an_error_is_the_one_that_it_would_be_instead_of_the_stream(shape, code, kind, status):
    error = {"code": code, "message": "Secret", "param": None}
    event = {
        "flat": {"type": "error", **error},
        "nested": {"type": "error", "error": error},
        "failed": ended(status="failed", error=error)[0],
    }[shape]
    with pytest.raises(UpstreamError) as caught:
        read(numbered([*begun(), event]))
    assert type(caught.value) is kind
    assert caught.value.upstream_status == status
    assert caught.value.is_generation_failure
    assert (caught.value.billed_usage and caught.value.billed_usage.raw) == (USAGE if shape == "failed" else None)


def test_a_failure_may_tell_no_usage_and_no_error():
    with pytest.raises(UpstreamFailed) as caught:
        read(numbered([*begun(), *ended(status="failed", usage=None)]))
    assert caught.value.billed_usage is None


def test_another_response_in_the_stream_ends_nothing_and_costs_nothing():
    events = text_stream("a", "b")
    other = response("completed", id="resp_other", usage={"input_tokens": 1_000_000, "output_tokens": 1})
    strange = {"type": "response.completed", "response": other}
    told, reader = read(numbered([*events[:4], strange, *events[4:]]))
    assert (text_of(told), reader.usage.raw) == ("ab", USAGE)
    assert b"resp_" not in repr(told).encode()


def test_what_is_unknown_is_passed_over_and_a_sign_of_life_is_no_work():
    events = text_stream("a", "b")
    odd = [
        {"type": "keepalive"},
        {"type": "response.new_thing.delta", "delta": "?"},
        {"type": 7},
        {"type": None},
        {"type": "x", "response": 1},
    ]
    told, reader = read(numbered([*events[:3], *odd, *events[3:]]))
    assert text_of(told) == "ab"
    assert reader.chunks == read(events)[1].chunks + 4


@pytest.mark.parametrize("left", ["deltas", "deltas and items"])
def test_what_no_piece_has_told_the_end_tells(left):
    for events in (text_stream("a", "b"), tool_stream()):
        expected = read(events)[0][-1]
        dropped = (".delta",) if left == "deltas" else (".delta", "output_item.added", "output_item.done")
        kept = [event for event in events if not event["type"].endswith(dropped)]
        told, _ = read(numbered(kept))
        assert told[-1]._replace(id="") == expected._replace(id="")
        assert text_of(told) == text_of(read(events)[0])


def test_ids_that_change_from_event_to_event_are_told_apart_by_their_place():
    events = tool_stream()
    for number, event in enumerate(events):
        if "item_id" in event:
            event["item_id"] = f"odd_{number}"
    assert read(events)[0][-1].tool_calls == read(tool_stream())[0][-1].tool_calls


def test_halves_of_letters_meet_again():
    data = encode(text_stream("a", "XX", "YY", "b")).replace(b'"XX"', b'"\\ud83c"').replace(b'"YY"', b'"\\udf88"')
    data = data.replace(b"aXXYYb", "a🎈b".encode())
    for piece in (1, None):
        assert text_of(read(data, piece=piece)[0]) == "a🎈b"


@pytest.mark.parametrize("data", [b"", b": ping\n\n", b"data: [DONE]\n\n", b"data: 7\n\n", b"data: {\n\n"])
def test_no_stream_of_a_response_is_a_failure(data):
    with pytest.raises(UpstreamFailed):
        read(data)


def test_reasoning_of_ten_megabytes_is_not_kept_and_a_single_event_of_it_is_refused():
    many = [reasoning("x" * 600_000, id_=f"rs_{number}") for number in range(17)]
    call = function_call("call_1", "f")
    told, _ = read(
        numbered(
            [*begun(), *[grown(place, item)[1] for place, item in enumerate(many)], *grown(17, call)[1:], *ended()]
        )
    )
    assert told[-1].tool_calls
    assert told[-1].reasoning_items == []
    with pytest.raises(UpstreamFailed):
        read(numbered([*begun(), *grown(0, reasoning("x" * 10_000_000))[1:]]), piece=65_536)
