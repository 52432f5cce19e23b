"""POST /api/chat with the AI SDK's messages: what the model is sent, what the page gets, and the errors that it shows."""

from __future__ import annotations

import json

import pytest

from tests.conftest import ORIGIN
from tests.fakes.person import Person
from tests.fakes.site import bearer
from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import MODEL, USAGE, chunk, completion, error, stream_of

ROUTE = "/api/chat"
TEXT = {"type": "text", "text": "Hi"}
USER = {"id": "m1", "role": "user", "parts": [TEXT]}
CHAT = {"id": "chat1", "messages": [USER], "trigger": "submit-message"}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]


def read(answer):
    """The chunks of a stream, which ends as the SDK's own do."""
    assert answer.status_code == 200, answer.text
    events = [event for event in answer.data.decode().split("\n\n") if event and not event.startswith(":")]
    assert all(event.startswith("data: ") for event in events)
    assert events.pop() == "data: [DONE]"
    chunks = [json.loads(event[6:]) for event in events]
    return [{name: value for name, value in chunk.items() if name != "p"} for chunk in chunks]  # the padding


def sentence_of(answer):
    """The error that a page shows: the body as it is."""
    assert answer.content_type == "text/plain; charset=utf-8"
    assert answer.headers["X-Request-ID"]
    text = answer.data.decode()
    assert text
    assert not set('{}"\n') & set(text)
    return answer.status_code, text


def ask(client, *messages, **fields):
    answer = client.post(ROUTE, json={**CHAT, "messages": list(messages) or [USER], **fields})
    answer.get_data()  # a stream that nobody reads goes on for a while, and counts
    return answer


def assistant(*parts, **fields):
    return {"id": "m2", "role": "assistant", "parts": list(parts), **fields}


def tool(state="output-available", name="weather", **fields):
    part = {"type": f"tool-{name}", "toolCallId": "call_1", "state": state, "input": {"in": "Oslo"}, **fields}
    return {"output": "rain", **part} if state == "output-available" else part


def called(arguments='{"in":"Oslo"}', content="", id="call_1", name="weather"):  # noqa: A002
    call = {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
    return {"role": "assistant", "content": content or None, "tool_calls": [call]}


def result(content, id="call_1"):  # noqa: A002
    return {"role": "tool", "tool_call_id": id, "content": content}


class TestStream:
    def test_text_is_one_part_of_one_step(self, client, upstream):
        upstream.streams(*stream_of("Hel", "lo"))

        answer = ask(client)

        start, *between, finish = read(answer)
        assert start == {"type": "start", "messageId": start["messageId"]}
        assert start["messageId"].startswith("msg_")
        assert between == [
            {"type": "start-step"},
            {"type": "text-start", "id": "1"},
            {"type": "text-delta", "id": "1", "delta": "Hel"},
            {"type": "text-delta", "id": "1", "delta": "lo"},
            {"type": "text-end", "id": "1"},
            {"type": "finish-step"},
        ]
        assert (finish["type"], finish["finishReason"]) == ("finish", "stop")
        metadata = finish["messageMetadata"]
        assert (metadata["usage"], metadata["model"], metadata["id"]) == (USAGE, MODEL, "chatcmpl-1")
        assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["Cache-Control"] == "no-cache"
        assert answer.headers["x-vercel-ai-ui-message-stream"] == "v1"
        assert answer.headers["X-Accel-Buffering"] == "no"
        assert answer.headers["X-Model"] == MODEL

    def test_the_cost_is_that_of_the_ledger_with_that_of_earlier_attempts(self, make_app, upstream):
        person = Person(make_app(retry_max_attempts=2))
        upstream.streams(error(code="server_error"))
        upstream.streams(*stream_of("Hello"))

        chunks = read(person.post(ROUTE, CHAT))

        assert chunks[-1]["messageMetadata"]["costMicroUsd"] == person.row()["cost_micro_usd"] > 0

    def test_a_letter_whose_halves_come_apart_is_whole(self, client, upstream):
        halves = [json.dumps("😀")[1:7], json.dumps("😀")[7:13]]
        upstream.streams(
            *(json.dumps(chunk({"content": "?"})).replace("?", half) for half in halves),
            chunk(finish_reason="stop"),
        )

        deltas = [each["delta"] for each in read(ask(client)) if each["type"] == "text-delta"]

        assert deltas == ["😀"]

    def test_an_answer_goes_on_in_the_message_that_it_began_in(self, client, upstream):
        upstream.streams(*stream_of("It rains."))

        chunks = read(ask(client, USER, assistant(tool())))

        assert chunks[0] == {"type": "start", "messageId": "m2"}

    def test_calls_of_the_pages_own_tools(self, client, upstream):
        first = {"index": 0, "id": "c1", "type": "function", "function": {"name": "weather", "arguments": ""}}
        upstream.streams(
            chunk({"tool_calls": [first]}),
            chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"in"'}}]}),
            chunk({"tool_calls": [{"index": 0, "function": {"arguments": ':"Oslo"}'}}]}),
            chunk(finish_reason="tool_calls"),
            "[DONE]",
        )

        chunks = read(ask(client, tools=TOOLS))

        assert chunks[2:-2] == [
            {"type": "tool-input-start", "toolCallId": "c1", "toolName": "weather"},
            {"type": "tool-input-delta", "toolCallId": "c1", "inputTextDelta": '{"in"'},
            {"type": "tool-input-delta", "toolCallId": "c1", "inputTextDelta": ':"Oslo"}'},
            {"type": "tool-input-available", "toolCallId": "c1", "toolName": "weather", "input": {"in": "Oslo"}},
        ]
        assert chunks[-1]["finishReason"] == "tool-calls"
        assert upstream.sent[0].body["tools"] == TOOLS

    @pytest.mark.one_attempt
    def test_a_failure_after_the_first_token_is_an_event(self, client, upstream):
        upstream.streams(*stream_of("Hel")[:2], error("secret words", code="server_error"))

        *_, end, failure = read(ask(client))

        assert end == {"type": "text-end", "id": "1"}
        assert (failure["type"], failure["code"]) == ("error", "upstream_failed")
        assert failure["errorText"] == "The model could not be reached or did not answer properly."

    @pytest.mark.chat_form
    def test_the_fields_of_a_chat_are_taken_beside_the_messages(self, client, upstream):
        upstream.streams(*stream_of("Hello"))

        ask(
            client, model="gpt-6.1-terra", maxTokens=7, systemPrompt="Be brief.", messageId="m0", metadata={"a": 1}
        )

        sent = upstream.sent[0].body
        assert (sent["model"], sent["max_completion_tokens"]) == ("gpt-6.1-terra", 7)
        assert sent["messages"] == [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
        ]


class TestHistory:
    @each_row(
        ("parts", "turns"),
        [
            ([], [{"role": "assistant", "content": ""}]),
            ([{"type": "text", "text": "a", "state": "done"}], [{"role": "assistant", "content": "a"}]),
            (
                [
                    {"type": "step-start"},
                    {"type": "reasoning", "text": "hm", "state": "done"},
                    {"type": "text", "text": "a"},
                    {"type": "source-url", "sourceId": "1", "url": "https://example.com"},
                    {"type": "data-weather", "id": "1", "data": {str(number): 0 for number in range(100)}},
                    {"type": "file", "mediaType": "image/png", "url": "data:image/png;base64,AA=="},
                    {"type": "custom", "kind": "openai.compaction"},
                    {"type": "what-comes-in-version-9"},
                ],
                [{"role": "assistant", "content": "a"}],
            ),
            ([tool()], [called(), result("rain")]),
            ([tool(output={"mm": [1, None]})], [called(), result('{"mm":[1,null]}')]),
            ([tool(output=None)], [called(), result("null")]),
            ([tool("output-error", errorText="no wind")], [called(), result("no wind")]),
            (
                [tool("output-error", input=None, rawInput='{"in', errorText="no JSON")],
                [called('{"in'), result("no JSON")],
            ),
            ([tool("input-available")], [called(), result("(no result)")]),
            ([tool("approval-requested", approval={"id": "1"})], [called(), result("(no result)")]),
            (
                [tool("approval-responded", approval={"id": "1", "approved": False, "reason": "never"})],
                [called(), result("never")],
            ),
            (
                [tool("output-denied", approval={"id": "1", "approved": False})],
                [called(), result("The user did not allow this call.")],
            ),
            ([{"type": "text", "text": "a"}, tool("input-streaming")], [{"role": "assistant", "content": "a"}]),
            (
                [{"type": "dynamic-tool", "toolName": "weather", **{**tool(), "type": "dynamic-tool"}}],
                [called(), result("rain")],
            ),
            (
                [
                    {"type": "step-start"},
                    {"type": "text", "text": "Let me see."},
                    tool(providerExecuted=True),
                    {"type": "step-start"},
                    {"type": "text", "text": "It rains."},
                ],
                [{"role": "assistant", "content": "Let me see.\n\nIt rains."}],
            ),
            (
                [
                    {"type": "step-start"},
                    {"type": "text", "text": "a"},
                    tool(),
                    tool(toolCallId="call_2", name="clock", output="noon"),
                    {"type": "step-start"},
                    tool(toolCallId="call_3"),
                    {"type": "text", "text": "b"},
                ],
                [
                    {
                        **called(content="a"),
                        "tool_calls": called()["tool_calls"] + called(id="call_2", name="clock")["tool_calls"],
                    },
                    result("rain"),
                    result("noon", "call_2"),
                    called(id="call_3"),
                    result("rain", "call_3"),
                    {"role": "assistant", "content": "b"},
                ],
            ),
        ],
    )
    def test_a_message_becomes_the_turns_that_it_was(self, client, upstream, parts, turns):
        upstream.streams(*stream_of("Hello"))

        answer = ask(client, USER, assistant(*parts, metadata={"usage": USAGE}, createdAt="2026-11-27"), USER)

        assert answer.status_code == 200, answer.text
        user = {"role": "user", "content": "Hi"}
        assert upstream.sent[0].body["messages"] == [user, *turns, user]

    def test_texts_of_one_message_are_paragraphs(self, client, upstream):
        upstream.streams(*stream_of("Hello"))

        ask(client, {"role": "user", "parts": [TEXT, {"type": "data-place", "data": 1}, TEXT]})

        assert upstream.sent[0].body["messages"] == [{"role": "user", "content": "Hi\n\nHi"}]

    def test_system_messages_need_the_same_permission(self, make_app, upstream):
        upstream.streams(*stream_of("Hello"))
        system = {"role": "system", "parts": [{"type": "text", "text": "Be brief."}]}

        allowed = ask(make_app(allow_client_system_prompt=True).test_client(), system, USER)
        refused = ask(make_app(allow_client_system_prompt=False).test_client(), system, USER)

        assert allowed.status_code == 200
        assert upstream.sent[0].body["messages"][0] == {"role": "system", "content": "Be brief."}
        assert sentence_of(refused) == (400, "messages: the role system is not accepted here.")


class TestErrors:
    @each_row(
        ("body", "sentence"),
        [
            ({**CHAT, "sessionId": 1}, "Unknown field sessionId."),
            ({**CHAT, "max_tokens": 1}, "Unknown field max_tokens: did you mean maxTokens?"),
            ({**CHAT, "temperature": 3}, "temperature: should be less than or equal to 2."),
            ({**CHAT, "messages": []}, "messages: list should have at least 1 item, not 0."),
            (
                {**CHAT, "messages": [USER, {"role": "user", "content": "x"}]},
                "Missing messages.1.parts.",
            ),
            ({**CHAT, "messages": [{**USER, "parts": []}]}, "messages.0.parts: must have a text."),
            ({"id": "chat-1", "message": USER}, "Unknown field message: did you mean messages?"),
            ({**CHAT, "messages": [{**USER, "parts": [{"type": "text"}]}]}, "Missing messages.0.parts.0.text."),
            ({**CHAT, "messages": [{**USER, "parts": [{}]}]}, "Missing messages.0.parts.0.type."),
            (
                {**CHAT, "messages": [{**USER, "parts": [{**tool(), "toolCallId": 1}]}]},
                "messages.0.parts.0.toolCallId: should be a valid string.",
            ),
        ],
    )
    def test_a_refused_body_is_one_sentence(self, client, upstream, body, sentence):
        assert sentence_of(client.post(ROUTE, json=body)) == (400, sentence)
        assert not upstream.sent

    def test_a_body_that_is_no_json(self, client):
        body = json.dumps(CHAT)[:-1]

        answer = client.post(ROUTE, data=body, content_type="application/json")

        assert sentence_of(answer)[0] == 400

    @pytest.mark.one_attempt
    @each_row(("status", "code", "told"), [(400, "context_length_exceeded", 400), (500, "", 502), (429, "", 503)])
    def test_a_refusal_of_the_upstream(self, client, upstream, status, code, told):
        upstream.answers(error(code=code), status=status)

        answer = ask(client)

        assert sentence_of(answer)[0] == told
        assert ("Retry-After" in answer.headers) is (told == 503)

    def test_what_is_refused_before_anybody_reads_the_body(self, site, make_app):
        client, key = site.app.test_client(), site.new_key()
        narrow = site.new_key(scopes="embeddings")
        pretty = json.dumps(CHAT, indent=4)

        assert sentence_of(client.post(ROUTE, json=CHAT))[0] == 401
        assert sentence_of(client.post(ROUTE, data=pretty, content_type="application/json"))[0] == 401
        assert sentence_of(client.post(ROUTE, json=CHAT, headers=bearer(narrow)))[0] == 403
        foreign = {"Origin": "https://evil.example", **bearer(key)}
        assert sentence_of(client.post(ROUTE, json=CHAT, headers=foreign))[0] == 403
        known = client.post(ROUTE, json=CHAT, headers={"Origin": ORIGIN})
        assert sentence_of(known)[0] == 401
        assert known.headers["Access-Control-Allow-Origin"] == ORIGIN

    def test_too_many_requests_and_too_large_ones(self, make_app, upstream):
        client = make_app(rate_limit="1/hour").test_client()
        upstream.streams(*stream_of("Hello"))
        assert ask(client).status_code == 200

        limited = ask(client)

        assert sentence_of(limited)[0] == 429
        assert int(limited.headers["Retry-After"]) > 0
        small = make_app(max_body_bytes=2_000, max_json_bytes=2_000).test_client()
        assert sentence_of(ask(small, USER, USER, systemPrompt="a" * 2_000))[0] == 413

    def test_a_repeated_request_gets_the_headers_of_the_format_too(self, client, upstream):
        upstream.streams(*stream_of("Hello"))
        key = {"Idempotency-Key": "ui-1"}
        told = read(client.post(ROUTE, json=CHAT, headers=key))

        again = client.post(ROUTE, json=CHAT, headers=key)

        assert read(again) == told
        assert again.headers["Idempotent-Replay"] == "true"
        assert again.headers["x-vercel-ai-ui-message-stream"] == "v1"

    def test_a_body_that_is_too_large_once_it_was_read(self, make_app):
        small = make_app(max_json_bytes=2_000).test_client()

        assert sentence_of(ask(small, USER, USER, systemPrompt="a" * 2_000))[0] == 413
        plain = small.post(ROUTE, json={"message": "a" * 2_000})
        assert (plain.status_code, plain.json["code"]) == (413, "body_too_large")

    @each_row(
        "body",
        [
            {"message": "Hi"},
            {"messages": [{"role": "user", "content": 'a "parts": ["trigger":'}]},
            {"messages": [{"role": "user", "content": "parts"}]},
        ],
    )
    def test_other_clients_get_json_as_before(self, site, client, upstream, body):
        refused = site.app.test_client().post(ROUTE, json=body)
        invalid = client.post(ROUTE, json={**body, "cache": 1})
        upstream.answers(completion("Hello"))

        answer = client.post(ROUTE, json=body)

        assert (refused.status_code, refused.json["code"]) == (401, "unauthenticated")
        assert (invalid.status_code, invalid.json["code"]) == (400, "invalid_request")
        assert answer.json["reply"] == "Hello"

    def test_a_field_of_that_name_elsewhere_makes_no_ui_message(self, client):
        answer = client.post(ROUTE, json={"message": "Hi", "promptName": "p", "variables": {"parts": []}})

        assert (answer.status_code, answer.json["code"]) == (400, "invalid_request")


def test_a_file_that_cannot_be_used_is_named_as_the_page_has_it(client, upstream):
    broken = {"type": "file", "mediaType": "image/png", "url": "data:image/png;base64,AAAA"}
    parts = [{"type": "step-start"}, {"type": "text", "text": "Look"}, {"type": "data-x", "data": 1}, broken]
    body = {"messages": [{"id": "1", "role": "user", "parts": parts}]}

    answer = client.post("/api/chat", json=body)

    assert answer.status_code == 400
    assert "messages.0.parts.3" in answer.text or "messages[0].parts[3]" in answer.text
    assert upstream.sent == []


@each_row("levels", [150, 199, 201, 260, 900])
@each_row("field", ["input", "rawInput", "output"])
def test_what_is_nested_too_deeply_to_be_written_again_is_refused(client, upstream, field, levels):
    value = []
    for _ in range(levels):
        value = [value]
    upstream.streams(*stream_of("Hi"))

    answer = ask(client, USER, assistant(tool(**{"input": None, field: value})), USER)

    if levels < 200:
        assert answer.status_code == 200
        assert "[" * levels in json.dumps(upstream.sent[-1].body["messages"])
    else:
        sentence = f"messages.1.parts.0.{field}: must be nested at most 200 deep."
        assert sentence_of(answer) == (400, sentence)


def test_the_pieces_of_many_texts_are_one_text(client, upstream):
    parts = [TEXT, TEXT, {"type": "step-start"}, TEXT]

    ask(client, USER, assistant(*parts), USER)

    assert upstream.sent[-1].body["messages"][1]["content"] == "HiHi\n\nHi"
