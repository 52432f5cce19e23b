"""What a message says, however its server spells it: the same in an answer in one piece and in a stream."""

from __future__ import annotations

import json

import pytest

from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import chunk, completion, sse, stream_of
from tests.fakes.wire.bodies import EVERY_SMALLEST, SMALLEST, USER
from tests.fakes.wire.reading import events_of

pytestmark = [pytest.mark.one_attempt, pytest.mark.chat_form]

TEXT = {"type": "text", "text": '{"a": 1}'}
THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}, {"type": "text", "text": "m."}]}
CONTENTS = {
    "a text": ('{"a": 1}', ""),
    "parts of Mistral": ([THOUGHT, TEXT], "Hmm."),
    "a thought as a text": ([{"type": "thinking", "thinking": "Hmm."}, TEXT], "Hmm."),
    "a thought that is signed": ([{**THOUGHT, "closed": True, "signature": "s"}, TEXT], "Hmm."),
    "two texts": ([{"type": "text", "text": '{"a":'}, {"type": "text", "text": " 1}"}], ""),
    "a reference": ([TEXT, {"type": "reference", "reference_ids": [1]}], ""),
    "parts of the Responses API": ([{"type": "output_text", "text": '{"a": 1}', "annotations": []}], ""),
    "texts alone": (['{"a":', " 1}"], ""),
    "one part": (TEXT, ""),
    "no type": ([{"text": '{"a": 1}'}], ""),
    "a picture beside it": ([TEXT, {"type": "image_url", "image_url": {"url": "x"}}], ""),
}
ROUTES = ["/api/chat", "/api/vision", "/api/structured"]


def deltas_of(client, upstream, *pieces):
    """The deltas of a stream of /v1/chat/completions, which has the reasoning as well."""
    upstream.streams_bytes(pieces)
    body = {"messages": [USER], "stream": True}
    lines = client.post("/v1/chat/completions", json=body).data.splitlines()
    chunks = [json.loads(line[6:]) for line in lines if line.startswith(b"data: {")]
    return [choice["delta"] for each in chunks for choice in each["choices"]]


def joined(deltas, name):
    return "".join(delta.get(name) or "" for delta in deltas)


def streamed_events(client, upstream, route, *deltas):
    upstream.streams(*map(chunk, deltas), *stream_of()[1:])
    with client.post(f"{route}/stream", json=SMALLEST[f"{route}/stream"]) as answer:
        return events_of(answer.data)


@each_row(("content", "thought"), CONTENTS.values(), ids=CONTENTS)
@each_row("route", ROUTES)
def test_a_content_is_read_in_one_piece_and_as_a_stream(client, upstream, route, content, thought):
    upstream.answers(completion(content))

    plain = client.post(route, json=SMALLEST[route]).json
    events = streamed_events(client, upstream, route, {"content": content})

    if route == "/api/structured":
        assert plain["data"] == events[-1]["data"] == {"a": 1}
    else:
        assert plain["reply"] == '{"a": 1}' == "".join(event.get("token", "") for event in events)
    deltas = deltas_of(client, upstream, sse(chunk({"content": content}), *stream_of()[1:]))
    assert (joined(deltas, "content"), joined(deltas, "reasoning_content")) == ('{"a": 1}', thought)


@pytest.mark.parametrize("route", ["/v1/chat/completions", "/v1/responses"])
def test_parts_are_one_text_for_openais_clients(client, upstream, route):
    upstream.answers(completion([THOUGHT, TEXT]))
    body = EVERY_SMALLEST[route]

    plain = client.post(route, json=body).json

    said = (
        plain["output"][-1]["content"][0]["text"]
        if "output" in plain
        else plain["choices"][0]["message"]["content"]
    )
    assert said == '{"a": 1}'
    upstream.streams(chunk({"content": [THOUGHT]}), chunk({"content": [TEXT]}), *stream_of()[1:])
    streamed = client.post(route, json={**body, "stream": True}).get_data(as_text=True)
    assert "error" not in streamed.replace('"error":null', "")
    assert '{\\"a\\": 1}' in streamed


REASONINGS = {
    "DeepSeek": {"reasoning_content": "Hmm.", "content": None},
    "OpenRouter": {"reasoning": "Hmm.", "reasoning_details": [{"type": "reasoning.text", "text": "Hmm."}]},
    "OpenRouter's details": {
        "content": "",
        "reasoning_details": [{"type": "reasoning.text", "text": "Hmm.", "index": 0}],
    },
    "a summary": {"reasoning": None, "reasoning_details": [{"type": "reasoning.summary", "summary": "Hmm."}]},
    "both names": {"reasoning_content": "Hmm.", "reasoning": "Hmm."},
    "an empty one first": {"reasoning_content": "", "reasoning": "Hmm."},
    "Ollama": {"thinking": "Hmm.", "content": ""},
    "an object": {"reasoning": {"type": "text", "text": "Hmm."}},
    "parts": {"reasoning_content": [{"type": "text", "text": "Hmm."}]},
}


@each_row("delta", REASONINGS.values(), ids=REASONINGS)
def test_reasoning_is_read_under_each_of_its_names(client, upstream, delta):
    deltas = deltas_of(client, upstream, sse(chunk(delta), chunk({"content": "Yes"}), *stream_of()[1:]))

    assert (joined(deltas, "reasoning_content"), joined(deltas, "content")) == ("Hmm.", "Yes")


ODD = {
    "nulls": {"refusal": None, "audio": None, "function_call": None, "tool_calls": None, "annotations": None},
    "empty": {"refusal": "", "audio": {}, "function_call": {}, "tool_calls": [], "annotations": []},
    "sealed reasoning": {"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}], "reasoning": None},
    "no refusal": {"refusal": False, "reasoning": False, "reasoning_content": 0},
    "numbers": {"reasoning": 7, "name": 7},
}


@each_row("fields", ODD.values(), ids=ODD)
def test_what_says_nothing_is_passed_over(client, upstream, fields):
    upstream.answers(completion("Yes", **fields))

    assert client.post("/api/chat", json=SMALLEST["/api/chat"]).json["reply"] == "Yes"
    events = streamed_events(client, upstream, "/api/chat", fields, {"content": "Yes", **fields})
    assert [next(iter(event)) for event in events] == ["token", "done"]


NUMBERS = {
    "created": "1700000000",
    "usage": {"prompt_tokens": "9", "completion_tokens": "3", "total_tokens": "12"},
}


def test_numbers_may_be_texts(make_app, upstream, records):
    client = make_app().test_client()
    upstream.answers({**completion("Yes"), **NUMBERS})
    upstream.streams(*stream_of("Yes")[:-2], {"choices": [], **NUMBERS}, "[DONE]")

    assert client.post("/api/chat", json=SMALLEST["/api/chat"]).json["reply"] == "Yes"
    assert events_of(client.post("/api/chat/stream", json=SMALLEST["/api/chat/stream"]).data)[-1]["done"]
    assert [record.outcome for record in records] == ["complete"] * 2


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_halves_of_letters_in_parts_meet(client, upstream, size):
    deltas = [
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "a\ud83d"}]}]},
        {"content": [{"type": "thinking", "thinking": "\udc4b"}]},
        {"content": [{"type": "text", "text": "b\ud83d"}]},
        {"content": "\ude00c"},
    ]
    raw = sse(*map(chunk, deltas), *stream_of()[1:])

    told = deltas_of(client, upstream, *[raw[at : at + size] for at in range(0, len(raw), size)])

    assert (joined(told, "reasoning_content"), joined(told, "content")) == ("a👋", "b😀c")
