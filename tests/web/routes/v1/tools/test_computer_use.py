"""A computer of the client's, over POST /v1/responses: what an owner allows, and what goes back and forth."""

from __future__ import annotations

import base64
import json
import math

import openai
import pytest

from app.media.images import max_image_tokens
from app.models.pricing.catalog import Prices
from app.models.token_counts import Usage
from tests.fakes.person import Person
from tests.fakes.tables import each_row
from tests.fakes.upstreams import computer_use as computer
from tests.fakes.upstreams import hosted_tools as hosted
from tests.fakes.upstreams.openai_answers import error
from tests.fakes.wire.reading import read_typed_events as events_of
from tests.media.images.pictures import decoded, encoded, photo

MODEL, LATER = "computer-use-preview", "gpt-5.4"
GA = {"type": "computer"}
SCREEN = encoded(photo(1024, 768), "PNG", compress_level=1)
URL = f"data:image/png;base64,{base64.b64encode(SCREEN).decode()}"
USAGE = {"input_tokens": 2_000, "output_tokens": 30, "total_tokens": 2_030}
TOLD = {"usage": USAGE, "model": MODEL}
ASKED = {"model": MODEL, "input": "Open the mail.", "tools": [computer.PREVIEW]}


@pytest.fixture
def app(make_app):
    return make_app(allowed_openai_tools=("computer_use",), allowed_models=(MODEL, LATER), user_budget_usd=100.0)


@pytest.fixture
def person(app):
    return Person(app)


def ask(person, **fields):
    return person.post("/v1/responses", {**ASKED, **fields})


def screenshot(call_id="call_1", url=URL, **fields):
    output = {"type": "computer_screenshot", "image_url": url}
    return {"type": "computer_call_output", "call_id": call_id, "output": output, **fields}


def conversation(*items):
    return [{"role": "user", "content": "Open the mail."}, *items]


def test_a_call_is_given_and_its_screenshot_taken(person, upstream):
    upstream.answers(computer.answer(computer.call(computer.CLICK, checks=[computer.CHECK]), **TOLD))
    first = ask(person)
    [called] = first.json["output"]
    upstream.answers(computer.answer(text="Done.", **TOLD))
    second = ask(
        person, input=conversation(called, screenshot(acknowledged_safety_checks=[computer.CHECK])), stream=False
    )

    assert (first.status_code, second.status_code) == (200, 200), second.text
    assert "cu_upstream" not in first.text
    assert first.json["truncation"] == "auto"
    assert first.json["tools"] == [computer.PREVIEW]
    assert openai.types.responses.ResponseComputerToolCall.model_validate(called).action.x == 12
    assert (called["call_id"], called["status"]) == ("call_1", "completed")
    assert called["pending_safety_checks"] == [computer.CHECK]
    for sent in upstream.sent:
        assert sent.path.endswith("/responses")
        computer.check_request(sent.raw)
        assert sent.raw["tools"] == [computer.PREVIEW]
    _, call, result = upstream.sent[1].raw["input"]
    assert call["id"] != called["id"]
    assert {name: call[name] for name in ("type", "call_id", "action", "pending_safety_checks", "status")} == {
        "type": "computer_call",
        "call_id": "call_1",
        "action": computer.CLICK,
        "pending_safety_checks": [computer.CHECK],
        "status": "completed",
    }
    assert result == {
        "type": "computer_call_output",
        "call_id": "call_1",
        "output": {"type": "computer_screenshot", "image_url": URL},
        "acknowledged_safety_checks": [computer.CHECK],
    }
    cost = Prices().cost_micro_usd(MODEL, Usage(prompt_tokens=2_000, completion_tokens=30))
    assert [row["cost_micro_usd"] for row in person.rows()] == [cost, cost]


def test_later_models_do_several_things_in_a_row(person, upstream):
    actions = [computer.CLICK, {"type": "type", "text": "Hi"}, {"type": "screenshot"}]
    upstream.answers(computer.answer(computer.call(*actions)))
    [called] = ask(person, model=LATER, tools=[GA]).json["output"]
    upstream.answers(computer.answer(text="Done."))
    detailed = screenshot()
    detailed["output"]["detail"] = "original"
    answer = ask(person, model=LATER, tools=[GA], input=conversation(called, detailed))

    assert answer.status_code == 200, answer.text
    assert called["actions"] == actions
    assert "action" not in called
    _, call, result = upstream.sent[1].raw["input"]
    assert call["actions"] == actions
    assert result["output"]["detail"] == "original"
    computer.check_request({**upstream.sent[1].raw, "input": "the client's types know no detail"})


def test_a_streamed_call_is_the_same(app, person, connect, upstream):
    calls = computer.call(computer.CLICK), computer.call({"type": "wait"}, call_id="call_2")
    upstream.answers(computer.answer(*calls))
    upstream.streams_events(*computer.events(*calls, usage=USAGE))
    upstream.streams_events(*computer.events(*calls))

    plain = ask(person).json["output"]
    events = events_of(ask(person, stream=True).data)
    with connect(app).responses.stream(**ASKED) as stream:
        final = stream.get_final_response()

    streamed = events[-1]["response"]["output"]
    assert [event["type"] for event in events] == [event["type"] for event in computer.events(*calls)]
    assert [item["status"] for event in events if (item := event.get("item"))] == ["in_progress", "completed"] * 2
    for output in (plain, streamed):
        for item in output:
            assert item.pop("id").startswith("cu_")
    assert streamed == plain
    assert [item.type for item in final.output] == ["computer_call"] * 2


def test_what_was_reasoned_before_a_call_comes_back_before_it(person, upstream):
    thought = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "gAAA"}
    upstream.answers(computer.answer(thought, computer.call(computer.CLICK)))
    asked = {"model": LATER, "tools": [GA], "include": ["reasoning.encrypted_content"]}
    reasoned, called = ask(person, **asked).json["output"]

    answer = ask(person, **asked, input=conversation(reasoned, called, screenshot()))

    assert (reasoned["type"], answer.status_code) == ("reasoning", 200)
    assert [item.get("type") for item in upstream.sent[1].raw["input"]] == [
        None,
        "reasoning",
        "computer_call",
        "computer_call_output",
    ]


def test_a_screenshot_keeps_its_size_and_counts_as_an_image(make_app, upstream):
    """By its pixels the model says where to click."""
    person = Person(make_app(allowed_openai_tools=("computer",), allowed_models=(LATER,), max_image_detail="low"))
    large = encoded(photo(2_560, 1_440), "JPEG")
    url = f"data:image/jpeg;base64,{base64.b64encode(large).decode()}"
    called = computer.call(computer.CLICK)
    del called["id"]
    holds = []

    def sent_with(*items):
        upstream.answers(computer.answer(text="Done.", usage=None))
        assert ask(person, model=LATER, tools=[GA], input=conversation(*items)).status_code == 200
        holds.append(person.rows()[-1]["prompt_tokens"])

    sent_with(called, screenshot(url=url))
    size = decoded(
        base64.b64decode(upstream.sent[0].raw["input"][2]["output"]["image_url"].partition(",")[2])
    ).size

    assert size == (2_560, 1_440)
    assert upstream.sent[0].raw["input"][2]["output"]["detail"] == "low"
    assert holds[0] < 10_000 < len(url), "not by the bytes of its URL"


def test_the_hold_has_the_screenshot(make_app, upstream):
    called = computer.call(computer.CLICK)
    tokens = math.ceil(max_image_tokens((1024, 768), "auto", MODEL))
    price = Prices().bound_micro_usd(MODEL, tokens, 1, None) / 1e6
    person = Person(
        make_app(allowed_openai_tools=("computer_use",), allowed_models=(MODEL,), anonymous_budget_usd=price)
    )

    answer = ask(person, input=conversation(called, screenshot()), max_output_tokens=16)

    assert (answer.status_code, answer.json["error"]["code"]) == (429, "budget_exceeded")
    assert upstream.sent == []


@pytest.mark.parametrize("allowed", [(), ("web_search",)])
def test_without_the_owners_word_it_is_refused(make_app, upstream, allowed):
    person = Person(make_app(allowed_openai_tools=allowed, allowed_models=(MODEL,)))

    tool = ask(person)
    item = ask(person, tools=[], input=conversation(computer.call(computer.CLICK), screenshot()))

    assert (tool.status_code, tool.json["error"]["param"]) == (400, "tools[0]")
    assert "the type computer_use_preview is not accepted" in tool.json["error"]["message"]
    assert (item.status_code, item.json["error"]["param"]) == (400, "input[1]")
    assert "the type computer_call is not accepted" in item.json["error"]["message"]
    assert upstream.sent == []


def test_the_owner_may_allow_one_type_only(make_app, upstream):
    person = Person(make_app(allowed_openai_tools=("computer",), allowed_models=(MODEL, LATER)))
    upstream.answers(computer.answer(text="Done."))

    assert ask(person, model=LATER, tools=[GA], tool_choice={"type": "computer"}).status_code == 200
    assert upstream.sent[0].raw["tool_choice"] == {"type": "computer"}
    assert ask(person).json["error"]["param"] == "tools[0]"


@each_row(
    ("fields", "param"),
    [
        ({"tools": [{**computer.PREVIEW, "display_width": 0}]}, "tools[0].display_width"),
        ({"tools": [{**computer.PREVIEW, "environment": "moon"}]}, "tools[0].environment"),
        ({"tools": [{**GA, "display_width": 9}]}, "tools[0].display_width"),
        ({"tools": [], "tool_choice": {"type": "computer"}}, "tool_choice"),
        ({"input": conversation({"type": "computer_call", "call_id": "c"})}, "input[1]"),
        ({"input": conversation(screenshot())}, "input[1].call_id"),
        ({"input": conversation(computer.call(computer.CLICK))}, "input[1].call_id"),
        (
            {"input": conversation(computer.call(computer.CLICK), screenshot(url="data:image/png;base64,QUJD"))},
            "input[2].output.image_url",
        ),
        (
            {"input": conversation(computer.call(computer.CLICK), screenshot(url="http://10.0.0.1/a.png"))},
            "input[2].output.image_url",
        ),
        (
            {
                "input": conversation(
                    computer.call(computer.CLICK),
                    {**screenshot(), "output": {"type": "computer_screenshot", "file_id": "file-1"}},
                )
            },
            "input[2]",
        ),
        (
            {"input": conversation(computer.call(computer.CLICK), {**screenshot(), "output": "done"})},
            "input[2].output",
        ),
    ],
)
def test_what_is_wrong_is_refused_by_its_place(person, upstream, fields, param):
    answer = ask(person, **fields)

    assert (answer.status_code, answer.json["error"]["param"]) == (400, param), answer.text
    assert upstream.sent == []


def test_a_computer_can_be_used_beside_functions_and_tools_that_openai_runs(make_app, upstream):
    person = Person(
        make_app(allowed_openai_tools=("computer_use", "web_search"), allowed_models=(LATER,), user_budget_usd=9.0)
    )
    function = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
    upstream.answers(computer.answer(text="Done."))

    allowed = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "computer"}, {"type": "web_search"}]}
    answer = ask(person, model=LATER, tools=[function, GA, {"type": "web_search"}], tool_choice=allowed)

    assert answer.status_code == 200, answer.text
    assert [tool["type"] for tool in upstream.sent[0].raw["tools"]] == ["computer", "web_search"]
    assert answer.json["tools"] == [GA, {"type": "web_search"}]


def test_a_conversation_goes_on_without_the_tool(person, upstream):
    """As after a handoff to an agent that has none."""
    upstream.answers(computer.answer(text="Done."))

    answer = ask(person, tools=[], input=conversation(computer.call(computer.CLICK), screenshot()))

    assert answer.status_code == 200, answer.text
    assert upstream.sent[0].path.endswith("/responses")


def test_a_server_of_chat_completions_only_says_so(make_app, upstream):
    person = Person(
        make_app(
            allowed_openai_tools=("computer_use",),
            allowed_models=(MODEL,),
            openai_base_url="http://127.0.0.1:9/v1",
        )
    )
    upstream.answers(error("File Not Found"), status=404)

    for _ in range(2):
        answer = ask(person)
        assert (answer.status_code, answer.json["error"]["param"]) == (400, "tools")
    assert len(upstream.sent) == 1


def test_a_failed_stream_gives_no_call_to_act_on(person, upstream):
    *begun, _ = computer.events(computer.call(computer.CLICK))
    upstream.streams_events(*begun[:3], {"type": "error", "code": "server_error", "message": "x"})

    *_, last = events_of(ask(person, stream=True).data)

    assert last["type"] == "response.failed"
    assert "click" not in json.dumps(last)


@each_row("field", ["type", "call_id", "action", "pending_safety_checks"])
@each_row("odd", [None, 7, "", [], {}, [None]])
def test_an_odd_call_of_a_server_is_its_fault(person, upstream, field, odd):
    upstream.answers(computer.answer({**computer.call(computer.CLICK), field: odd}, text="Done."))

    answer = ask(person)

    assert answer.status_code in (200, 502), answer.text
    assert upstream.sent


class Screen:
    """A driver that does nothing, and always shows the same."""

    def __getattr__(self, name):
        if name in ("click", "double_click", "drag", "keypress", "move", "scroll", "type", "wait"):
            return lambda action: None
        raise AttributeError(name)

    def screenshot(self):
        return {"type": "computer_screenshot", "image_url": URL}


@pytest.mark.parametrize("streams", [False, True])
def test_the_loop_of_openais_client_runs_to_its_end(app, connect, upstream, streams):
    thought = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "gAAA"}
    called = computer.call(computer.CLICK, {"type": "screenshot"})
    if streams:
        upstream.streams_events(*computer.events(thought, called))
        upstream.streams_events(*hosted.events(text="All done."))
    else:
        upstream.answers(computer.answer(thought, called))
        upstream.answers(computer.answer(text="All done."))

    from openai.lib.computer import ComputerToolset  # builds models for half a second
    from openai.lib.responses_tool_runner import ResponsesToolRunner

    runner = ResponsesToolRunner(computer=ComputerToolset(Screen()))
    answer = runner.run(connect(app), {"model": LATER, "input": "Go."}, stream=streams, eager=streams)

    assert answer.output_text == "All done."
    kinds = [item.get("type") for item in upstream.sent[1].raw["input"]]
    assert kinds == [None, "reasoning", "computer_call", "computer_call_output"]
