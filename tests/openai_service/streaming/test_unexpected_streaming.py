"""Servers that answer a stream request without streaming, or stream a plain answer: the answer counts."""

from __future__ import annotations

import json

import pytest

from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import MODEL, USAGE, chunk, completion, error, sse
from tests.fakes.upstreams.responses_form import EventStream, to_response
from tests.fakes.wire.bodies import ROUTES, SMALLEST
from tests.fakes.wire.reading import events_of

pytestmark = pytest.mark.one_attempt

CHAT = {"messages": [{"role": "user", "content": "Hi"}]}
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]
CALLS = [
    {"id": f"call_{n}", "type": "function", "function": {"name": "look", "arguments": f'{{"n":{n}}}'}}
    for n in (1, 2)
]
ANSWERS = {
    "text": completion("Hello 👋\n\ndata: x"),
    "nothing": completion(""),
    "cut": completion("Hel", finish_reason="length"),
    "filtered": completion("Hel", finish_reason="content_filter"),
    "refused": completion("", refusal="No."),
    "calls": completion(None, tool_calls=CALLS, finish_reason="tool_calls"),
    "text and calls": completion("Let me look.", tool_calls=CALLS[:1], finish_reason="tool_calls"),
    "no usage": completion("Hello", usage=None),
}
TYPES = ["application/json", "text/event-stream", "text/plain", "application/octet-stream", ""]
MANNERS = {
    "as it is": lambda body: body,
    "indented": lambda body: json.dumps(json.loads(body), indent=2).encode(),
    "CRLF": lambda body: json.dumps(json.loads(body), indent=2).replace("\n", "\r\n").encode(),
    "BOM and blank lines": lambda body: b"\xef\xbb\xbf\n\n \n" + body + b"\n\n",
    "heartbeats before": lambda body: b": waiting\n\n: waiting\n\n" + body,
}
STREAMED_ROUTES = ["/api/chat/stream", "/api/chat/openai", "/api/vision/stream", "/api/structured/stream"]
PLAIN_ROUTES = [route for route in ROUTES if route not in STREAMED_ROUTES and "embeddings" not in route]


@pytest.fixture(params=["chat", "responses"])
def upstream_api(request):
    return request.param


@pytest.fixture
def in_form(upstream_api):
    """Writes an answer, and a stream, as the endpoint does that is asked."""
    is_response = upstream_api == "responses"

    def write(answer, *, stream):
        if not stream:
            return json.dumps(to_response(answer) if is_response and "choices" in answer else answer).encode()
        choice = answer["choices"][0]
        delta = {name: value for name, value in choice["message"].items() if value is not None}
        if "tool_calls" in delta:
            delta["tool_calls"] = [{"index": at, **call} for at, call in enumerate(delta["tool_calls"])]
        end = chunk(finish_reason=choice["finish_reason"])
        usage = [{**chunk(), "choices": [], "usage": answer["usage"]}] if answer["usage"] else []
        body = sse(chunk(delta), end, *usage, "[DONE]")
        return b"".join(EventStream().convert([body])) if is_response else body

    return write


def told_plain(client):
    answer = client.post("/api/chat", json={**CHAT, "tools": TOOLS})
    assert answer.status_code == 200, answer.text
    told = answer.json
    return told["reply"] or told.get("refusal", ""), told.get("toolCalls", []), told["finishReason"], told["usage"]


def told_streamed(client):
    answer = client.post("/api/chat/stream", json={**CHAT, "tools": TOOLS})
    assert answer.status_code == 200, answer.text
    *events, done = events_of(answer.data)
    assert done["done"] is True, done
    text = "".join(event.get("token", "") + event.get("refusal", "") for event in events)
    calls = [call for event in [*events, done] for call in event.get("toolCalls", [])]
    return text, calls, done["finishReason"], done["usage"]


@pytest.fixture
def client(records, make_app):
    return make_app().test_client()


@each_row("name", ANSWERS)
def test_each_answer_is_told_alike_however_it_comes(client, upstream, records, in_form, name):
    records.clear()
    upstream.sent.clear()
    told = []
    for ask in (told_plain, told_streamed):
        for stream in (False, True):
            upstream.answers(in_form(ANSWERS[name], stream=stream))
            told.append(ask(client))

    assert told == [told[0]] * 4
    expected = ANSWERS[name]["choices"][0]
    assert told[0][1:] == (
        expected["message"].get("tool_calls", []), expected["finish_reason"], ANSWERS[name]["usage"],
    )  # fmt: skip
    assert len(upstream.sent) == 4
    assert [(each.outcome, each.usage and each.usage.raw, each.attempts) for each in records] == [
        ("complete", records[0].usage and records[0].usage.raw, 1)
    ] * 4


@each_row("manner", MANNERS)
@each_row("content_type", TYPES)
def test_the_body_counts_and_not_what_it_is_called(client, upstream, in_form, content_type, manner):
    body = MANNERS[manner](in_form(ANSWERS["text and calls"], stream=False))
    upstream.answers(body, headers={"Content-Type": content_type})

    text, _, _, usage = told_streamed(client)
    assert (text, usage) == ("Let me look.", USAGE)


@pytest.mark.parametrize("size", [1, 7])
@pytest.mark.chat_form
def test_it_may_come_in_pieces(upstream, client, in_form, size):
    body = json.dumps(json.loads(in_form(ANSWERS["text and calls"], stream=False)), indent=1).encode()
    upstream.otherwise = lambda _: upstream.event_stream(
        [body[at : at + size] for at in range(0, len(body), size)]
    )

    assert told_streamed(client)[:2] == ("Let me look.", CALLS[:1])


@each_row("route", STREAMED_ROUTES)
def test_every_route_that_streams_takes_one_piece(client, upstream, in_form, route):
    upstream.answers(in_form(completion('{"a": 1}'), stream=False))

    answer = client.post(route, json=SMALLEST[route])

    assert answer.status_code == 200
    assert b"a" in answer.data
    assert b'"error"' not in answer.data


@each_row("route", PLAIN_ROUTES)
def test_every_plain_route_takes_a_stream(client, upstream, in_form, route):
    upstream.answers(in_form(completion('{"a": 1}'), stream=True), headers={"Content-Type": "text/event-stream"})

    answer = client.post(route, json=SMALLEST[route])

    assert answer.status_code == 200, answer.text
    assert answer.headers["X-Model"] == MODEL


@pytest.fixture
def patient(make_app):
    """A client for which no failure opens a circuit."""
    return make_app(breaker_failures=1_000).test_client()


@each_row("route", ["/api/chat", "/api/chat/stream"])
@each_row(
    ("body", "status", "code"),
    [
        (error("x", code="rate_limit_exceeded"), 503, "upstream_rate_limited"),
        (error("x", kind="server_error"), 502, "upstream_failed"),
        (error("x", code="content_filter"), 422, "content_filter"),
        ({"detail": "Not Found"}, 502, "upstream_failed"),
        ({"choices": []}, 502, "upstream_failed"),
        ({}, 502, "upstream_failed"),
        (completion("Hel", finish_reason="abort"), 502, "upstream_truncated"),
    ],
)
@pytest.mark.chat_form
def test_what_is_no_answer_is_told_alike(patient, upstream, route, body, status, code):
    upstream.answers(body)
    answer = patient.post(route, json=CHAT)
    if answer.status_code == 200:
        *_, last = events_of(answer.data)
        assert (last["code"], route) == (code, "/api/chat/stream")
    else:
        assert (answer.status_code, answer.json["code"]) == (status, code)


@pytest.mark.chat_form
def test_a_whole_answer_in_a_single_event_is_told(client, upstream):
    upstream.streams(completion("Hello"), "[DONE]")
    assert told_streamed(client)[0] == "Hello"

    upstream.streams(chunk({"content": "Hello"}), completion("Hello"), "[DONE]")
    assert told_streamed(client)[0] == "Hello", "once, though it is repeated at the end"


def test_a_stream_that_breaks_off_is_no_whole_answer(make_app, upstream, records, in_form, upstream_api):
    body = in_form(completion("Hello"), stream=True)
    end = body.index(b'"finish_reason": "stop"' if upstream_api == "chat" else b'"response.completed"')
    upstream.answers(body[: body.rindex(b"\n\n", 0, end) + 2])

    assert make_app().test_client().post("/api/chat", json=CHAT).status_code == 502
    assert [record.outcome for record in records] == ["upstream_truncated"]
