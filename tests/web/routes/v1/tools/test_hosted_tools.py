"""Tools that run at OpenAI, over POST /v1/responses: what an owner allows, and what each call costs."""

from __future__ import annotations

import json

import openai
import pytest

from app.models.pricing.catalog import Prices
from app.models.token_counts import Usage
from tests.fakes.person import Person
from tests.fakes.tables import each_row, in_part
from tests.fakes.upstreams import hosted_tools as hosted
from tests.fakes.upstreams.openai_answers import error
from tests.fakes.wire.reading import read_typed_events as events_of

ALL = ("web_search", "code_interpreter", "file_search", "mcp")
RESOURCES = ("vs_1", "file-1", "cntr_1", "https://mcp.example.org/sse", "connector_gmail")
ASKED = {"input": "How is the weather?"}
SEARCH = {"type": "web_search", "search_context_size": "low", "filters": {"allowed_domains": ["example.org"]}}
CODE = {"type": "code_interpreter", "container": {"type": "auto", "memory_limit": "4g"}}
FILES = {"type": "file_search", "vector_store_ids": ["vs_1"], "max_num_results": 3}
MCP = {
    "type": "mcp",
    "server_label": "docs",
    "server_url": "https://mcp.example.org/sse",
    "authorization": "caller-secret",
    "headers": {"X-Key": "header-secret"},
    "require_approval": "never",
}
USAGE = {"input_tokens": 9_000, "output_tokens": 30, "total_tokens": 9_030}
TOKENS = Usage(prompt_tokens=9_000, completion_tokens=30)
KINDS = {
    "web_search": (SEARCH, hosted.SEARCH, "ws", 10_000),
    "code_interpreter": (CODE, hosted.CODE, "ci", 120_000),
    "file_search": (FILES, hosted.FILES, "fs", 2_500),
    "mcp": (MCP, hosted.REMOTE, "mcp", 0),
}


@pytest.fixture
def app(make_app):
    return make_app(allowed_openai_tools=ALL, openai_tool_resources=RESOURCES, user_budget_usd=100.0)


@pytest.fixture
def person(app):
    return Person(app)


def ask(person, *tools, **fields):
    return person.post("/v1/responses", {**ASKED, "tools": list(tools), **fields})


def cost_of_tokens(model="gpt-6.1-terra"):
    return Prices().cost_micro_usd(model, TOKENS)


@pytest.mark.parametrize("kind", ALL)
def test_a_call_is_passed_on_carried_back_and_paid_for(person, upstream, kind):
    tool, item, prefix, price = KINDS[kind]
    upstream.answers(hosted.answer(item, usage=USAGE))

    answer = ask(person, tool)

    assert answer.status_code == 200, answer.text
    assert upstream.sent[0].path.endswith("/responses")
    hosted.check_request(upstream.sent[0].raw)
    assert upstream.sent[0].raw["tools"] == [tool]
    called, said = answer.json["output"]
    assert called["id"].startswith(f"{prefix}_") and item["id"] not in answer.text
    assert {"type": called["type"], "status": called["status"]} == {"type": item["type"], "status": "completed"}
    assert said["content"][0]["text"] == "Sunny today."
    assert (person.row()["cost_micro_usd"], person.row()["tool_calls"]) == (cost_of_tokens() + price, 1)


@pytest.mark.parametrize(
    "kind", in_part({kind: kind for kind in ALL}, by_default={"web_search", "code_interpreter"})
)
def test_a_streamed_call_is_the_same(person, upstream, kind):
    tool, item, prefix, price = KINDS[kind]
    upstream.streams_events(*hosted.events(item, usage=USAGE))

    events = events_of(ask(person, tool, stream=True).data)

    names = [event["type"] for event in events]
    theirs = [event["type"] for event in hosted.events(item)]
    assert names == theirs
    called = events[-1]["response"]["output"][0]
    assert called["id"].startswith(f"{prefix}_")
    of_call = [event for event in events if event.get("output_index") == 0]
    assert {event.get("item_id") or event["item"]["id"] for event in of_call} == {called["id"]}
    assert item["id"] not in json.dumps(events)
    assert (person.row()["cost_micro_usd"], person.row()["tool_calls"]) == (cost_of_tokens() + price, 1)


def test_a_plain_and_a_streamed_answer_say_the_same(person, upstream):
    items, notes = (hosted.SEARCH, hosted.OPEN_PAGE, hosted.CODE), (hosted.CITATION, hosted.FILE_CITATION)
    upstream.answers(hosted.answer(*items, annotations=notes))
    upstream.streams_events(*hosted.events(*items, annotations=notes))

    plain = ask(person, SEARCH, CODE).json["output"]
    streamed = events_of(ask(person, SEARCH, CODE, stream=True).data)[-1]["response"]["output"]

    for output in (plain, streamed):
        for item in output:
            del item["id"]
    assert streamed == plain
    assert plain[-1]["content"][0]["annotations"][0] == hosted.CITATION


def test_the_client_of_openai_reads_calls_and_citations(app, connect, upstream):
    upstream.streams_events(*hosted.events(hosted.SEARCH, annotations=[hosted.CITATION]))

    with connect(app).responses.stream(**ASKED, model="gpt-6.1-terra", tools=[SEARCH]) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()

    assert "response.web_search_call.searching" in kinds
    assert kinds.count("response.output_text.annotation.added") == 1
    assert [item.type for item in final.output] == ["web_search_call", "message"]
    assert final.output[1].content[0].annotations[0].url == "https://example.org/a"


def test_only_searches_are_billed_and_code_by_its_container(person, upstream):
    other = {**hosted.CODE, "id": "ci_2"}
    upstream.answers(
        hosted.answer(
            hosted.SEARCH, hosted.OPEN_PAGE, hosted.SEARCH, hosted.CODE, other, hosted.LISTED, usage=USAGE
        )
    )

    ask(person, SEARCH, CODE, MCP)

    assert person.row()["cost_micro_usd"] == cost_of_tokens() + 2 * 10_000 + 120_000


def test_what_the_site_keeps_is_never_named(person, upstream):
    items, notes = (hosted.CODE, hosted.FILES), (hosted.FILE_CITATION,)
    upstream.answers(hosted.answer(*items, annotations=notes))
    upstream.streams_events(*hosted.events(*items, annotations=notes))

    for stream in (False, True):
        answer = ask(person, CODE, FILES, stream=stream).data
        assert b"secret" not in answer
        assert b"prices.pdf" in answer and b"42" in answer


def test_what_lets_a_caller_in_is_not_repeated(person, upstream):
    upstream.answers(hosted.answer(hosted.REMOTE))

    answer = ask(person, MCP)

    assert upstream.sent[0].raw["tools"][0]["authorization"] == "caller-secret"
    repeated = answer.json["tools"][0]
    assert repeated["server_label"] == "docs" and "secret" not in answer.text


def test_the_most_that_the_calls_can_cost_is_held_before(make_app, upstream):
    # 5 searches for 0.01 USD each, and what they bring into the input.
    person = Person(make_app(allowed_openai_tools=ALL, user_budget_usd=0.06))

    refused = ask(person, SEARCH)
    fits = ask(person, SEARCH, max_tool_calls=1, max_output_tokens=100)

    assert refused.status_code == 429 and refused.json["error"]["code"] == "budget_exceeded"
    assert fits.status_code == 200
    assert len(upstream.sent) == 1


def test_a_request_may_lower_the_number_of_calls_and_not_raise_it(person, upstream):
    for asked, sent in ((None, 5), (2, 2), (100, 5)):
        upstream.answers(hosted.answer())
        assert ask(person, SEARCH, max_tool_calls=asked).json["max_tool_calls"] == sent
        assert upstream.sent[-1].raw["max_tool_calls"] == sent


def test_a_stream_that_breaks_off_is_paid_for_with_the_calls_seen(person, upstream):
    begun = hosted.events(hosted.SEARCH)[:-3]
    upstream.streams_events(*begun)

    events = events_of(ask(person, SEARCH, stream=True).data)

    assert events[-1]["type"] == "response.failed"
    at_least = 2 * 10_000  # the one that was seen, and one that may have begun
    assert at_least <= person.row()["cost_micro_usd"] <= person.row()["held_micro_usd"]
    assert person.row()["source"] == "estimated"


def test_an_unfinished_call_of_a_failed_stream_has_failed(person, upstream):
    upstream.streams_events(*hosted.events(hosted.SEARCH)[:4])

    last = events_of(ask(person, SEARCH, stream=True).data)[-1]

    assert [item["status"] for item in last["response"]["output"]] == ["failed"]


@each_row(
    ("tool", "param"),
    [
        ({**SEARCH, "secret": 1}, "tools[0].secret"),
        ({**SEARCH, "search_context_size": "huge"}, "tools[0].search_context_size"),
        ({**SEARCH, "filters": {"allowed_domains": ["a"] * 101}}, "tools[0].filters.allowed_domains"),
        ({"type": "code_interpreter"}, "tools[0].container"),
        ({"type": "code_interpreter", "container": "cntr_other"}, "tools[0].container"),
        (
            {"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["file-other"]}},
            "tools[0].container.file_ids",
        ),
        (
            {"type": "code_interpreter", "container": {"type": "auto", "network_policy": {"type": "allowlist"}}},
            "tools[0].container.network_policy",
        ),
        ({**FILES, "vector_store_ids": ["vs_1", "vs_other"]}, "tools[0].vector_store_ids"),
        ({**MCP, "server_url": "https://elsewhere.example"}, "tools[0].server_url"),
        ({**MCP, "require_approval": "always"}, "tools[0].require_approval"),
        ({name: value for name, value in MCP.items() if name != "require_approval"}, "tools[0].require_approval"),
        ({**MCP, "connector_id": "connector_gmail"}, "tools[0].server_url"),
    ],
)
def test_tools_are_held_to_their_fields_and_to_what_the_owner_names(person, upstream, tool, param):
    answer = ask(person, tool)

    assert (answer.status_code, answer.json["error"]["param"]) == (400, param)
    assert upstream.sent == []


def test_what_the_owner_names_may_be_used(person, upstream):
    for tool in (
        {"type": "code_interpreter", "container": "cntr_1"},
        {"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["file-1"]}},
        {"type": "mcp", "server_label": "mail", "connector_id": "connector_gmail", "require_approval": "never"},
        {**FILES, "filters": {"type": "eq", "key": "year", "value": 2026}},
    ):
        upstream.answers(hosted.answer())
        assert ask(person, tool).status_code == 200
        assert upstream.sent[-1].raw["tools"] == [tool]


def test_only_what_the_owner_allows_is_taken(make_app, upstream):
    person = Person(make_app(allowed_openai_tools=("web_search",)))
    upstream.answers(hosted.answer())

    assert ask(person, SEARCH).status_code == 200
    answer = ask(person, SEARCH, CODE)

    assert (answer.status_code, answer.json["error"]["param"]) == (400, "tools[1]")
    assert "the type code_interpreter is not accepted" in answer.json["error"]["message"]


@each_row(
    "tool",
    [
        {"type": "shell", "environment": {"type": "container_auto"}},
        {"type": "local_shell"},
        {"type": "apply_patch"},
        {"type": "web_search_preview"},
    ],
)
def test_what_cannot_be_allowed_is_refused_beside_all_that_can(person, upstream, tool):
    answer = ask(person, SEARCH, tool)

    assert (answer.status_code, answer.json["error"]["param"]) == (400, "tools[1]")
    assert f"the type {tool['type']} is not accepted" in answer.json["error"]["message"]
    assert upstream.sent == []


def test_a_tool_can_be_chosen_beside_functions(person, upstream):
    function = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
    upstream.answers(hosted.answer())

    chosen = ask(person, function, SEARCH, tool_choice={"type": "web_search"}, parallel_tool_calls=False)
    missing = ask(person, function, tool_choice={"type": "web_search"})

    assert chosen.status_code == 200
    sent = upstream.sent[0].raw
    assert [tool["type"] for tool in sent["tools"]] == ["function", "web_search"]
    assert (sent["tool_choice"], sent["parallel_tool_calls"]) == ({"type": "web_search"}, False)
    assert (missing.status_code, missing.json["error"]["param"]) == (400, "tool_choice")


def test_what_an_answer_shall_tell_is_asked_for_of_the_tools_that_are_there(person, upstream):
    upstream.answers(hosted.answer())
    wanted = ["web_search_call.action.sources", "code_interpreter_call.outputs", "reasoning.encrypted_content"]

    ask(person, SEARCH, include=wanted)

    assert upstream.sent[0].raw["include"] == ["web_search_call.action.sources", "reasoning.encrypted_content"]


def test_an_answer_can_be_sent_back_with_its_items(person, upstream):
    upstream.answers(hosted.answer(hosted.SEARCH, hosted.CODE, hosted.LISTED, annotations=[hosted.CITATION]))
    first = ask(person, SEARCH, CODE, MCP).json

    turns = [{"role": "user", "content": "Hi"}, *first["output"], {"role": "user", "content": "And now?"}]
    answer = person.post("/v1/responses", {"input": turns})

    assert answer.status_code == 200, answer.text
    said = [turn["content"] for turn in upstream.sent[-1].body["messages"]]
    assert said == ["Hi", "Sunny today.", "And now?"]


def test_a_server_of_chat_completions_only_says_so(make_app, upstream):
    person = Person(make_app(allowed_openai_tools=ALL, openai_base_url="http://127.0.0.1:9/v1"))
    upstream.answers(error("File Not Found"), status=404)

    learnt, known = ask(person, SEARCH), ask(person, SEARCH)

    for answer in (learnt, known):
        assert (answer.status_code, answer.json["error"]["param"]) == (400, "tools")
    assert len(upstream.sent) == 1


def test_an_answer_with_tools_is_never_a_cached_one(make_app, upstream):
    person = Person(make_app(allowed_openai_tools=ALL))
    for _ in range(2):
        upstream.answers(hosted.answer(hosted.SEARCH))
        assert ask(person, SEARCH, cache=True, temperature=0).json["output"][0]["type"] == "web_search_call"


def test_the_clients_error_names_the_tool(make_app, connect):
    with pytest.raises(openai.BadRequestError, match="the type web_search is not accepted"):
        connect(make_app()).responses.create(**ASKED, model="gpt-6.1-terra", tools=[{"type": "web_search"}])
