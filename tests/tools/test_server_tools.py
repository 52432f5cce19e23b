"""Tools that this server runs: what the model is sent, what the caller is told, and what is left in the ledger."""

from __future__ import annotations

import json
import logging
import re
import threading
from contextlib import ExitStack, closing
from itertools import count

import httpx2
import pytest

from app import create_app
from app.auth import Principal
from app.config import Config
from app.openai_service import ChatCall, Done, Token, ToolRun
from app.openai_service.errors import CallerGone
from app.openai_service.tools.executor import MAX_RESULT_CHARS, ToolExecutor
from app.tools import Toolbox, ToolContext, ToolError, tool
from app.tools.declaring import find_tool
from tests.conftest import ORIGIN
from tests.fakes.site import bearer
from tests.fakes.tables import each_row, further
from tests.fakes.upstreams.openai_answers import MODEL, USAGE, chunk, completion, error, sse, stream_of
from tests.fakes.wire.reading import events_of

CHAT, STREAM = "/api/chat", "/api/chat/stream"
FIRST, SECOND = "gpt-6.1-terra", "gpt-6-luna"
SECRET = "canary-4711"
SOMEBODY = Principal(kind="anonymous", tenant="default", user="address:10.0.0.1", scopes=frozenset({"chat"}))
_numbers = count(1)


class Shop:
    """What the tools below do, and see."""

    def __init__(self):
        self.seen = []
        self.gate = threading.Event()
        self.together = threading.Barrier(3)


@pytest.fixture
def shop():
    shop = Shop()
    yield shop
    shop.gate.set()


@pytest.fixture
def tools(shop):
    @tool
    def order_status(order_id: str, context: ToolContext) -> dict[str, str]:
        """Look up an order.

        Args:
            order_id: as printed on the receipt.
        """
        shop.seen.append((order_id, context))
        return {"order": order_id, "status": "on its way"}

    @tool
    def break_down(order_id: str = "") -> str:
        """Break."""
        raise RuntimeError(f"{SECRET} {order_id}")

    @tool
    def leave_the_shop() -> str:
        """Leave."""
        raise SystemExit(1)

    @tool
    def refuse() -> str:
        """Refuse."""
        raise ToolError("The shop is closed; ask for opening_hours.")

    @tool
    def hang() -> str:
        """Hang until the test is over."""
        shop.gate.wait(20)
        return "late"

    @tool(timeout_s=0.01)
    def hang_shortly() -> str:
        """Hang, but for less."""
        shop.gate.wait(20)
        return "late"

    @tool
    def meet() -> str:
        """Wait until three are here."""
        return f"number {shop.together.wait(5)}"

    @tool
    def tell(what: str) -> object:
        """Tell what is odd."""
        return {"nothing": None, "half": "\ud800!", "unsendable": object(), "long": "x" * (MAX_RESULT_CHARS + 1)}[
            what
        ]

    return [order_status, break_down, leave_the_shop, refuse, hang, hang_shortly, meet, tell]


@pytest.fixture
def make_shop_app(make_app, tools, monkeypatch):
    declared = {function.__name__: find_tool(function) for function in tools}
    monkeypatch.setattr("app.services.load_tools", lambda _, allowed, **__: Toolbox(declared, frozenset(allowed)))

    def make(**settings):
        settings = {"allowed_tools": tuple(declared), "chat_fallback_models": (), **settings}
        return make_app(**settings)

    return make


class Person:
    """One who asks, told apart by an address of its own."""

    def __init__(self, app):
        number = next(_numbers)
        self.address = f"10.8.{number >> 8}.{number & 255}"
        self._client = app.test_client()
        self._database = app.extensions["gatehouse"].database

    def post(self, route=CHAT, names=("order_status",), **fields):
        where = {"REMOTE_ADDR": self.address}
        body = {"message": "Where is my order?", "serverTools": list(names), **fields}
        return self._client.post(route, json=body, environ_overrides=where, buffered=False)

    def ask(self, *names, **fields):
        answer = self.post(CHAT, names or ("order_status",), **fields)
        assert answer.status_code == 200, answer.text
        return answer.json

    def read(self, *names, **fields):
        return events_of(self.post(STREAM, names or ("order_status",), **fields).data)

    def row(self):
        with self._database.read_transaction() as connection:
            user = f"address:{self.address}"
            [row] = connection.fetch_rows("SELECT * FROM entries WHERE user_id = ?", (user,))
        assert row["state"] == "settled"
        return row


@pytest.fixture
def somebody(make_shop_app):
    with ExitStack() as stack:

        def make(**settings):
            app = make_shop_app(**settings)
            stack.enter_context(closing(app.extensions["gatehouse"].database))
            return Person(app)

        yield make


@pytest.fixture
def person(somebody):
    return somebody()


def call(name="order_status", arguments='{"order_id": "7"}', id="call_1"):  # noqa: A002
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def calling(*calls, text=None, **fields):
    """An answer that calls these tools."""
    return completion(text, finish_reason="tool_calls", tool_calls=list(calls), **fields)


def streamed_calls(*calls, text="", usage=USAGE):
    """The same as a stream, cut into single letters where nothing else is said."""
    payloads = [chunk({"role": "assistant", "content": None})]
    payloads += [chunk({"content": text})] if text else []
    for index, one in enumerate(calls):
        head = {"index": index, **one, "function": {**one["function"], "arguments": ""}}
        payloads.append(chunk({"tool_calls": [head]}))
    longest = max(len(one["function"]["arguments"]) for one in calls)
    for at in range(longest):  # of several calls in turn
        for index, one in enumerate(calls):
            if letter := one["function"]["arguments"][at : at + 1]:
                payloads.append(chunk({"tool_calls": [{"index": index, "function": {"arguments": letter}}]}))
    payloads += [chunk(finish_reason="tool_calls"), {**chunk(), "choices": [], "usage": usage}, "[DONE]"]
    return payloads


def results_in(sent):
    """What the model was told by the tools of the last round, by the ids of its calls."""
    messages = sent.body["messages"]
    last = max(number for number, message in enumerate(messages) if message["role"] == "assistant")
    assert [message["role"] for message in messages[last + 1 :]] == ["tool"] * (len(messages) - last - 1)
    return {message["tool_call_id"]: message["content"] for message in messages[last + 1 :]}


def runs(events):
    return [(event["tool"]["id"], event["tool"]["status"]) for event in events if "tool" in event]


class TestARound:
    @pytest.mark.chat_form
    def test_the_model_is_offered_the_tools_and_told_what_they_return(self, person, upstream, shop):
        upstream.answers(calling(call()))
        upstream.answers(completion("It is on its way."))

        answer = person.ask()

        first, second = upstream.sent
        [offered] = first.body["tools"]
        assert offered == {
            "type": "function",
            "function": {
                "name": "order_status",
                "description": "Look up an order.",
                "parameters": {
                    "type": "object",
                    "properties": {"order_id": {"type": "string", "description": "as printed on the receipt."}},
                    "required": ["order_id"],
                    "additionalProperties": False,
                },
                "strict": True,
            },
        }
        asked = {"role": "user", "content": "Where is my order?"}
        assert first.body["messages"] == [asked]
        assert second.body == first.body | {
            "messages": [
                asked,
                {"role": "assistant", "content": None, "tool_calls": [call()]},
                {
                    "role": "tool",
                    "tool_call_id": "call_1",
                    "content": '{"order":"7","status":"on its way"}',
                },
            ]
        }
        [(order_id, context)] = shop.seen
        assert order_id == "7"
        assert context.user == f"address:{person.address}"
        assert context.tenant == "default"
        [run] = answer.pop("toolRuns")
        assert (run.pop("ms") >= 0, run) == (True, {"id": "call_1", "name": "order_status", "status": "done"})
        usage = {"prompt_tokens": 18, "completion_tokens": 6, "total_tokens": 24}
        assert re.fullmatch("chatcmpl-[0-9a-f]{32}", answer.pop("id"))
        assert answer == {
            "reply": "It is on its way.",
            "finishReason": "stop",
            "usage": usage,
            "model": MODEL,
            "role": "assistant",
            "content": "It is on its way.",
        }

    def test_it_is_one_row_of_the_ledger_with_all_tokens_and_the_calls(self, person, upstream):
        upstream.answers(calling(call(), call(id="call_2")))
        upstream.answers(calling(call()))
        upstream.answers(completion())

        person.ask()

        row = person.row()
        assert (row["outcome"], row["source"], row["tool_calls"], row["attempts"]) == (
            "complete",
            "reported",
            3,
            3,
        )
        assert (row["prompt_tokens"], row["completion_tokens"]) == (27, 9)

    def test_without_a_call_it_is_an_answer_like_any_other(self, person, upstream):
        answer = person.ask()
        assert "toolRuns" not in answer
        assert len(upstream.sent) == 1
        assert person.row()["tool_calls"] == 0

    def test_calls_of_one_answer_run_side_by_side_and_keep_their_order(self, person, upstream):
        upstream.answers(calling(*(call("meet", "{}", id=f"call_{n}") for n in range(3))))

        answer = person.ask("meet")

        told = results_in(upstream.sent[1])
        assert list(told) == ["call_0", "call_1", "call_2"]
        assert set(told.values()) == {"number 0", "number 1", "number 2"}
        assert len(answer["toolRuns"]) == 3

    def test_words_beside_a_call_go_back_to_the_model(self, person, upstream):
        upstream.answers(calling(call(), text="Let me look."))
        assert person.ask()["reply"] == "Hello there"
        said = upstream.sent[1].body["messages"][1]
        assert said == {"role": "assistant", "content": "Let me look.", "tool_calls": [call()]}

    def test_a_call_without_an_id_gets_one(self, person, upstream):
        upstream.answers(calling(call(id=""), call(id="")))
        person.ask()
        said, *told = upstream.sent[1].body["messages"][1:]
        assert (
            [one["id"] for one in said["tool_calls"]]
            == [one["tool_call_id"] for one in told]
            == ["call_0", "call_1"]
        )

    def test_a_choice_that_is_forced_is_forced_once(self, person, upstream):
        upstream.answers(calling(call()))
        person.ask(toolChoice="required")
        assert [sent.body.get("tool_choice") for sent in upstream.sent] == ["required", None]

    def test_an_answer_that_was_cut_runs_nothing(self, person, upstream, shop):
        upstream.answers(completion("", finish_reason="length", tool_calls=[call(arguments='{"order')]))
        answer = person.ask()
        assert answer["finishReason"] == "length"
        assert "toolCalls" not in answer
        assert (shop.seen, len(upstream.sent)) == ([], 1)


class TestAStream:
    @pytest.mark.chat_form
    def test_fragments_of_parallel_calls_are_put_together(self, person, upstream, shop):
        calls = [call(), call(arguments='{"order_id": "Ж-8"}', id="call_2")]
        upstream.streams(*streamed_calls(*calls, text="Let me look. "))
        upstream.streams(*stream_of("It ", "is."))

        *told, done = person.read()

        assert {order_id for order_id, _ in shop.seen} == {"7", "Ж-8"}
        said = upstream.sent[1].body["messages"][1]
        assert said == {"role": "assistant", "content": "Let me look. ", "tool_calls": calls}
        assert [event["token"] for event in told if "token" in event] == ["Let me look. ", "It ", "is."]
        assert sorted(runs(told)) == [
            ("call_1", "done"),
            ("call_1", "running"),
            ("call_2", "done"),
            ("call_2", "running"),
        ]
        kinds = ["token" if "token" in event else event["tool"]["status"] for event in told]
        assert kinds == ["token", "running", "running", "done", "done", "token", "token"]
        usage = {"prompt_tokens": 18, "completion_tokens": 6, "total_tokens": 24}
        expected = {"done": True, "finishReason": "stop", "usage": usage, "model": MODEL}
        assert re.fullmatch("chatcmpl-[0-9a-f]{32}", done.pop("id"))
        assert done == expected
        row = person.row()
        assert (row["tool_calls"], row["prompt_tokens"], row["completion_tokens"]) == (2, 18, 6)
        assert (row["outcome"], row["source"]) == ("complete", "reported")
        assert upstream.open_streams == 0

    def test_the_body_cut_at_each_byte(self, person, upstream, shop):
        data = sse(*streamed_calls(call()))
        upstream.streams_bytes([data[at : at + 1] for at in range(len(data))])
        upstream.streams(*stream_of("Yes"))
        assert person.read()[-1]["finishReason"] == "stop"
        assert [order_id for order_id, _ in shop.seen] == ["7"]

    def test_its_events_are_the_words_the_tools_and_one_end(self, make_shop_app, tools, upstream):
        upstream.streams(*streamed_calls(call(), text="Let me look."))
        upstream.streams(*stream_of("Yes"))
        parts = make_shop_app().extensions["gatehouse"]
        offered = parts.toolbox.offer_to(SOMEBODY, "r1").resolve(["order_status"])
        asked = ChatCall("chat", [{"role": "user", "content": "Hi"}], "r1", server_tools=offered)
        with closing(parts.openai_service.stream_chat(asked)) as stream:
            events = [event for batch in stream for event in batch]
        assert [type(event) for event in events] == [Token, ToolRun, ToolRun, Token, Done]
        # The calls' own chunks count as well: the two that hold text, and each piece of the arguments.
        assert stream.record.received >= 4 + len('{"order_id": "7"}')

    def test_no_piece_of_a_call_is_told(self, person, upstream):
        upstream.streams(*streamed_calls(call(arguments=json.dumps({"order_id": SECRET}))))
        upstream.streams(*stream_of("Yes"))
        data = person.post(STREAM).data
        assert SECRET.encode() not in data
        assert b"on its way" not in data
        assert b"arguments" not in data

    def test_a_failure_before_the_tools_keeps_its_status_and_one_after_them_is_an_event(self, person, upstream):
        upstream.answers(error(), status=400)
        assert person.post(STREAM).status_code == 400
        upstream.streams(*streamed_calls(call()))
        upstream.answers(error(), status=400)
        *_, last = person.read()
        assert (last["error"], last["code"]) == ("The model does not accept this request.", "invalid_request")

    def test_the_plain_text_route_tells_text_only(self, make_shop_app, upstream, tmp_path):
        (tmp_path / "shop.toml").write_text('system = "You keep a shop."\ntools = ["order_status"]\n')
        client = make_shop_app(prompts_dir=str(tmp_path), allowed_tools=()).test_client()
        upstream.streams(*streamed_calls(call()))
        upstream.streams(*stream_of("Yes"))
        body = {"chatSettings": {}, "messages": [{"role": "user", "content": "Hi"}], "promptName": "shop"}
        assert client.post("/api/chat/openai", json=body).text == "Yes"


class TestWhatTheModelIsToldInsteadOfAResult:
    @each_row(
        ("name", "arguments", "told"),
        [
            ("order_status", '{"order_id": "7', "The arguments are not valid JSON: "),
            ("order_status", "order 7, please", "The arguments are not valid JSON: "),
            ("order_status", "", "The arguments do not match the schema. order_id: Field required."),
            ("order_status", "[1]", "The arguments do not match the schema. all: "),
            ("order_status", '{"order_id": 7}', "The arguments do not match the schema. order_id: "),
            (
                "order_status",
                '{"order_id": "7", "context": {}}',
                "The arguments do not match the schema. context: ",
            ),
            ("refuse", "{}", "The shop is closed; ask for opening_hours."),
            ("break_down", "{}", "The tool failed."),
            ("leave_the_shop", "{}", "The tool failed."),
            ("tell", '{"what": "unsendable"}', "The tool failed."),
            ("tell", '{"what": "long"}', "The tool's result is too long: it has 100,001 characters of at most"),
            ("hang_shortly", "{}", "The tool took too long."),
            ("os.system", "{}", "There is no tool of this name."),
            ("current_time", "{}", "There is no tool of this name."),
        ],
    )
    def test_it_may_mend_that(self, person, upstream, name, arguments, told, shop):
        upstream.answers(calling(call(name, arguments)))
        answer = person.ask("order_status", "refuse", "break_down", "leave_the_shop", "tell", "hang_shortly")
        assert results_in(upstream.sent[1])["call_1"].startswith(told)
        [run] = answer["toolRuns"]
        assert (run["status"], run["ms"] < 5000) == ("failed", True)
        assert answer["reply"] == "Hello there"
        assert shop.seen == []

    @pytest.mark.parametrize(("what", "told"), [("nothing", "null"), ("half", "?!")])
    def test_an_odd_result_is_one_too(self, person, upstream, what, told):
        upstream.answers(calling(call("tell", json.dumps({"what": what}))))
        assert person.ask("tell")["toolRuns"][0]["status"] == "done"
        assert results_in(upstream.sent[1]) == {"call_1": told}

    def test_what_does_not_fit_is_told_shortly(self, person, upstream):
        arguments = {f"field_{number}": "x" * 1000 for number in range(1000)}
        upstream.answers(calling(call(arguments=json.dumps(arguments))))
        person.ask()
        told = results_in(upstream.sent[1])["call_1"]
        assert len(told) < 500
        assert told.endswith("and 996 more.")

    def test_of_more_calls_than_may_be_made_at_once_the_others_are_not_run(self, person, upstream, shop):
        upstream.answers(calling(*(call(id=f"call_{number}") for number in range(20))))
        person.ask()
        told = list(results_in(upstream.sent[1]).values())
        assert len(told) == 20
        assert len(shop.seen) == 16
        assert set(told[16:]) == {"Not run: at most 16 tools can be called at once."}

    def test_no_log_has_arguments_results_or_an_exceptions_words(self, person, upstream, caplog):
        logging.getLogger("app").propagate = True
        upstream.answers(calling(call("break_down", json.dumps({"order_id": SECRET}), id="call_1"), call()))
        upstream.answers(calling(call(SECRET)))
        with caplog.at_level(logging.DEBUG):
            person.ask("break_down", "order_status")
        lines = [record for record in caplog.records if record.getMessage() == "tool.run"]
        assert {(line.tool, line.error) for line in lines} == {
            ("break_down", "RuntimeError"),
            ("order_status", None),
            ("unknown", "ToolError"),
        }
        assert all(line.ms >= 0 and line.request_id for line in lines)
        everything = " ".join(str(vars(record)) for record in caplog.records)
        assert SECRET not in everything
        assert "on its way" not in everything


class TestBounds:
    def test_after_the_last_round_the_model_must_answer_in_words(self, somebody, upstream, shop):
        person = somebody(tool_max_steps=2)
        upstream.otherwise = lambda sent: httpx2.Response(
            200, json=completion("So be it") if sent.body.get("tool_choice") == "none" else calling(call())
        )
        answer = person.ask()
        assert answer["reply"] == "So be it"
        assert [sent.body.get("tool_choice") for sent in upstream.sent] == [None, None, "none"]
        assert len(shop.seen) == 2
        assert all("tools" in sent.body for sent in upstream.sent)

    @pytest.mark.parametrize("route", [CHAT, STREAM])
    def test_a_model_that_calls_tools_even_then_is_not_asked_again(self, somebody, upstream, route):
        person = somebody(tool_max_steps=1)
        for _ in range(2):
            upstream.streams(*streamed_calls(call())) if route == STREAM else upstream.answers(calling(call()))
        end = person.read()[-1] if route == STREAM else person.ask()
        assert end["finishReason"] == "tool_calls"
        assert "toolCalls" not in end
        assert len(upstream.sent) == 2

    def test_a_tool_that_takes_too_long_is_left_alone(self, somebody, upstream):
        person = somebody(tool_timeout_s=0.01)
        upstream.answers(calling(call("hang", "{}"), call(id="call_2")))
        person.ask("hang", "order_status")
        assert results_in(upstream.sent[1]) == {
            "call_1": "The tool took too long.",
            "call_2": '{"order":"7","status":"on its way"}',
        }

    def test_only_so_many_are_left_alone_and_those_that_end_make_room(self, somebody, upstream, shop, monkeypatch):
        monkeypatch.setattr(ToolExecutor, "MAX_ORPHANED", 2)
        person = somebody(tool_timeout_s=0.01)

        def hanging():
            before = len(upstream.sent)
            upstream.answers(calling(call("hang", "{}")))
            person.ask("hang")
            return results_in(upstream.sent[before + 1])["call_1"]

        late, none = "The tool took too long.", "The tool is not available at the moment."
        threads = threading.active_count()
        assert [hanging() for _ in range(4)] == [late, late, none, none]
        shop.gate.set()
        while threading.active_count() > threads:
            threading.Event().wait(0.001)
        assert hanging() == "late"

    @pytest.mark.parametrize("route", [CHAT, *further(STREAM)])
    def test_the_requests_own_deadline_counts(self, somebody, upstream, route):
        person = somebody(
            request_timeout_s=1
        )  # far more than the first round takes on a busy machine, far less than a tool may
        if route == STREAM:
            upstream.streams(*streamed_calls(call("hang", "{}")))
            assert person.read("hang")[-1]["code"] == "upstream_timeout"
        else:
            upstream.answers(calling(call("hang", "{}")))
            assert person.post(CHAT, ["hang"]).status_code == 504
        assert len(upstream.sent) == 1
        row = person.row()
        assert (row["outcome"], row["source"], row["prompt_tokens"]) == ("upstream_timeout", "reported", 9)
        assert row["total_ms"] < 5000

    @pytest.mark.parametrize("route", [CHAT, STREAM])
    def test_a_budget_that_is_used_up_ends_it_and_what_was_used_is_paid(self, somebody, upstream, route):
        # Enough for the first round; the second holds as much again, and the results besides.
        person = somebody(user_budget_tokens=1800, max_tokens=1000)
        if route == STREAM:
            upstream.streams(*streamed_calls(call()))
            assert person.read()[-1]["code"] == "budget_exceeded"
        else:
            upstream.answers(calling(call()))
            answer = person.post()
            assert (answer.status_code, answer.json["code"]) == (429, "budget_exceeded")
        assert len(upstream.sent) == 1
        row = person.row()
        assert (row["outcome"], row["source"], row["tool_calls"]) == ("not_admitted", "reported", 1)
        assert (row["prompt_tokens"], row["completion_tokens"]) == (9, 3)


class TestTheWayToTheModel:
    def test_a_round_is_tried_again_and_falls_back_on_its_own(self, somebody, upstream):
        person = somebody(chat_fallback_models=(SECOND,), retry_max_attempts=1)
        upstream.answers(error(), status=500)
        upstream.answers(calling(call()))
        upstream.answers(completion("Yes"))
        answer = person.post()
        assert answer.json["reply"] == "Yes"
        # The first model has just failed, so the second round does not ask it again.
        assert [sent.body["model"] for sent in upstream.sent] == [FIRST, SECOND, SECOND]
        assert answer.headers["X-Attempts"] == "3"

    @pytest.mark.parametrize("route", [CHAT, STREAM])
    def test_the_second_round_falls_back(self, somebody, upstream, route):
        person = somebody(chat_fallback_models=(SECOND,), retry_max_attempts=1)
        if route == STREAM:
            upstream.streams(*streamed_calls(call()))
            upstream.answers(error(), status=500)
            upstream.streams(*stream_of("Yes"))
            assert person.read()[-1]["done"]
        else:
            upstream.answers(calling(call()))
            upstream.answers(error(), status=500)
            upstream.answers(completion("Yes"))
            assert person.ask()["reply"] == "Yes"
        assert [sent.body["model"] for sent in upstream.sent] == [FIRST, FIRST, SECOND]
        assert results_in(upstream.sent[2])
        row = person.row()
        assert (row["prompt_tokens"], row["completion_tokens"], row["tool_calls"]) == (18, 6, 1)

    def test_a_stream_that_breaks_in_its_second_round_is_paid_for(self, person, upstream):
        upstream.streams(*streamed_calls(call()))
        upstream.streams(*stream_of("a", "b", "c", finish_reason=None, usage=None, done=False))
        assert person.read()[-1]["code"] == "upstream_truncated"
        row = person.row()
        assert (row["outcome"], row["source"]) == ("upstream_truncated", "estimated")
        assert row["prompt_tokens"] > 18
        assert row["completion_tokens"] >= 6

    def test_without_any_usage_the_tokens_of_each_round_are_estimated(self, person, upstream):
        upstream.answers(calling(call(), usage=None))
        upstream.answers(completion("x" * 400, usage=None))
        assert person.ask()["usage"] is None
        row = person.row()
        assert (row["outcome"], row["source"]) == ("complete", "estimated")
        first, second = (len(json.dumps(sent.body["messages"])) // 4 for sent in upstream.sent)
        assert row["prompt_tokens"] > first + second
        assert row["completion_tokens"] >= 100

    @pytest.mark.parametrize("silent", [0, 1], ids=["the first says nothing", "the last says nothing"])
    @pytest.mark.parametrize("route", [CHAT, STREAM])
    def test_the_tokens_of_the_round_that_does_not_tell_are_estimated(self, person, upstream, route, silent):
        usages = [None if round_ == silent else USAGE for round_ in (0, 1)]
        if route == STREAM:
            upstream.streams(*streamed_calls(call(), usage=usages[0]))
            upstream.streams(*stream_of("a", "b", "c", "d", usage=usages[1]))
            assert person.read()[-1]["done"]
        else:
            upstream.answers(calling(call(), usage=usages[0]))
            upstream.answers(completion("abcd", usage=usages[1]))
            person.ask()
        row = person.row()
        assert (row["outcome"], row["source"]) == ("complete", "estimated")
        estimated = len(json.dumps(upstream.sent[silent].body["messages"])) // 4
        assert row["prompt_tokens"] >= USAGE["prompt_tokens"] + estimated
        assert row["completion_tokens"] > USAGE["completion_tokens"]


class TestAVisitorWhoLeaves:
    @pytest.fixture
    def leaving(self, shop, monkeypatch):
        """The visitor leaves as soon as a tool runs."""
        is_running = threading.Event()
        real = ToolExecutor._work

        def work(*args):
            is_running.set()
            real(*args)

        def watch(_):
            if is_running.is_set():
                raise CallerGone

        monkeypatch.setattr(ToolExecutor, "_work", work)
        monkeypatch.setattr("app.web.client_connection.ClientConnection.check", watch)

    @each_row("policy", ["cancel", "drain"])
    @each_row("route", [CHAT, STREAM])
    def test_nothing_more_is_asked(self, somebody, upstream, leaving, route, policy):
        person = somebody(heartbeat_s=0.01, disconnect_policy=policy)
        if route == STREAM:
            upstream.streams(*streamed_calls(call("hang", "{}")))
            answer = person.post(STREAM, ["hang"])
            assert b'"running"' in b"".join(answer.response)
            answer.close()
        else:
            upstream.answers(calling(call("hang", "{}")))
            assert person.post(CHAT, ["hang"]).status_code == 499
        for thread in threading.enumerate():
            if "_read" in thread.name:
                thread.join(5)
        assert len(upstream.sent) == 1
        row = person.row()
        assert (row["outcome"], row["source"], row["prompt_tokens"]) == ("client_gone", "reported", 9)
        assert row["completion_tokens"] == 3

    def test_one_who_waits_gets_heartbeats(self, somebody, upstream, shop):
        person = somebody(heartbeat_s=0.01)
        upstream.streams(*streamed_calls(call("hang", "{}")))
        upstream.streams(*stream_of("Yes"))
        data = b""
        for piece in person.post(STREAM, ["hang"]).response:
            data += piece
            if piece.startswith(b": heartbeat"):
                shop.gate.set()
        assert b": heartbeat" in data
        assert events_of(data)[-1]["done"]


class TestWhoMayNameWhat:
    def test_a_browser_only_those_that_the_site_allows(self, somebody, upstream):
        person = somebody(allowed_tools=("refuse",))
        assert person.post(CHAT, ["refuse"]).status_code == 200
        before = len(upstream.sent)
        for name in ("order_status", "nonsense"):
            answer = person.post(CHAT, ["refuse", name])
            assert (answer.status_code, answer.json["code"]) == (403, "forbidden")
            assert answer.json["error"] == f"serverTools.1: the tool {name} is not offered here."
        assert len(upstream.sent) == before

    def test_nobody_but_a_key_any(self, make_site, make_shop_app, monkeypatch, upstream):
        site = make_site(allowed_tools=())
        toolbox = site.app.extensions["gatehouse"].toolbox
        assert set(toolbox.declared) >= {"order_status"}
        body = {"message": "Hi", "serverTools": ["order_status"]}

        def answer(credential, **fields):
            return site.client.post(CHAT, json=body | fields, headers=bearer(credential))

        assert answer(site.key).status_code == 200
        assert upstream.sent[0].body["tools"]
        assert answer(site.token()).status_code == 403
        unknown = answer(site.key, serverTools=["nonsense"])
        assert (unknown.status_code, unknown.json["error"]) == (400, "serverTools.0: there is no tool nonsense.")
        session = site.client.post(CHAT, json=body, headers={"Origin": ORIGIN})
        assert session.status_code == 401

    def test_a_tool_knows_the_user_of_the_token_and_not_what_the_model_says(
        self, make_site, shop, make_shop_app, upstream
    ):
        site = make_site(allowed_tools=("order_status",))
        upstream.answers(calling(call()))
        body = {"message": "Hi", "serverTools": ["order_status"]}
        headers = {**bearer(site.token(userId="anna")), "X-Request-ID": "r-1"}
        assert site.client.post(CHAT, json=body, headers=headers).status_code == 200
        [(_, context)] = shop.seen
        assert context == ToolContext("acme", "anna", "r-1")

    def test_where_no_tools_are_run_a_prompt_that_has_some_is_used_without(self, somebody, upstream, tmp_path):
        (tmp_path / "shop.toml").write_text('system = "You keep a shop."\ntools = ["order_status"]\n')
        person = somebody(prompts_dir=str(tmp_path))
        upstream.answers(completion("{}"))
        body = {"prompt": "Hi", "promptName": "shop"}
        assert person._client.post("/api/structured", json=body).status_code == 200
        assert "tools" not in upstream.sent[0].body

    @each_row(
        ("fields", "sentence"),
        [
            (
                {"tools": [{"type": "function", "function": {"name": "f"}}]},
                "serverTools: give either tools or serverTools.",
            ),
            ({"serverTools": []}, "serverTools: "),
            ({"serverTools": "order_status"}, "serverTools: "),
            ({"serverTools": ["a b"]}, "serverTools.0: must be 1 to 64 letters"),
            ({"serverTools": [{}]}, "serverTools.0: "),
            (
                {"toolChoice": {"type": "function", "function": {"name": "refuse"}}},
                "toolChoice: names a function that is not among the tools.",
            ),
        ],
    )
    def test_a_body_that_does_not_fit(self, person, upstream, fields, sentence):
        answer = person.post(**fields)
        assert (answer.status_code, answer.json["code"]) == (400, "invalid_request")
        assert answer.json["error"].startswith(sentence)
        assert upstream.sent == []

    def test_a_prompt_of_the_sites_brings_tools_that_nobody_may_name(self, somebody, upstream, tmp_path, shop):
        (tmp_path / "shop.toml").write_text('system = "You keep a shop."\ntools = ["order_status"]\n')
        person = somebody(prompts_dir=str(tmp_path), allowed_tools=("refuse",))
        upstream.answers(calling(call()))
        answer = person._client.post(CHAT, json={"message": "Hi", "promptName": "shop"})
        assert answer.json["toolRuns"][0]["name"] == "order_status"
        assert len(shop.seen) == 1
        refused = person.post(CHAT, ["refuse"], promptName="shop")
        assert (refused.status_code, refused.json["error"]) == (
            400,
            "serverTools: not accepted together with this prompt.",
        )


@pytest.mark.parametrize("route", [CHAT, STREAM])
def test_the_offline_model_calls_a_tool_and_answers_with_what_it_says(route, monkeypatch):
    monkeypatch.setattr("app.offline_model.completion.time.sleep", lambda _: None)
    client = create_app(Config(allowed_tools=("current_time",))).test_client()

    answer = client.post(route, json={"message": "What is the current time?", "serverTools": ["current_time"]})

    assert answer.status_code == 200
    if route == STREAM:
        events = events_of(answer.data)
        assert [status for _, status in runs(events)] == ["running", "done"]
        text = "".join(event.get("token", "") for event in events)
    else:
        [run] = answer.json["toolRuns"]
        assert (run["name"], run["status"]) == ("current_time", "done")
        text = answer.json["reply"]
    assert re.search(r'The tool answered: {"date":"\d{4}-\d\d-\d\d","weekday":"\w+day"', text)


def test_calls_without_ids_are_told_apart_over_all_rounds(person, upstream):
    call = {"function": {"name": "order_status", "arguments": {"order_id": "A-7"}}}
    for _ in range(2):
        upstream.answers(completion(None, finish_reason="stop", tool_calls=[call, call]))

    runs = person.ask()["toolRuns"]

    assert [run["status"] for run in runs] == ["done"] * 4
    assert len({run["id"] for run in runs}) == 4


@pytest.mark.chat_form
@each_row("reason", [None, "", "stop", "weird"])
def test_calls_are_run_whatever_reason_a_whole_answer_ends_with(somebody, upstream, reason):
    person = somebody(chat_model="owner-model")
    calls = [{**call(), "index": 0}]
    upstream.answers(completion(None, tool_calls=calls, finish_reason=reason))
    upstream.answers(completion("Yes", finish_reason=reason))
    assert person.ask()["reply"] == "Yes"

    for said in ({"tool_calls": calls}, {"content": "Yes"}):
        upstream.streams(
            chunk(said), chunk(finish_reason=reason), {**chunk(), "choices": [], "usage": USAGE}, "[DONE]"
        )
    end = person.read()[-1]

    assert end["finishReason"] == {"stop": "stop"}.get(reason, "unknown")
    assert len(upstream.sent) == 4
