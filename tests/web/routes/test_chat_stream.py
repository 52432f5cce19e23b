from __future__ import annotations

import httpx2
import pytest

from tests.conftest import over_both_endpoints
from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import USAGE, chunk, error, stream_of
from tests.fakes.wire.reading import events_of

pytestmark = over_both_endpoints

CHAT = {"messages": [{"role": "user", "content": "Hi"}]}


def test_tokens_come_one_by_one_and_then_done(client, upstream):
    upstream.streams(*stream_of("Hel", "lo"))

    answer = client.post("/api/chat/stream", json=CHAT)

    assert events_of(answer.data) == [
        {"token": "Hel"},
        {"token": "lo"},
        {
            "done": True,
            "finishReason": "stop",
            "usage": USAGE,
            "model": "gpt-6.1-terra-2026-10-01",
            "id": "chatcmpl-1",
        },
    ]
    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert answer.headers["X-Model"] == "gpt-6.1-terra-2026-10-01"
    assert upstream.sent[0].body["stream_options"] == {"include_usage": True}
    assert upstream.open_streams == 0


def test_a_refusal_before_the_first_token_keeps_its_status(client, upstream):
    upstream.answers(error(code="context_length_exceeded"), status=400)

    answer = client.post("/api/chat/stream", json=CHAT)

    assert (answer.status_code, answer.json["code"]) == (400, "context_length_exceeded")


@pytest.mark.one_attempt
def test_an_error_inside_the_stream_before_the_first_token_keeps_a_status(client, upstream):
    upstream.streams(chunk({"role": "assistant"}), error(code="rate_limit_exceeded"))

    answer = client.post("/api/chat/stream", json=CHAT)

    assert (answer.status_code, answer.json["code"]) == (503, "upstream_rate_limited")


def test_an_error_after_tokens_is_an_event_behind_them(client, upstream, records, make_app):
    upstream.streams(*stream_of("Hel")[:2], error("secret words", code="server_error"))

    answer = make_app().test_client().post("/api/chat/stream", json=CHAT, headers={"X-Request-ID": "r1"})

    token, failure = events_of(answer.data)
    assert token == {"token": "Hel"}
    assert (failure["code"], failure["requestId"], "secret" in failure["error"]) == (
        "upstream_failed",
        "r1",
        False,
    )
    assert [record.outcome for record in records] == ["upstream_error"]
    assert upstream.open_streams == 0


def test_a_stream_that_ends_without_a_finish_reason_or_mark_is_not_done(client, upstream):
    upstream.streams(*stream_of("Hel", finish_reason=None, usage=None, done=False))

    events = events_of(client.post("/api/chat/stream", json=CHAT).data)

    assert [event.get("code") for event in events] == [None, "upstream_truncated"]


def test_a_connection_that_breaks_mid_stream_is_an_event(client, upstream):
    upstream.streams_bytes([b'data: {"choices":[{"delta":{"content":"Hel"}}]}\n\n', httpx2.ReadError("gone")])

    events = events_of(client.post("/api/chat/stream", json=CHAT).data)

    assert [event.get("code") for event in events] == [None, "upstream_failed"]


@pytest.mark.chat_form
@each_row("size", [1, 2, 3, 7, 64])
@each_row("line_end", ["\n", "\r\n", "\r"])
def test_bytes_may_be_cut_anywhere(client, upstream, size, line_end):
    payload = b": hello\n\nevent: x\ndata: %b\n\n" % '{"choices":[{"delta":{"content":"Ж\u2028é"}}]}'.encode()
    payload += b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    payload = payload.replace(b"\n", line_end.encode())
    upstream.streams_bytes([payload[start : start + size] for start in range(0, len(payload), size)])

    token, done = events_of(client.post("/api/chat/stream", json=CHAT).data)

    assert token == {"token": "Ж\u2028é"}
    assert done["done"] is True


def test_tool_calls_in_fragments_are_whole_in_done(client, upstream):
    first = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}
    upstream.streams(
        chunk({"tool_calls": [first]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]}),
        chunk(finish_reason="tool_calls"),
        "[DONE]",
    )
    tools = [{"type": "function", "function": {"name": "f"}}]

    [done] = events_of(client.post("/api/chat/stream", json=CHAT | {"tools": tools}).data)

    assert done["toolCalls"] == [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    ]
    assert done["finishReason"] == "tool_calls"


def test_a_reader_who_leaves_closes_the_upstream_and_leaves_a_record(make_app, upstream, records):
    upstream.streams(*stream_of("a", "b", "c"))
    answer = make_app().test_client().post("/api/chat/stream", json=CHAT, buffered=False)

    next(answer.response)
    answer.close()

    assert upstream.open_streams == 0
    assert [record.outcome for record in records] == ["client_gone"]


def test_a_reader_who_leaves_before_the_first_byte_leaves_a_record_too(make_app, upstream, records):
    upstream.streams(*stream_of("a"))

    make_app().test_client().post("/api/chat/stream", json=CHAT, buffered=False).close()

    assert upstream.open_streams == 0
    assert [record.outcome for record in records] == ["client_gone"]


def test_bare_text_is_streamed_for_pages_that_read_nothing_else(client, upstream):
    upstream.streams(*stream_of("Hel", "lo"))

    answer = client.post(
        "/api/chat/openai", json={"chatSettings": {"model": "gpt-6-luna", "temperature": 1}, **CHAT}
    )

    assert answer.text == "Hello"
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert upstream.sent[0].body["model"] == "gpt-6-luna"


@pytest.mark.one_attempt
def test_errors_of_the_bare_text_route_are_a_message(client, upstream):
    upstream.answers(error(), status=429, headers={"Retry-After": "7"})

    answer = client.post("/api/chat/openai", json={"chatSettings": {}, **CHAT})

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
    assert list(answer.json) == ["message"]


def test_one_stream_too_many_is_refused_at_once_and_leaves_no_record(make_app, upstream, records):
    client = make_app(max_concurrent_streams=1).test_client()
    for _ in range(2):
        upstream.streams(*stream_of("a"))
    first = client.post("/api/chat/stream", json=CHAT, buffered=False)

    refused = client.post("/api/chat/stream", json=CHAT)

    assert (refused.status_code, refused.json["code"]) == (503, "concurrency_limit")
    assert (refused.headers["Retry-After"], refused.headers["Retry-After-Ms"]) == ("1", "1000")
    assert (len(upstream.sent), records) == (1, [])
    assert first.data
    first.close()
    assert client.post("/api/chat/stream", json=CHAT).status_code == 200
