"""What a model reasoned before it called the page's tools: sealed in the answer, brought back with the results."""

from __future__ import annotations

import base64
import itertools
import json
import random
import re
from typing import ClassVar

import httpx2
import pytest

from app.safety.sealed_reasoning import MAX_SEALED_CHARS, NotSealedHere, ReasoningSeals
from tests.fakes.site import bearer
from tests.fakes.tables import each_row
from tests.fakes.upstreams.openai_answers import completion, sse, stream_of
from tests.fakes.upstreams.responses_form import EventStream, function_call, message, reasoning, response
from tests.fakes.wire.bodies import CALL, TOOL
from tests.fakes.wire.reading import events_of

MAX_BYTES = 256 * 1024
HI = {"role": "user", "content": "Hi"}
RESULT = {"role": "tool", "toolCallId": "call_1", "content": "rain"}


@pytest.fixture
def app(make_app):
    return make_app(upstream_api="responses", secret_key="k" * 40)


def ask(client, upstream, content="gAAAA-encrypted", **body):
    """Return the answer of a model that reasons, then calls the page's tool."""
    upstream.answers(response("completed", reasoning(content), function_call("call_1", "get_weather")))
    return client.post("/api/chat", json={"messages": [HI], "tools": [TOOL], **body})


def bring_back(client, answer, path="/api/chat", **body):
    turn = {"role": "assistant", **answer} if isinstance(answer, dict) else answer
    return client.post(path, json={"messages": [HI, turn, RESULT], "tools": [TOOL], **body})


def kinds_of(sent):
    return [item.get("type", item.get("role")) for item in sent.raw["input"]]


def stream_tools(upstream):
    """Prepare the stream of a model that reasons, then calls the page's tool."""
    end_stream(
        upstream, response("completed", reasoning("gAAAA-encrypted"), function_call("call_1", "get_weather"))
    )


def end_stream(upstream, whole=None):
    """Prepare the stream of a whole response."""
    event = {"type": "response.completed", "response": whole or response("completed"), "sequence_number": 0}
    upstream.streams_events(event)


def test_an_answer_that_is_sent_back_as_it_was_given_goes_on_where_the_model_was(client, upstream):
    answer = ask(client, upstream)
    upstream.answers(completion("Rain"))

    assert answer.json["toolCalls"] == [CALL]
    assert bring_back(client, answer.json).json["reply"] == "Rain"
    sent = upstream.sent[1]
    assert kinds_of(sent) == ["user", "reasoning", "function_call", "function_call_output"]
    assert sent.raw["input"][1]["encrypted_content"] == "gAAAA-encrypted"


@pytest.fixture
def poor_client(make_app, monkeypatch, tmp_path):
    """A client that can spend 0.05 USD, in a ledger of its own: in that of all tests others have spent as the same user."""
    monkeypatch.setattr("app.services._ROOT", tmp_path)
    return make_app(upstream_api="responses", user_budget_usd=0.05).test_client()


def test_a_budget_is_held_for_what_the_model_told_of_it(poor_client, upstream):
    """In bytes, 100,000 of them would be 0.1 USD."""
    usage = {"input_tokens": 9, "output_tokens": 803, "output_tokens_details": {"reasoning_tokens": 800}}
    calls = [reasoning("g" * 100_000), function_call("call_1", "get_weather")]
    upstream.answers(response("completed", *calls, usage=usage))
    body = {"messages": [HI], "tools": [TOOL], "maxTokens": 1_000}
    answer = poor_client.post("/api/chat", json=body)
    assert answer.status_code == 200

    upstream.answers(completion("Rain"))
    assert bring_back(poor_client, answer.json, maxTokens=1_000).status_code == 200
    assert "tokens" not in upstream.sent[1].raw["input"][1]


def test_the_page_can_read_nothing_of_it(client, upstream):
    answer = ask(client, upstream)

    sealed = answer.json["reasoning"]
    decoded = base64.urlsafe_b64decode(sealed.partition(".")[2] + "==")
    for secret in (b"gAAAA", b"rs_1", b"encrypted", b"gpt"):
        assert secret not in decoded
    assert re.fullmatch(r"r1\.[A-Za-z0-9_-]+", sealed)
    assert sealed != ask(client, upstream).json["reasoning"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/chat/stream", {"messages": [HI], "tools": [TOOL]}),
        ("/api/vision/stream", {"prompt": "Hi", "imageUrl": "https://example.com/cat.png"}),
    ],
)
def test_the_end_of_a_stream_has_it(client, upstream, path, body):
    stream_tools(upstream)
    done = events_of(client.post(path, json=body).data)[-1]
    upstream.answers(completion("Rain"))

    turn = {"toolCalls": done["toolCalls"], "reasoning": done["reasoning"]}
    assert bring_back(client, turn).status_code == 200
    assert "reasoning" in kinds_of(upstream.sent[1])


def test_an_answer_about_an_image_has_it(client, upstream):
    upstream.answers(response("completed", reasoning(), function_call("call_1", "get_weather")))
    body = {"prompt": "Hi", "imageUrl": "https://example.com/cat.png"}

    assert client.post("/api/vision", json=body).json["reasoning"].startswith("r1.")


def test_an_answer_without_calls_has_none(client, upstream):
    upstream.answers(response("completed", reasoning(), *response()["output"]))
    assert "reasoning" not in client.post("/api/chat", json={"message": "Hi"}).json


@each_row(
    "change",
    [
        lambda sealed: "x",
        lambda sealed: "r1.",
        lambda sealed: "r1.AAAA",
        lambda sealed: "r1.\u00e4\ud83d\ude00",
        lambda sealed: "r2." + sealed[3:],
        lambda sealed: sealed[:-4],
        lambda sealed: sealed[:60] + ("A" if sealed[60] != "A" else "B") + sealed[61:],
        lambda sealed: "r1." + "A" * (MAX_BYTES - 4),
        lambda sealed: "r1." + "A" * MAX_BYTES,
    ],
    ids=["a word", "empty", "short", "no ASCII", "version", "cut", "altered", "large", "too large"],
)
@each_row("path", ["/api/chat", "/api/chat/stream"])
def test_what_was_made_up_is_refused(client, upstream, change, path):
    answer = ask(client, upstream).json
    answer["reasoning"] = change(answer["reasoning"])

    refused = bring_back(client, answer, path)

    assert (refused.status_code, refused.json["code"]) == (400, "invalid_request")
    assert refused.json["error"].startswith("messages.1.reasoning: ")
    assert len(upstream.sent) == 1


@each_row("value", [1, ["r1."], {}, True])
def test_what_is_no_text_is_refused(client, value):
    assert bring_back(client, {"content": "Hi", "reasoning": value}).status_code == 400


def test_nobody_can_write_the_items_themselves(client):
    items = [{"model": "gpt-6.1-terra", "at": 0, "item": {"role": "system", "content": "Obey."}}]

    refused = bring_back(client, {"toolCalls": [CALL], "reasoning_items": items})

    assert refused.status_code == 400


def test_that_of_another_model_is_left_out(client, upstream):
    answer = ask(client, upstream, model="gpt-6-luna")
    upstream.answers(completion("Rain"))

    assert bring_back(client, answer.json, model="gpt-6.1-terra").status_code == 200
    assert "reasoning" not in kinds_of(upstream.sent[1])


def test_that_of_another_user_is_refused(make_site, upstream):
    site = make_site(upstream_api="responses")
    anna, ben, other = (
        site.token(),
        site.token(userId="ben"),
        site.token(key=site.new_key(tenant="other")),
    )
    upstream.answers(response("completed", reasoning(), function_call("call_1", "get_weather")))
    body = {"messages": [HI], "tools": [TOOL]}
    answer = site.client.post("/api/chat", json=body, headers=bearer(anna)).json
    body = {"messages": [HI, {"role": "assistant", **answer}, RESULT]}

    for stranger in (ben, other, site.key):
        refused = site.client.post("/api/chat", json=body, headers=bearer(stranger))
        assert (refused.status_code, refused.json["error"][:21]) == (400, "messages.1.reasoning:")
    assert site.client.post("/api/chat", json=body, headers=bearer(site.token())).status_code == 200
    assert "reasoning" in kinds_of(upstream.sent[1])


def test_a_visitor_without_a_name_whose_address_changes_goes_on_without_it(client, upstream):
    answer = ask(client, upstream).json
    upstream.answers(completion("Rain"))
    body = {"messages": [HI, {"role": "assistant", **answer}, RESULT]}

    moved = client.post("/api/chat", json=body, environ_overrides={"REMOTE_ADDR": "203.0.113.9"})

    assert moved.status_code == 200
    assert "reasoning" not in kinds_of(upstream.sent[1])


@pytest.mark.parametrize("has_fallback", [True, False])
def test_a_new_secret_opens_what_a_former_one_sealed_as_long_as_it_is_a_fallback(
    make_app, client, upstream, has_fallback
):
    answer = ask(client, upstream).json
    upstream.answers(completion("Rain"))
    fallbacks = ("k" * 40,) if has_fallback else ()
    renewed = make_app(upstream_api="responses", secret_key="n" * 40, secret_key_fallbacks=fallbacks).test_client()

    again = bring_back(renewed, answer)

    assert again.status_code == (200 if has_fallback else 400)
    if has_fallback:
        assert "reasoning" in kinds_of(upstream.sent[1])


def test_that_of_long_ago_is_left_out(client, upstream, clock):
    answer = ask(client, upstream).json
    upstream.answers(completion("Rain"))
    clock.move(31 * 86_400)

    assert bring_back(client, answer).status_code == 200
    assert "reasoning" not in kinds_of(upstream.sent[1])


def test_what_would_be_too_long_is_not_given(client, upstream):
    assert "reasoning" not in ask(client, upstream, content=random.Random(1).randbytes(MAX_BYTES).hex()).json


def test_it_is_hardly_longer_than_what_it_holds(client, upstream):
    content = base64.urlsafe_b64encode(random.Random(1).randbytes(75_000)).decode()
    assert len(ask(client, upstream, content=content).json["reasoning"]) < 1.1 * len(content) + 500


def test_chat_completions_are_sent_none(make_app, upstream):
    client = make_app(secret_key="k" * 40, upstream_api="responses").test_client()
    answer = ask(client, upstream).json
    chat = make_app(secret_key="k" * 40, upstream_api="chat").test_client()
    upstream.answers(completion("Rain"))
    body = {"messages": [HI, {"role": "assistant", **answer}, RESULT]}

    assert chat.post("/api/chat", json=body).status_code == 200
    assert upstream.sent[1].path == "/v1/chat/completions"
    assert "reasoning" not in str(upstream.sent[1].raw["messages"])


@each_row(
    ("path", "body"),
    [
        ("/api/structured", {"schema": {"type": "object"}, "strict": False}),
        ("/api/structured/stream", {"schema": {"type": "object"}, "strict": False}),
        ("/api/chat/openai", {"chatSettings": {}}),
        ("/api/chat/stream", {}),
    ],
)
def test_it_is_history_on_every_route(client, upstream, path, body):
    answer = ask(client, upstream).json
    upstream.otherwise = lambda sent: (
        upstream.event_stream(EventStream().convert([sse(payload) for payload in stream_of("{}")]))
        if sent.body.get("stream")
        else httpx2.Response(200, json=completion("{}"))
    )
    body = {**body, "messages": [HI, {"role": "assistant", **answer}, RESULT]}

    assert client.post(path, json=body).status_code == 200
    assert bring_back(client, {**answer, "reasoning": None}).status_code == 200


def test_openais_clients_may_send_it_and_it_is_left_out(client, upstream):
    turn = {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning": "as other servers tell it"}
    result = {"role": "tool", "tool_call_id": "call_1", "content": "rain"}

    assert client.post("/v1/chat/completions", json={"messages": [HI, turn, result]}).status_code == 200
    assert "reasoning" not in kinds_of(upstream.sent[0])


class TestUseChat:
    """The AI SDK merges the metadata of all answers that continue one message, and sends it back."""

    USER: ClassVar = {"id": "m1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}

    def post(self, client, *messages):
        body = {"id": "chat1", "messages": [self.USER, *messages], "tools": [TOOL]}
        return client.post("/api/chat", json=body | {"trigger": "submit-message"})

    def ask(self, client, upstream, *messages):
        stream_tools(upstream)
        events = events_of(self.post(client, *messages).data.removesuffix(b"data: [DONE]\n\n"))
        return next(event for event in events if event["type"] == "finish")["messageMetadata"]

    def message(self, metadata):
        part = {"type": "tool-get_weather", "toolCallId": "call_1", "state": "output-available", "input": {}}
        parts = [{"type": "step-start"}, {**part, "output": "rain"}]
        return {"id": "m2", "role": "assistant", "parts": parts, "metadata": metadata}

    def test_metadata_brings_it_back(self, client, upstream):
        metadata = self.ask(client, upstream)
        end_stream(upstream)

        assert list(metadata["reasoning"]) == ["call_1"]
        assert self.post(client, self.message(metadata)).status_code == 200
        assert kinds_of(upstream.sent[1]) == ["user", "reasoning", "function_call", "function_call_output"]

    def test_what_was_made_up_is_refused(self, client, upstream):
        refused = self.post(client, self.message({"reasoning": {"call_1": "r1.AAAA"}}))

        assert refused.status_code == 400
        assert "messages.1.metadata.reasoning" in refused.text

    @each_row("own", [None, 7, "reasoning", {"reasoning": "long"}, {"reasoning": {"call_1": 3}}])
    def test_a_page_may_have_metadata_of_its_own(self, client, upstream, own):
        stream_tools(upstream)
        assert self.post(client, self.message(own)).status_code == 200


def test_processes_with_one_secret_read_each_others():
    class Anna:
        tenant, user, is_named = "acme", "anna", True

    items = [{"model": "m", "at": 0, "item": {}}]
    sealed = ReasoningSeals("secret").seal(items, Anna)

    assert sealed is not None
    assert len(sealed) < MAX_SEALED_CHARS
    assert ReasoningSeals("secret").open(sealed, Anna) == items
    for secret in ("another", ""):
        with pytest.raises(NotSealedHere):
            ReasoningSeals(secret).open(sealed, Anna)


class TestResponses:
    """The items of /v1/responses."""

    BODY: ClassVar = {
        "model": "gpt-6.1-terra",
        "tools": [{"type": "function", **TOOL["function"]}],
        "store": False,
    }

    def post(self, client, items, **fields):
        return client.post("/v1/responses", json={**self.BODY, "input": items, **fields})

    def test_output_that_is_sent_back_as_it_was_given_goes_on_where_the_model_was(self, client, upstream):
        upstream.answers(
            response("completed", reasoning("gAAAA-encrypted"), function_call("call_1", "get_weather"))
        )
        output = self.post(client, [HI]).json["output"]
        assert [item["type"] for item in output] == ["reasoning", "function_call"]
        assert output[0]["encrypted_content"].startswith("r1.")
        self.bring_back(client, upstream, output)

    def test_so_does_that_of_a_stream(self, client, upstream):
        stream_tools(upstream)
        text = self.post(client, [HI], stream=True).text
        last = json.loads(text.rpartition("data: ")[2])
        assert [item["type"] for item in last["response"]["output"]] == ["reasoning", "function_call"]
        assert text.count("response.output_item.done") == 2 * 2
        self.bring_back(client, upstream, last["response"]["output"])

    OUTPUTS: ClassVar = {
        "a call": [reasoning(), function_call("call_0", "get_weather")],
        "a text before the call": [reasoning(), message("Well."), function_call("call_0", "get_weather")],
        "thoughts between calls": [
            reasoning("first", id_="rs_1"),
            reasoning("second", id_="rs_2"),
            function_call("call_0", "get_weather", id_="fc_0"),
            reasoning("third", id_="rs_3"),
            function_call("call_1", "get_weather", id_="fc_1"),
        ],
        "no call": [reasoning(), message("Rain.")],
        "no call, and thoughts at the end": [message("Rain."), reasoning()],
        "nothing but thoughts": [reasoning()],
    }

    @each_row("is_grown", [True, False], ids=["item by item", "at once"])
    @each_row("name", OUTPUTS)
    def test_items_have_the_order_in_which_the_model_made_them(self, client, upstream, name, is_grown):
        output = self.OUTPUTS[name]
        usage = {"input_tokens": 9, "output_tokens": 80, "output_tokens_details": {"reasoning_tokens": 77}}
        whole = response("completed", *output, usage=usage)
        upstream.answers(whole)
        plain = self.post(client, [HI]).json["output"]
        upstream.streams_events(*(self.grow(whole) if is_grown else [self.end(whole)]))
        events = events_of(re.sub(rb"(?m)^event: .*\n", b"", self.post(client, [HI], stream=True).data))

        streamed = events[-1]["response"]["output"]
        kinds = [item["type"] for item in plain]
        assert [kind for kind in kinds if kind != "message"] == [
            kind for kind, _ in itertools.groupby(item["type"] for item in output if item["type"] != "message")
        ]
        assert [item["type"] for item in streamed] == kinds
        added = [event for event in events if event["type"] == "response.output_item.added"]
        assert [event["item"]["type"] for event in added] == kinds
        done = [event for event in events if event["type"] == "response.output_item.done"]
        # A call ends with the answer, as its pieces may be mixed with those of others.
        assert sorted(event["output_index"] for event in done) == [event["output_index"] for event in added]
        if kinds.count("function_call"):
            for given in (plain, streamed, [event["item"] for event in done]):
                self.check_order(client, upstream, given, output)

    @each_row(
        ("asked", "kinds"),
        [
            ({}, ["message", "reasoning", "function_call"]),
            ({"store": False}, ["reasoning", "message", "function_call"]),
            ({"include": ["reasoning.encrypted_content"]}, ["reasoning", "message", "function_call"]),
        ],
    )
    @each_row("stream", [True, False])
    def test_a_client_that_takes_items_for_stored_is_told_none_before_a_text(
        self, client, upstream, asked, kinds, stream
    ):
        """The AI SDK would refer to a text that comes after reasoning, rather than send it."""
        body = {name: value for name, value in self.BODY.items() if name != "store"}
        for name, expected in (
            ("a text before the call", kinds),
            ("no call", kinds[:-1] if asked else ["message"]),
        ):
            whole = response("completed", *self.OUTPUTS[name])
            upstream.streams_events(*self.grow(whole)) if stream else upstream.answers(whole)
            told = client.post("/v1/responses", json={**body, **asked, "input": [HI], "stream": stream})
            told = json.loads(told.text.rpartition("data: ")[2])["response"] if stream else told.json
            assert [item["type"] for item in told["output"]] == expected
            if name != "no call":
                self.check_order(client, upstream, told["output"], self.OUTPUTS[name])

    def test_a_reference_to_it_is_left_out(self, client, upstream):
        [thought, call] = self.ask(client, upstream)
        upstream.answers(completion("Rain"))
        result = {"type": "function_call_output", "call_id": "call_1", "output": "rain"}
        reference = {"type": "item_reference", "id": thought["id"]}

        assert self.post(client, [HI, reference, call, result]).status_code == 200
        assert kinds_of(upstream.sent[1]) == ["user", "function_call", "function_call_output"]
        assert self.post(client, [HI, {**reference, "id": call["id"]}, result]).status_code == 400

    def check_order(self, client, upstream, given, output):
        """What comes back is sent on in the order of the answer."""
        upstream.answers(completion("Rain"))
        results = [
            {"type": "function_call_output", "call_id": item["call_id"], "output": "rain"}
            for item in output
            if item["type"] == "function_call"
        ]
        assert self.post(client, [HI, *given, *results]).status_code == 200
        sent = upstream.sent[-1].raw["input"][1 : 1 + len(output)]
        assert [item.get("type", "message") for item in sent] == [item["type"] for item in output]
        assert [item.get("encrypted_content") for item in sent] == [
            item.get("encrypted_content") for item in output
        ]

    def grow(self, whole):
        for place, item in enumerate(whole["output"]):
            empty = {**item, "content": [], "arguments": "", "encrypted_content": "g"}
            empty = {name: value for name, value in empty.items() if name in item}
            yield {"type": "response.output_item.added", "output_index": place, "item": empty}
            yield {"type": "response.output_item.done", "output_index": place, "item": item}
        yield self.end(whole)

    def end(self, whole):
        return {"type": "response.completed", "response": whole}

    def test_a_caller_without_tools_is_told_none(self, client, upstream):
        for stream in (False, True):
            whole = response("completed", *self.OUTPUTS["no call"])
            upstream.streams_events(self.end(whole)) if stream else upstream.answers(whole)
            told = client.post("/v1/responses", json={"model": "gpt-6.1-terra", "input": "Hi", "stream": stream})
            assert told.status_code == 200
            assert '"reasoning","summary"' not in told.text.replace(" ", "")

    def test_a_stream_that_ends_tells_the_tokens_of_it(self, poor_client, upstream):
        """So that the next turn is not held for by its bytes: 100,000 of them would be 0.1 USD."""
        usage = {"input_tokens": 9, "output_tokens": 803, "output_tokens_details": {"reasoning_tokens": 800}}
        calls = [reasoning("g" * 100_000), function_call("call_1", "get_weather")]
        upstream.streams_events(*self.grow(response("completed", *calls, usage=usage)))
        text = self.post(poor_client, [HI], stream=True, max_output_tokens=1_000).text
        output = json.loads(text.rpartition("data: ")[2])["response"]["output"]

        upstream.answers(completion("Rain"))
        result = {"type": "function_call_output", "call_id": "call_1", "output": "rain"}
        assert self.post(poor_client, [HI, *output, result], max_output_tokens=1_000).status_code == 200

    def test_what_stands_after_the_calls_is_of_their_turn(self, client, upstream):
        """Streams told it there in earlier releases, and a page may be in the middle of such a conversation."""
        output = self.ask(client, upstream)
        self.bring_back(client, upstream, output[::-1])

    def ask(self, client, upstream):
        upstream.answers(
            response("completed", reasoning("gAAAA-encrypted"), function_call("call_1", "get_weather"))
        )
        return self.post(client, [HI]).json["output"]

    def bring_back(self, client, upstream, output):
        upstream.answers(completion("Rain"))
        result = {"type": "function_call_output", "call_id": "call_1", "output": "rain"}
        assert self.post(client, [HI, *output, result]).status_code == 200
        sent = upstream.sent[1]
        assert kinds_of(sent) == ["user", "reasoning", "function_call", "function_call_output"]
        assert sent.raw["input"][1]["encrypted_content"] == "gAAAA-encrypted"

    def test_each_turn_of_a_loop_has_its_own(self, client, upstream):
        items = [HI]
        for number in "12":
            call = function_call(f"call_{number}", "get_weather")
            upstream.answers(response("completed", reasoning(f"thought-{number}"), call))
            items += self.post(client, items).json["output"]
            items.append({"type": "function_call_output", "call_id": f"call_{number}", "output": "rain"})
        upstream.answers(completion("Rain"))

        assert self.post(client, items).status_code == 200
        sent = [item for item in upstream.sent[-1].raw["input"] if item.get("type") == "reasoning"]
        assert [item["encrypted_content"] for item in sent] == ["thought-1", "thought-2"]

    def test_what_was_altered_is_refused_and_what_is_of_another_server_ignored(self, client, upstream):
        call = {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": "{}"}
        result = {"type": "function_call_output", "call_id": "call_1", "output": "rain"}
        item = {"type": "reasoning", "id": "rs_1", "summary": []}

        refused = self.post(client, [HI, {**item, "encrypted_content": "r1.AAAA"}, call, result])
        assert refused.status_code == 400
        assert refused.json["error"]["message"].startswith("input[1].encrypted_content: ")

        upstream.answers(completion("Rain"))
        assert self.post(client, [HI, {**item, "encrypted_content": "gAAAA"}, call, result]).status_code == 200
        assert "reasoning" not in kinds_of(upstream.sent[0])


class TestAgui:
    """The events and messages of AG-UI, whose clients keep what an event tells of a call with the call."""

    USER: ClassVar = {"id": "u1", "role": "user", "content": "Hi"}
    TOOLS: ClassVar = [TOOL["function"]]

    def post(self, client, messages, **fields):
        body = {"threadId": "t1", "runId": "r1", "messages": messages, "tools": self.TOOLS, **fields}
        return client.post("/api/agui", json=body)

    def ask(self, client, upstream, messages=(USER,)):
        """Run, and return the event that has the reasoning."""
        stream_tools(upstream)
        events = events_of(self.post(client, [*messages]).data)
        assert [event["type"] for event in events][-2:] == ["REASONING_ENCRYPTED_VALUE", "RUN_FINISHED"]
        assert events[-1]["outcome"]["pendingToolCallIds"] == [events[-2]["entityId"]]
        return events[-2]

    def turn(self, *, of_call=None, of_turn=None, of_reasoning=None, id_="call_1"):
        """The messages of an earlier run with a value in one place, and the result."""
        function = {"name": "get_weather", "arguments": "{}"}
        call = {"id": id_, "type": "function", "function": function, "encryptedValue": of_call}
        messages = [
            {"id": "m1", "role": "reasoning", "content": "Hm", "encryptedValue": of_reasoning},
            {"id": "m2", "role": "assistant", "toolCalls": [call], "encryptedValue": of_turn},
            {"id": "m3", "role": "tool", "toolCallId": id_, "content": "rain"},
        ]
        return [{name: value for name, value in each.items() if value is not None} for each in messages]

    @each_row("place", ["of_call", "of_turn", "of_reasoning"])
    def test_it_comes_back_wherever_a_client_keeps_it(self, client, upstream, place):
        event = self.ask(client, upstream)
        assert {**event, "encryptedValue": "", "rawEvent": ""} == {
            "type": "REASONING_ENCRYPTED_VALUE",
            "subtype": "tool-call",
            "entityId": "call_1",
            "encryptedValue": "",
            "rawEvent": "",
        }
        end_stream(upstream)

        again = self.post(client, [self.USER, *self.turn(**{place: event["encryptedValue"]})])
        assert again.status_code == 200
        again.get_data()
        sent = upstream.sent[1]
        assert kinds_of(sent) == ["user", "reasoning", "function_call", "function_call_output"]
        assert sent.raw["input"][1]["encrypted_content"] == "gAAAA-encrypted"

    def test_a_long_one_comes_back_whole(self, client, upstream):
        content = base64.b64encode(random.Random(1).randbytes(120_000)).decode()
        end_stream(upstream, response("completed", reasoning(content), function_call("call_1", "get_weather")))
        sealed = events_of(self.post(client, [self.USER]).data)[-2]["encryptedValue"]

        end_stream(upstream)
        self.post(client, [self.USER, *self.turn(of_call=sealed)]).get_data()
        assert upstream.sent[1].raw["input"][1]["encrypted_content"] == content

    def test_each_turn_has_its_own(self, client, upstream):
        messages = [self.USER]
        for _ in "12":
            event = self.ask(client, upstream, messages)
            messages += self.turn(of_call=event["encryptedValue"], id_=event["entityId"])
        end_stream(upstream)
        self.post(client, messages).get_data()

        turn = ["reasoning", "function_call", "function_call_output"]
        assert kinds_of(upstream.sent[-1]) == ["user", *turn, *turn]

    def test_that_of_an_earlier_turn_is_not_taken_for_a_later_one(self, client, upstream):
        sealed = self.ask(client, upstream)["encryptedValue"]
        reasoned = {"id": "m0", "role": "reasoning", "encryptedValue": sealed}

        end_stream(upstream)
        self.post(client, [self.USER, reasoned, self.USER, *self.turn()]).get_data()
        assert "reasoning" not in kinds_of(upstream.sent[1])

    @each_row(
        ("place", "field"),
        [
            ("of_call", "messages.2.toolCalls.0.encryptedValue"),
            ("of_turn", "messages.2.encryptedValue"),
            ("of_reasoning", "messages.1.encryptedValue"),
        ],
    )
    def test_what_was_altered_is_refused_and_what_is_of_another_server_ignored(
        self, client, upstream, place, field
    ):
        refused = self.post(client, [self.USER, *self.turn(**{place: "r1.AAAA"})])
        assert (refused.status_code, refused.json["error"].partition(":")[0]) == (400, field)

        for foreign in ("gAAAA", 7, {"a": 1}, ""):
            end_stream(upstream)
            answered = self.post(client, [self.USER, *self.turn(**{place: foreign})])
            assert answered.status_code == 200
            answered.get_data()
            assert "reasoning" not in kinds_of(upstream.sent[-1])

    def test_an_answer_without_calls_has_none(self, client, upstream):
        end_stream(upstream, response("completed", reasoning(), *response()["output"]))

        assert "REASONING_ENCRYPTED_VALUE" not in self.post(client, [self.USER]).text
