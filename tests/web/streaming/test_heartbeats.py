from __future__ import annotations

import time

import pytest

from tests.fakes.upstreams.openai_answers import chunk, error, sse, stream_of
from tests.fakes.wire.reading import without_padding

pytestmark = pytest.mark.one_attempt

CHAT = {"messages": [{"role": "user", "content": "Hi"}]}
SETTINGS = {"chatSettings": {}, **CHAT}

# What a reader of tokens is not told, however much of it comes.
UNTOLD = {
    "comments": b": PROCESSING\n\n",
    "reasoning": sse(chunk({"reasoning_content": "hm"})),
    "arguments of a tool": sse(chunk({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "1"}}]})),
    "nothing": b"",
}


def slowly(piece, *, times=12, pause_s=0.01):
    for _ in range(times):
        time.sleep(pause_s)
        yield piece


@pytest.mark.parametrize("untold", UNTOLD.values(), ids=UNTOLD)
def test_heartbeats_go_on_while_nothing_is_told(make_app, upstream, untold):
    client = make_app(heartbeat_s=0.03).test_client()
    begin, end = sse(*stream_of("Hel")[:2]), sse(*stream_of()[1:])
    upstream.streams_bytes(piece for part in ([begin], slowly(untold), [end]) for piece in part)

    blocks = without_padding(client.post("/api/chat/stream", json=CHAT).data).split(b"\n\n")

    assert blocks[0] == b'data: {"token":"Hel"}'
    assert 2 <= blocks.count(b": heartbeat") <= 12
    assert b'"done":true' in blocks[-2]


@pytest.mark.parametrize("untold", UNTOLD.values(), ids=UNTOLD)
def test_a_stream_whose_first_token_is_late_begins_with_a_heartbeat(make_app, upstream, untold):
    client = make_app(heartbeat_s=0.03).test_client()
    upstream.streams_bytes(piece for part in (slowly(untold), [sse(error("no"))]) for piece in part)

    answer = client.post("/api/chat/stream", json=CHAT)

    assert answer.status_code == 200
    assert answer.data.startswith(b": heartbeat\n\n")
    assert b"upstream_failed" in answer.data
    assert "X-Model" not in answer.headers


@pytest.mark.parametrize("untold", UNTOLD.values(), ids=UNTOLD)
def test_bare_text_has_no_heartbeat_and_keeps_its_status_until_there_is_text(make_app, upstream, untold):
    client = make_app(heartbeat_s=0.03).test_client()
    upstream.streams_bytes(piece for part in (slowly(untold), [sse(error("no"))]) for piece in part)

    answer = client.post("/api/chat/openai", json=SETTINGS)

    assert (answer.status_code, list(answer.json)) == (502, ["message"])


def test_an_answer_without_text_still_says_how_the_call_went(client, upstream):
    upstream.streams(*stream_of())

    answer = client.post("/api/chat/openai", json=SETTINGS)

    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.headers["X-Model"] == "gpt-6.1-terra-2026-10-01"
