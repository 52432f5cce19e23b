"""The offline model in the form of /v1/responses, through the official client."""

from __future__ import annotations

import json

import httpx2
import openai
import pytest
from PIL import Image

from app.offline_model import create_offline_model, tokens
from app.offline_model.responses.sealed_reasoning import open_thought
from tests.fakes.tables import each_row

MODEL = "gpt-6.1-terra"
TOOL = {
    "type": "function",
    "name": "get_weather",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}

CHAT_TOOL = {"type": "function", "function": {"name": "get_weather"}}
HI = {"messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
def respond(offline):
    def respond(given, **fields):
        return offline.responses.create(**{"model": MODEL, "store": False, "input": given, **fields})

    return respond


def test_the_reply_is_that_of_a_chat(respond, ask):
    answer = respond("What of the gate?")

    assert answer.output_text == ask("What of the gate?").choices[0].message.content
    assert (answer.status, answer.model, answer.store) == ("completed", "offline", False)
    assert [item.type for item in answer.output] == ["reasoning", "message"]
    assert answer.usage.output_tokens_details.reasoning_tokens > 0
    assert (
        answer.usage.output_tokens
        == tokens.count(answer.output_text) + answer.usage.output_tokens_details.reasoning_tokens
    )
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens


@pytest.mark.parametrize(
    ("model", "fields"), [("gpt-4o", {}), (MODEL, {"reasoning": {"effort": "none"}}), ("unknown", {})]
)
def test_a_model_that_does_not_reason_has_no_thought(respond, model, fields):
    answer = respond("Hi", model=model, **fields)

    assert [item.type for item in answer.output] == ["message"]
    assert answer.usage.output_tokens_details.reasoning_tokens == 0


def test_a_stream_has_the_documented_events_in_order(respond):
    events = list(respond("Hi", stream=True, reasoning={"summary": "auto"}))
    kinds = [event.type for event in events]

    assert list(dict.fromkeys(kinds)) == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
        "response.output_item.done",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    whole = events[-1].response
    assert (
        "".join(event.delta for event in events if event.type == "response.output_text.delta") == whole.output_text
    )
    assert whole.usage.output_tokens > 0
    assert events[0].response.usage is None
    first, last = (
        event.item
        for event in events
        if event.type.startswith("response.output_item.") and event.item.type == "reasoning"
    )
    assert not first.encrypted_content
    assert last.encrypted_content


def test_a_stream_has_no_done_and_names_each_event(http):
    body = {"model": MODEL, "input": "Hi", "stream": True}
    lines = http.post("/v1/responses", json=body).text.splitlines()

    named = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    assert named == [json.loads(line[6:])["type"] for line in lines if line.startswith("data: ")]


def test_a_call_and_its_result(respond):
    first = respond("The weather in Oslo?", tools=[TOOL])
    thought, call = first.output
    assert (call.type, call.name) == ("function_call", "get_weather")
    assert "city" in json.loads(call.arguments)

    result = {"type": "function_call_output", "call_id": call.call_id, "output": "4 degrees"}
    items = [item.model_dump(exclude_none=True) for item in (thought, call)]
    second = respond([{"role": "user", "content": "The weather in Oslo?"}, *items, result], tools=[TOOL])

    assert "The tool answered: 4 degrees" in second.output_text


@pytest.mark.parametrize("kind", ["function_call", "custom_tool_call"])
def test_the_images_of_a_result_are_seen(respond, data_url, kind):
    text = {"input": "Look"} if kind == "custom_tool_call" else {"arguments": "{}"}
    call = {"type": kind, "call_id": "call_1", "name": "look", **text}
    image = {"type": "input_image", "image_url": data_url(Image.new("RGB", (9, 9), "red"))}

    def answer(*parts):
        result = {"type": f"{kind}_output", "call_id": "call_1", "output": list(parts)}
        return respond([{"role": "user", "content": "Look"}, call, result], tools=[TOOL]).output_text

    assert "The tool answered" not in answer(image)
    said = answer({"type": "input_text", "text": "a flag"}, image)
    assert "The tool answered: a flag" in said
    assert "I looked at image 1: a PNG image, 9×9 pixels, square; main colours: red 100%." in said


def test_images_of_a_result_are_refused_in_a_chat(http, data_url):
    call = {"id": "call_1", **CHAT_TOOL, "function": {"name": "look", "arguments": "{}"}}
    image = {"type": "image_url", "image_url": {"url": data_url(Image.new("RGB", (9, 9)))}}
    result = {"role": "tool", "tool_call_id": "call_1", "content": [image]}
    messages = [*HI["messages"], {"role": "assistant", "content": None, "tool_calls": [call]}, result]

    refused = http.post("/v1/chat/completions", json={"model": MODEL, "messages": messages})

    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "messages[2].content[0].type"


def test_a_streamed_call_is_told_by_its_item(respond):
    events = list(respond("The weather in Oslo?", tools=[TOOL], tool_choice="required", stream=True))

    item_id = next(
        event.item.id
        for event in events
        if event.type == "response.output_item.added" and event.item.type == "function_call"
    )
    deltas = [event for event in events if event.type == "response.function_call_arguments.delta"]
    assert {event.item_id for event in deltas} == {item_id}
    (done,) = [event for event in events if event.type == "response.function_call_arguments.done"]
    assert "".join(event.delta for event in deltas) == done.arguments
    assert events[-1].response.output[-1].arguments == done.arguments


def test_a_custom_tool_is_called_with_a_text(offline):
    tool = {"type": "custom", "name": "run_code", "description": "Runs code"}
    asked = {"model": "gpt-6.1-terra", "input": "Run this code", "tools": [tool]}
    call = next(item for item in offline.responses.create(**asked).output if item.type == "custom_tool_call")
    with offline.responses.stream(**asked, tool_choice={"type": "custom", "name": "run_code"}) as stream:
        kinds = [event.type for event in stream]
        streamed = stream.get_final_response().output[-1]
    result = {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "42"}
    said = offline.responses.create(**{**asked, "input": [{"role": "user", "content": "Go"}, call, result]})

    assert (call.name, call.input) == ("run_code", "Run this code")
    assert (streamed.type, streamed.input) == ("custom_tool_call", call.input)
    assert "response.custom_tool_call_input.delta" in kinds
    assert kinds[-3:] == [
        "response.custom_tool_call_input.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert "42" in said.output_text


def test_structured_text(respond):
    schema = {**TOOL["parameters"]}
    answer = respond(
        "Oslo", text={"format": {"type": "json_schema", "name": "place", "schema": schema, "strict": True}}
    )

    assert list(json.loads(answer.output_text)) == ["city"]


def test_a_limit_makes_it_incomplete_and_still_tells_its_usage(respond):
    answer = respond("A long story", max_output_tokens=16)

    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert answer.usage.output_tokens == 16
    events = list(respond("A long story", max_output_tokens=16, stream=True))
    assert (events[-1].type, events[-1].response.usage.output_tokens) == ("response.incomplete", 16)


@each_row(
    "change",
    [
        lambda sealed: sealed[:-4] + "AAAA",
        lambda sealed: "gAAAA" + "x" * 1_000_000,
        lambda sealed: sealed[6:],
        lambda sealed: "é",
        lambda sealed: "gAAAAA",
    ],
)
def test_a_forged_thought_is_refused(respond, change):
    thought = respond("Hi").output[0].model_dump(exclude_none=True)
    thought["encrypted_content"] = change(thought["encrypted_content"])

    with pytest.raises(openai.BadRequestError) as refused:
        respond([{"role": "user", "content": "Hi"}, thought])
    assert (refused.value.code, refused.value.param) == ("invalid_encrypted_content", None)
    assert "could not be verified" in refused.value.message
    assert len(refused.value.message) < 300


def test_a_thought_of_another_model_is_dropped_and_said_so(respond):
    thought = respond("Hi").output[0]
    assert open_thought(thought.encrypted_content) == MODEL

    answer = respond(
        [{"role": "user", "content": "Hi"}, thought.model_dump(exclude_none=True)], model="gpt-6-luna"
    )
    assert [(each.id, each.reason) for each in answer.input_transformations] == [(thought.id, "model_mismatch")]


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id", "previous_response_not_found"),
        ({"background": True}, "background", "invalid_value"),
        ({"conversation": "conv_1"}, "conversation", None),
        ({"temperature": 0.5}, "temperature", None),
        ({"stop": "x"}, "stop", "unknown_parameter"),
        ({"input": []}, "input", "invalid_value"),
        ({"input": 5}, "input", "invalid_type"),
        ({"input": [5]}, "input[0]", "invalid_type"),
        ({"input": [{"type": "web_search_call"}]}, "input[0].type", "invalid_value"),
        ({"input": [{"role": "user", "content": [5]}]}, "input[0].content", "invalid_type"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", "invalid_value"),
        ({"text": 5}, "text", "invalid_type"),
    ],
)
def test_what_is_wrong_is_refused(http, fields, param, code):
    answer = http.post("/v1/responses", json={"model": MODEL, "store": False, "input": "Hi", **fields})

    assert answer.status_code in (400, 404)
    error = answer.json()["error"]
    assert (error["param"], error["code"]) == (param, code)


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions"])
@pytest.mark.parametrize("is_wanted", [None, True, False])
def test_deltas_are_padded_unless_that_is_not_wanted(http, path, is_wanted):
    body = {"model": MODEL, "stream": True}
    body |= {"input": "Hi"} if path == "/v1/responses" else {"messages": [{"role": "user", "content": "Hi"}]}
    if is_wanted is not None:
        body["stream_options"] = {"include_obfuscation": is_wanted}
    lines = http.post(path, json=body).text.splitlines()

    events = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    padded = [event for event in events if "obfuscation" in event]
    assert bool(padded) == (is_wanted is not False)
    for event in padded:
        text = event["delta"] if "delta" in event else event["choices"][0]["delta"].get("content") or ""
        assert event["obfuscation"]
        assert (len(text.encode()) + len(event["obfuscation"])) % 16 == 0


class TestTheModelThatIsPlayed:
    @pytest.fixture
    def post(self):
        def post(path="/chat/completions", *, plays="gpt-6.1-terra", **body):
            transport = httpx2.WSGITransport(app=create_offline_model(token_delay_s=0, plays=plays))
            with httpx2.Client(transport=transport, base_url="http://offline/v1") as client:
                return client.post(path, json=body)

        return post

    def test_one_that_is_asked_for(self, post):
        answer = post(model="gpt-6-luna", tools=[CHAT_TOOL], **HI)
        assert answer.json()["error"]["message"].startswith(
            "Function tools with reasoning_effort are not supported for gpt-6-luna"
        )
        assert post(model="gpt-4o", tools=[CHAT_TOOL], **HI).status_code == 200

    def test_the_configured_one_for_a_name_that_nobody_knows(self, post):
        assert post(model="mine", tools=[CHAT_TOOL], **HI).json()["error"]["param"] == "reasoning_effort"
        assert post(model="mine", plays="gpt-4o", tools=[CHAT_TOOL], **HI).status_code == 200
        assert post(model="mine", plays="", tools=[CHAT_TOOL], **HI).status_code == 200

    def test_one_that_is_only_at_responses(self, post):
        assert post(model="gpt-5.5-pro", **HI).status_code == 404
        assert post("/responses", model="gpt-5.5-pro", input="Hi").status_code == 200

    def test_other_endpoints_know_their_parameters_too(self, post):
        answer = post("/embeddings", model="text-embedding-3-small", input="Hi", store=False)
        assert answer.json()["error"]["code"] == "unknown_parameter"
        assert post("/moderations", input="Hi", safety_identifier="x").status_code == 400


class TestThePromptCache:
    LONG = "word " * 2_000

    @pytest.fixture
    def use(self, http):
        def use(*turns, path="/v1/chat/completions", **body):
            messages = [{"role": role, "content": content} for role, content in turns]
            body = {"model": MODEL, **body, "messages" if "chat" in path else "input": messages}
            usage = http.post(path, json=body).raise_for_status().json()["usage"]
            details = usage.get("prompt_tokens_details") or usage["input_tokens_details"]
            return (
                details["cached_tokens"],
                details["cache_write_tokens"],
                usage.get("prompt_tokens", usage.get("input_tokens")),
            )

        return use

    @pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
    def test_a_conversation_reads_what_its_last_turn_wrote(self, use, path):
        turns = [("system", self.LONG), ("user", "One")]
        assert use(*turns, path=path) == (0, (first := use(*turns, path=path, prompt_cache_key="x")[2]), first)

        read, written, size = use(*turns, ("assistant", "1"), ("user", "Two"), path=path)
        assert (read, written) == (first, size - first)

    def test_a_key_parts_the_cache(self, use):
        turn = ("user", self.LONG)
        use(turn, prompt_cache_key="a")
        assert use(turn, prompt_cache_key="b")[0] == 0
        assert use(turn, prompt_cache_key="a")[0] > 1_024

    def test_another_model_tool_or_word_reads_nothing(self, use):
        use(("user", self.LONG))
        assert use(("user", self.LONG), model="gpt-6-luna")[0] == 0
        assert use(("user", self.LONG), verbosity="low")[0] == 0
        assert use(("user", "A " + self.LONG))[0] == 0

    def test_a_short_prompt_is_neither_read_nor_written(self, use):
        assert [use(("user", "Hi"))[:2] for _ in range(2)] == [(0, 0)] * 2

    def test_what_ends_at_no_breakpoint_is_not_found_again(self, use):
        use(("system", self.LONG), ("user", "One"))
        assert use(("system", self.LONG), ("user", "Two"))[0] == 0

    def test_an_explicit_breakpoint_serves_other_conversations(self, use):
        system = ("system", [{"type": "text", "text": self.LONG, "prompt_cache_breakpoint": {"mode": "explicit"}}])
        _, written, size = use(system, ("user", "One"))
        assert written == size
        read, written, _ = use(system, ("user", "Two"))
        assert read > 1_024
        assert 0 < written < 20

    def test_explicit_mode_without_a_breakpoint_writes_nothing(self, use):
        off = {"prompt_cache_options": {"mode": "explicit"}}
        assert [use(("user", self.LONG), **off)[:2] for _ in range(2)] == [(0, 0)] * 2

    def test_older_models_write_every_prefix_for_nothing_and_read_in_steps(self, use):
        use(("system", self.LONG), ("user", "One"), model="gpt-4o")
        read, written, size = use(("system", self.LONG), ("user", "Two"), model="gpt-4o")
        assert written == 0
        assert read % 128 == 0
        assert size - 160 < read < size
