"""What useChat and AG-UI's client keep of any answer, however it ended, is history that the upstream accepts."""

from __future__ import annotations

import pytest

from tests.fakes.tables import each_row
from tests.web.routes.every_route.test_answers_as_history import accept_as_openai_does

pytestmark = [pytest.mark.one_attempt, pytest.mark.chat_form]


def tool(state, **fields):
    return {"type": "tool-look", "toolCallId": "call_1", "state": state, "input": {"a": 1}, **fields}


TEXT = {"type": "text", "text": "Hel", "state": "done"}
PARTS = {
    "nothing": [],
    "an empty text": [{"type": "text", "text": "", "state": "done"}],
    "a step": [{"type": "step-start"}],
    "reasoning": [{"type": "step-start"}, {"type": "reasoning", "text": "hm", "state": "done"}],
    "a text that was cut off": [{**TEXT, "state": "streaming"}],
    "input that streams": [{"type": "tool-look", "toolCallId": "c", "state": "input-streaming"}],
    "input": [TEXT, tool("input-available")],
    "output": [tool("output-available", output={"x": 1}), {"type": "step-start"}, TEXT],
    "output of null": [tool("output-available", output=None)],
    "output so far": [tool("output-available", output="x", preliminary=True)],
    "an error": [tool("output-error", errorText="bad")],
    "an error of the input": [tool("output-error", input=None, rawInput="{a", errorText="")],
    "denied": [tool("output-denied", approval={"id": "x", "approved": False})],
    "approval asked for": [tool("approval-requested", approval={"id": "x"})],
    "approved": [tool("approval-responded", approval={"id": "x", "approved": True})],
    "a dynamic tool": [{**tool("output-available", output="x"), "type": "dynamic-tool", "toolName": "look"}],
    "a source": [{"type": "source-url", "sourceId": "1", "url": "https://a.example"}, TEXT],
    "data": [{"type": "data-weather", "id": "1", "data": {"x": 1}}],
    "a file": [{"type": "file", "mediaType": "image/png", "url": "https://a.example/a.png"}],
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
RESULT = {"id": "3", "role": "tool", "toolCallId": "call_1", "content": ""}
ANSWER = {"id": "2", "role": "assistant"}
RUNS = {
    "nothing": [ANSWER],
    "an empty text": [{**ANSWER, "content": ""}],
    "nulls": [{**ANSWER, "content": None, "toolCalls": None, "name": None}],
    "no calls": [{**ANSWER, "content": "x", "toolCalls": []}],
    "a call": [{**ANSWER, "content": "", "toolCalls": [CALL]}, {**RESULT, "content": "x"}],
    "a call cut off": [{**ANSWER, "toolCalls": [{**CALL, "function": {"name": "look", "arguments": '{"a'}}]}],
    "an empty result": [{**ANSWER, "toolCalls": [CALL]}, RESULT],
    "an error": [{**ANSWER, "toolCalls": [CALL]}, {**RESULT, "error": "bad"}],
    "reasoning": [{"id": "4", "role": "reasoning", "content": "hm"}],
    "sealed reasoning": [{"id": "4", "role": "reasoning", "content": "", "encryptedValue": "x"}, ANSWER],
    "an activity": [{"id": "4", "role": "activity", "activityType": "PLAN", "content": {"a": 1}}],
}


@each_row("name", PARTS)
def test_every_answer_that_use_chat_keeps_is_history(client, upstream, name):
    upstream.otherwise = accept_as_openai_does
    user = {"id": "1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}
    kept = {"id": "2", "role": "assistant", "parts": PARTS[name]}

    for messages in ([user, kept, user], [user, kept]):
        answer = client.post("/api/chat", json={"id": "1", "messages": messages, "trigger": "submit-message"})
        assert answer.status_code == 200, answer.text
        assert '"type":"error"' not in answer.text


@each_row("name", RUNS)
def test_every_answer_that_ag_ui_keeps_is_history(client, upstream, name):
    upstream.otherwise = accept_as_openai_does
    user = {"id": "1", "role": "user", "content": "Hi"}
    run = {"threadId": "t", "runId": "r", "state": {}, "tools": [], "context": [], "forwardedProps": {}}

    for messages in ([user, *RUNS[name], user], [user, *RUNS[name]]):
        answer = client.post("/api/agui", json={**run, "messages": messages})
        assert answer.status_code == 200, answer.text
        assert "RUN_ERROR" not in answer.text
