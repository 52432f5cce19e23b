"""Custom tools, whose input is a free text: on both routes of /v1, over both endpoints of the upstream."""

from __future__ import annotations

import pytest
from openai.types.responses import ResponseCustomToolCall

from tests.fakes.person import Person
from tests.fakes.tables import each_row
from tests.fakes.upstreams import hosted_tools as hosted
from tests.fakes.upstreams.openai_answers import chunk, completion
from tests.fakes.upstreams.responses_form import response
from tests.fakes.wire.reading import read_typed_events as events_of

SOURCE = 'print("a\nb")'
GRAMMAR = {"definition": "start: /.+/s", "syntax": "lark"}
FLAT = {"type": "custom", "name": "run", "description": "Runs it.", "format": {"type": "grammar", **GRAMMAR}}
NESTED = {
    "type": "custom",
    "custom": {"name": "run", "description": "Runs it.", "format": {"type": "grammar", "grammar": GRAMMAR}},
}
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
CALL = {"id": "call_1", "type": "custom", "custom": {"name": "run", "input": SOURCE}}
ITEM = {"id": "ctc_upstream", "type": "custom_tool_call", "call_id": "call_1", "name": "run", "input": SOURCE}
FUNCTION_CALL = {"id": "call_2", "type": "function", "function": {"name": "f", "arguments": "{}"}}
FUNCTION_ITEM = {"id": "fc_1", "type": "function_call", "call_id": "call_2", "name": "f", "arguments": "{}"}
ASKED = {"model": "gpt-6.1-terra", "input": "Run it.", "tools": [FLAT, FUNCTION]}
CHAT = {"model": "gpt-6.1-terra", "messages": [{"role": "user", "content": "Run it."}]}
CHAT_TOOLS = [NESTED, {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
PIECES = ["", SOURCE[:7], SOURCE[7:]]


def chat_chunks():
    first = {"index": 0, "id": "call_1", "type": "custom", "custom": {"name": "run", "input": ""}}
    rest = [{"index": 0, "custom": {"input": piece}} for piece in PIECES[1:]]
    whole = {"index": 1, **FUNCTION_CALL}
    deltas = [chunk({"tool_calls": [call]}) for call in (first, *rest, whole)]
    return [chunk({"role": "assistant", "content": None}), *deltas, chunk({}, finish_reason="tool_calls")]


def response_events():
    whole = response("completed", ITEM, FUNCTION_ITEM)
    where = {"item_id": ITEM["id"], "output_index": 0}
    return [
        {"type": "response.created", "response": {**whole, "status": "in_progress", "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": {**ITEM, "input": ""}},
        *({"type": "response.custom_tool_call_input.delta", **where, "delta": piece} for piece in PIECES[1:]),
        {"type": "response.custom_tool_call_input.done", **where, "input": SOURCE},
        {"type": "response.output_item.done", "output_index": 0, "item": ITEM},
        {"type": "response.output_item.added", "output_index": 1, "item": FUNCTION_ITEM},
        {"type": "response.output_item.done", "output_index": 1, "item": FUNCTION_ITEM},
        {"type": "response.completed", "response": whole},
    ]


@pytest.fixture(params=["chat", "responses"])
def api(request):
    return request.param


@pytest.fixture
def app(make_app, api):
    return make_app(upstream_api=api)


@pytest.fixture
def answer_whole(upstream, api):
    said = completion(None, finish_reason="tool_calls", tool_calls=[CALL, FUNCTION_CALL])
    return lambda: upstream.answers(said if api == "chat" else response("completed", ITEM, FUNCTION_ITEM))


@pytest.fixture
def answer_streamed(upstream, api):
    if api == "chat":
        return lambda: upstream.streams(*chat_chunks())
    return lambda: upstream.streams_events(*response_events())


def sent_tools(upstream, api):
    tools = upstream.sent[-1].raw["tools"]
    if api == "responses":
        hosted.check_types(upstream.sent[-1].raw)
    return [tool for tool in tools if tool["type"] == "custom"]


def test_responses_calls_it_and_takes_its_result(sdk, upstream, api, answer_whole):
    answer_whole()
    answer = sdk.responses.create(**ASKED)
    custom, function = answer.output
    results = [
        {"type": "custom_tool_call_output", "call_id": "call_1", "output": "a b"},
        {"type": "function_call_output", "call_id": "call_2", "output": "1"},
    ]
    sdk.responses.create(**{**ASKED, "input": [{"role": "user", "content": "Go."}, custom, function, *results]})

    assert type(custom) is ResponseCustomToolCall
    assert (custom.call_id, custom.name, custom.input) == ("call_1", "run", SOURCE)
    assert custom.id.startswith("ctc_")
    assert custom.id != ITEM["id"]
    assert (function.call_id, function.arguments) == ("call_2", "{}")
    assert answer.tools[0].to_dict() == FLAT
    assert sent_tools(upstream, api) == [NESTED if api == "chat" else FLAT]
    if api == "chat":
        _, turn, *tools = upstream.sent[1].raw["messages"]
        assert turn["tool_calls"] == [CALL, FUNCTION_CALL]
        assert [each["content"] for each in tools] == ["a b", "1"]
    else:
        _, call, *_, result, _ = upstream.sent[1].raw["input"]
        assert call == {"type": "custom_tool_call", "call_id": "call_1", "name": "run", "input": SOURCE}
        assert result == results[0]


def test_responses_streams_its_text(app, connect, upstream, api, answer_streamed):
    answer_streamed()
    events = events_of(Person(app).post("/v1/responses", {**ASKED, "stream": True}).data)
    answer_streamed()
    with connect(app).responses.stream(**ASKED) as stream:
        final = stream.get_final_response()

    of_call = [event for event in events if event.get("output_index") == 0]
    kinds = [event["type"].removeprefix("response.") for event in of_call]
    deltas = ["custom_tool_call_input.delta"] * 2
    assert kinds == ["output_item.added", *deltas, "custom_tool_call_input.done", "output_item.done"]
    assert "".join(event.get("delta", "") for event in of_call) == SOURCE
    assert {event.get("item_id") or event["item"]["id"] for event in of_call} == {of_call[0]["item"]["id"]}
    assert (of_call[0]["item"]["input"], of_call[-2]["input"], of_call[-1]["item"]["input"]) == (
        "",
        SOURCE,
        SOURCE,
    )
    assert [(item.type, item.call_id) for item in final.output] == [
        ("custom_tool_call", "call_1"),
        ("function_call", "call_2"),
    ]
    assert final.output[0].input == SOURCE


def test_a_chat_calls_it_and_takes_its_result(sdk, upstream, api, answer_whole):
    answer_whole()
    choice = sdk.chat.completions.create(**CHAT, tools=CHAT_TOOLS).choices[0]
    results = [
        {"role": "tool", "tool_call_id": id_, "content": said}
        for id_, said in (("call_1", "a b"), ("call_2", "1"))
    ]
    sdk.chat.completions.create(
        model=CHAT["model"], messages=[*CHAT["messages"], choice.message, *results], tools=CHAT_TOOLS
    )

    assert choice.finish_reason == "tool_calls"
    assert [call.to_dict() for call in choice.message.tool_calls] == [CALL, FUNCTION_CALL]
    assert sent_tools(upstream, api) == [NESTED if api == "chat" else FLAT]
    if api == "chat":
        assert upstream.sent[1].raw["messages"][1]["tool_calls"] == [CALL, FUNCTION_CALL]
    else:
        kinds = [item.get("type") for item in upstream.sent[1].raw["input"]]
        assert kinds[1:] == [
            "custom_tool_call",
            "function_call",
            "custom_tool_call_output",
            "function_call_output",
        ]


def test_a_chat_streams_its_text(sdk, answer_streamed):
    answer_streamed()
    with sdk.chat.completions.create(**CHAT, tools=CHAT_TOOLS, stream=True) as stream:
        chunks = [each.to_dict() for each in stream]

    calls = [
        call for each in chunks for choice in each["choices"] for call in choice["delta"].get("tool_calls", ())
    ]
    custom = [call for call in calls if call["index"] == 0]
    assert (custom[0]["id"], custom[0]["type"], custom[0]["custom"]["name"]) == ("call_1", "custom", "run")
    assert "".join(call["custom"]["input"] for call in custom) == SOURCE
    assert next(call["function"] for call in calls if call["index"] == 1)["name"] == "f"
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


@each_row("choice", ["named", "allowed"])
def test_it_can_be_chosen(sdk, upstream, api, answer_whole, choice):
    flat, nested = {"type": "custom", "name": "run"}, {"type": "custom", "custom": {"name": "run"}}
    if choice == "allowed":
        of_chat = {"mode": "required", "tools": [nested]}
        flat = {"type": "allowed_tools", "mode": "required", "tools": [flat]}
        nested = {"type": "allowed_tools", "allowed_tools": of_chat}
    for _ in range(2):
        answer_whole()

    sdk.responses.create(**ASKED, tool_choice=flat)
    sdk.chat.completions.create(**CHAT, tools=CHAT_TOOLS, tool_choice=nested)

    theirs = (
        {"type": "custom", "name": "run"} if api == "responses" else {"type": "custom", "custom": {"name": "run"}}
    )
    for sent in upstream.sent:
        assert sent.raw["tool_choice"] == (theirs if choice == "named" else "required")
        assert len(sent.raw["tools"]) == (2 if choice == "named" else 1)


@each_row(
    ("tool", "param"),
    [
        ({"type": "custom"}, "tools[0].name"),
        ({"type": "custom", "name": "a b"}, "tools[0].name"),
        ({"type": "custom", "name": "a", "parameters": {}}, "tools[0].parameters"),
        ({"type": "custom", "name": "a", "format": {"type": "json"}}, "tools[0].format.type"),
        (
            {"type": "custom", "name": "a", "format": {"type": "grammar", "syntax": "lark"}},
            "tools[0].format.definition",
        ),
        ({"type": "custom", "name": "a", "defer_loading": True}, "tools[0].defer_loading"),
    ],
)
def test_a_tool_that_is_wrong_is_refused_by_its_place(app, upstream, tool, param):
    answer = Person(app).post("/v1/responses", {**ASKED, "tools": [tool]})

    assert (answer.status_code, answer.json["error"]["param"]) == (400, param), answer.text
    assert upstream.sent == []


@each_row(
    ("fields", "param"),
    [
        ({"tools": [{"type": "custom", "custom": {}}]}, "tools[0].custom.name"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"tools": [NESTED], "tool_choice": {"type": "custom", "custom": {"name": "b"}}}, "tool_choice"),
        ({"tools": [NESTED], "tool_choice": {"type": "function", "function": {"name": "run"}}}, "tool_choice"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "a", "type": "custom", "custom": {}}]}]},
            "messages[0].tool_calls[0].custom.name",
        ),
    ],
)
def test_a_chat_that_is_wrong_is_refused_by_its_place(app, upstream, fields, param):
    answer = Person(app).post("/v1/chat/completions", {**CHAT, **fields})

    assert (answer.status_code, answer.json["error"]["param"]) == (400, param), answer.text
    assert upstream.sent == []


@each_row("kind", [None, 7, [], {}, ["custom"], {"type": "custom"}])
def test_a_type_that_is_no_text_is_refused(app, upstream, kind):
    person = Person(app)

    tool = person.post("/v1/responses", {**ASKED, "tools": [FUNCTION, {"type": kind, "name": "a"}]})
    choice = person.post("/v1/responses", {**ASKED, "tool_choice": {"type": kind, "name": "run"}})
    chat = person.post("/v1/chat/completions", {**CHAT, "tools": [{"type": kind, "custom": {"name": "a"}}]})

    assert [answer.status_code for answer in (tool, choice, chat)] == [400] * 3
    assert upstream.sent == []


@pytest.mark.parametrize(
    "named", [{"type": "text", "text": "x"}, {"type": "function", "function": "x"}, {"type": []}]
)
def test_an_allowed_tool_that_is_none_is_refused(make_app, upstream, named):
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [named]}

    answer = Person(make_app()).post("/v1/responses", {**ASKED, "tool_choice": choice})

    assert (answer.status_code, answer.json["error"]["param"]) == (400, "tool_choice")
    assert upstream.sent == []


def test_a_result_is_of_a_call_of_its_kind(make_app):
    items = [{"role": "user", "content": "Go."}, ITEM]
    items.append({"type": "function_call_output", "call_id": "call_1", "output": "1"})

    answer = Person(make_app()).post("/v1/responses", {**ASKED, "input": items})

    assert (answer.status_code, answer.json["error"]["param"]) == (400, "input[2].call_id")


def test_a_cached_answer_has_the_call_too(make_app, upstream):
    person = Person(make_app(upstream_api="chat"))
    upstream.answers(completion(None, finish_reason="tool_calls", tool_calls=[CALL]))
    fields = {"tools": [NESTED], "cache": True, "temperature": 0}

    first = person.post("/v1/chat/completions", {**CHAT, **fields})
    chunks = person.post("/v1/chat/completions", {**CHAT, **fields, "stream": True})

    assert first.json["choices"][0]["message"]["tool_calls"] == [CALL]
    assert '"custom":{"name":"run"' in chunks.text
    assert len(upstream.sent) == 1


def test_what_is_moderated_has_the_text(make_app, upstream):
    person = Person(make_app(upstream_api="chat", moderation="both"))
    fine = {"results": [{"flagged": False, "categories": {}}]}
    upstream.answers(fine)
    upstream.answers(completion(None, finish_reason="tool_calls", tool_calls=[CALL]))
    upstream.answers({"results": [{"flagged": True, "categories": {"violence": True}}]})

    turn = {"role": "assistant", "tool_calls": [CALL]}
    result = {"role": "tool", "tool_call_id": "call_1", "content": "a b"}
    messages = [*CHAT["messages"], turn, result]
    answer = person.post("/v1/chat/completions", {**CHAT, "messages": messages, "tools": [NESTED]})

    asked = [sent.raw["input"] for sent in upstream.sent if sent.path.endswith("/moderations")]
    assert all(SOURCE in texts for texts in asked)
    assert (answer.status_code, len(asked)) == (422, 2)
