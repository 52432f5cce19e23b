"""The real packages as clients of a real server: the AI SDK's hooks in React, in three versions, and AG-UI's agent."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.clients.running_server import AI_VERSIONS
from tests.fakes.servers import wait_until
from tests.fakes.upstreams.openai_answers import MODEL, USAGE, chunk, error, stream_of

pytestmark = pytest.mark.clients

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def parts_of(message: Any) -> list[tuple[str, Any]]:
    """The kinds of a message's parts, each with what it says."""
    return [
        (part["type"], part.get("text") or part.get("output") or part.get("errorText"))
        for part in message["parts"]
    ]


@AI_VERSIONS
class TestUseChat:
    def test_a_conversation_without_any_option(self, server, version):
        server.says("Hel", "lo 😀")
        server.says("Again")

        page = server.run("chat.mjs", version=version, texts=["Hi", "And?"])

        assert (page["status"], page.get("error")) == ("ready", None)
        assert [message["role"] for message in page["messages"]] == ["user", "assistant"] * 2
        first, second = page["messages"][1::2]
        assert parts_of(first) == [("step-start", None), ("text", "Hello 😀")]
        assert {part["state"] for part in first["parts"][1:]} == {"done"}
        assert parts_of(second) == [("step-start", None), ("text", "Again")]
        metadata = first["metadata"]
        assert (metadata["usage"], metadata["model"]) == (USAGE, MODEL)
        assert metadata["costMicroUsd"] > 0
        assert len({message["id"] for message in page["messages"]}) == 4
        assert server.asked()[1] == [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello 😀"},
            {"role": "user", "content": "And?"},
        ]

    def test_reasoning(self, server, version):
        server.answers(chunk({"reasoning_content": "I think"}), *stream_of("So."))

        page = server.run("chat.mjs", version=version, texts=["Hi"])

        assert parts_of(page["messages"][1]) == [("step-start", None), ("reasoning", "I think"), ("text", "So.")]

    def test_the_pages_own_tools(self, server, version):
        server.calls("weather", '{"in"', ':"Oslo"}')
        server.calls("weather", '{"in":"Rome"}')  # a server that begins again with the same id
        server.says("It rains.")

        page = server.run(
            "chat.mjs", version=version, texts=["Hi"], body={"tools": [WEATHER]}, answersTools=True, answers=3
        )

        assert (page["status"], page.get("error")) == ("ready", None)
        [_, answer] = page["messages"]
        assert parts_of(answer) == [
            ("step-start", None),
            ("tool-weather", {"heard": {"in": "Oslo"}}),
            ("step-start", None),
            ("tool-weather", {"heard": {"in": "Rome"}}),
            ("step-start", None),
            ("text", "It rains."),
        ]
        roles = [turn["role"] for turn in server.asked()[-1]]
        assert roles == ["user", "assistant", "tool", "assistant", "tool"]
        assert server.asked()[-1][2]["content"] == '{"heard":{"in":"Oslo"}}'

    def test_server_tools(self, server, version):
        server.calls("order_status", '{"order_id": "7"}')
        server.says("On its way.")
        server.says("Bye")

        body = {"serverTools": ["order_status"]}
        page = server.run("chat.mjs", version=version, texts=["Where?", "Bye"], body=body)

        answer = page["messages"][1]
        [tool] = [part for part in answer["parts"] if part["type"] == "dynamic-tool"]
        assert (tool["toolName"], tool["state"], tool["output"]["status"]) == (
            "order_status",
            "output-available",
            "done",
        )
        assert parts_of(answer)[-2:] == [("step-start", None), ("text", "On its way.")]
        assert server.asked()[-1][1] == {"role": "assistant", "content": "On its way."}

    def test_errors_are_sentences(self, server, version):
        refused = server.run("chat.mjs", version=version, texts=["Hi"], body={"temperature": 3})
        server.upstream.status = 500
        failed = server.run("chat.mjs", version=version, texts=["Hi"])
        server.upstream.status = 200
        unknown = server.run(
            "chat.mjs", version=version, texts=["Hi"], headers={"Authorization": "Bearer gh_nobody"}
        )

        assert (refused["status"], refused["error"]) == (
            "error",
            "temperature: should be less than or equal to 2.",
        )
        assert failed["error"] == "The model could not be reached or did not answer properly."
        assert unknown["error"] == "A valid credential is required."

    def test_a_failure_amid_the_answer(self, server, version):
        server.answers(*stream_of("Hel")[:2], error(code="server_error"))

        page = server.run("chat.mjs", version=version, texts=["Hi"])

        assert (page["status"], page["error"]) == (
            "error",
            "The model could not be reached or did not answer properly.",
        )
        assert parts_of(page["messages"][1]) == [("step-start", None), ("text", "Hel")]

    def test_stop_ends_the_upstreams_work(self, server, version):
        stream = server.upstream.streams("Hel", "lo")
        stream.release(2)

        page = server.run("chat.mjs", version=version, texts=["Hi"], stopsAfter="Hel")

        assert parts_of(page["messages"][1]) == [("step-start", None), ("text", "Hel")]
        assert stream.left.wait(3)

    def test_a_page_that_is_loaded_again_goes_on_with_the_answer(self, server, version, tmp_path):
        stream = server.upstream.streams("Hel", "lo")
        stream.release(2)
        ready = tmp_path / "ready"
        with ThreadPoolExecutor() as pool:
            running = pool.submit(server.run, "reload.mjs", version=version, first="Hel", ready=str(ready))
            wait_until(lambda: ready.exists() or running.done(), "the second page has the first words")
            stream.release_all()
            page = running.result()

        [answer] = page["messages"]
        assert parts_of(answer) == [("step-start", None), ("text", "Hello")]
        assert page.get("error") is None
        assert len(server.upstream.received) == 1


@AI_VERSIONS
class TestOtherHooks:
    def test_use_completion(self, server, version):
        server.says("Hel", "lo 😀")

        page = server.run("completion.mjs", version=version, prompt="Hi")
        refused = server.run("completion.mjs", version=version, prompt="Hi", body={"temperature": 3})

        assert page == {"text": "Hello 😀"}
        assert refused["error"] == "temperature: should be less than or equal to 2."

    def test_use_object(self, server, version):
        server.says('{"name": "Mi', 'ez", "a', 'ge": 3}')

        page = server.run("object.mjs", version=version, body={"prompt": "A cat"})
        refused = server.run("object.mjs", version=version, body={})

        assert page["object"] == {"name": "Miez", "age": 3}
        assert page.get("error") is page.get("invalid") is None
        assert page["shown"][-1] == page["object"]
        assert refused["error"] == "Missing prompt (or messages)."

    def test_use_object_does_not_take_a_value_that_does_not_match(self, server, version):
        server.says('{"name": "Mi', 'ez"}')

        page = server.run("object.mjs", version=version, body={"prompt": "A cat"})

        assert page["error"]
        assert len(server.upstream.received) == 1


class TestAgui:
    def test_a_thread(self, server):
        server.answers(chunk({"reasoning_content": "I think"}), *stream_of("Hel", "lo"))
        server.says("Again")

        page = server.run("agui.mjs", texts=["Hi", "And?"])

        assert page["errors"] == []
        assert [(each["role"], each["content"]) for each in page["messages"]] == [
            ("user", "Hi"),
            ("reasoning", "I think"),
            ("assistant", "Hello"),
            ("user", "And?"),
            ("assistant", "Again"),
        ]
        assert page["events"][-1]["usage"] == [
            {"model": MODEL, "inputTokens": 9, "outputTokens": 3, "totalTokens": 12}
        ]
        assert [turn["content"] for turn in server.asked()[1]] == ["Hi", "Hello", "And?"]

    def test_the_pages_tools(self, server):
        server.calls("weather", '{"in"', ':"Oslo"}')
        server.says("It rains.")
        server.calls("weather", '{"in":"Rome"}')
        server.says("The sun shines.")

        tools = [{"name": "weather", "description": "The weather", "parameters": {"type": "object"}}]
        page = server.run("agui.mjs", texts=["Oslo?", "Rome?"], run={"tools": tools}, answersTools=True)

        assert page["errors"] == []
        roles = ["user", "assistant", "tool", "assistant"]
        assert [each["role"] for each in page["messages"]] == roles * 2
        calls = [each["toolCalls"][0] for each in page["messages"] if each.get("toolCalls")]
        assert [each["function"]["arguments"] for each in calls] == ['{"in":"Oslo"}', '{"in":"Rome"}']
        assert [turn["role"] for turn in server.asked()[-1]] == (roles * 2)[:-1]

    def test_server_tools(self, server):
        server.calls("order_status", '{"order_id": "7"}')
        server.says("On its way.")
        server.says("Bye")

        props = {"forwardedProps": {"serverTools": ["order_status"]}}
        page = server.run("agui.mjs", texts=["Where?", "Bye"], run=props)

        assert page["errors"] == []
        assert [each["role"] for each in page["messages"]] == [
            *("user", "assistant", "tool", "assistant"),
            *("user", "assistant"),
        ]
        assert [turn["content"] for turn in server.asked()[-1]] == ["Where?", "On its way.", "Bye"]

    def test_errors(self, server):
        server.answers(*stream_of("Hel")[:2], error(code="server_error"))

        amid = server.run("agui.mjs", texts=["Hi"])
        refused = server.run("agui.mjs", texts=["Hi"], run={"forwardedProps": {"temperature": 3}})

        assert amid["events"][-1]["code"] == "upstream_failed"
        assert "temperature" in refused["errors"][0]
