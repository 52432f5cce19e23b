"""ToolLoop: sends tool results back to the model until it answers with text."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from app.models.token_counts import REASONING_ITEMS
from app.openai_service.chat.completion import read_completion
from app.openai_service.errors import CallerGone
from app.openai_service.results import ChatResult
from app.openai_service.streaming.events import Done, Thought, Token, ToolCallDelta, ToolCallObject, ToolRun
from app.openai_service.streaming.reader import StreamedAnswer, open_rounds
from app.openai_service.streaming.ticks import Ticks
from app.openai_service.tools.executor import ToolExecutor, ToolJob
from app.openai_service.tools.tool import MissingTool, ServerTool
from app.openai_service.transport.request import PendingRequest
from app.openai_service.transport.sender import Sender

MAX_CALLS_PER_ROUND = 16


@dataclass(slots=True)
class ToolLoop:
    """The rounds of one call.

    Attributes:
        request: the next request to the model.
        tools: the tools that the model may call.
        executor: runs the tools.
        steps_left: the number of rounds that may still run tools. After the last, the model must answer with text.
    """

    request: PendingRequest
    tools: Sequence[ServerTool]
    executor: ToolExecutor
    steps_left: int
    _runs: list[ToolRun] = field(default_factory=list)

    def run(self, sender: Sender) -> Ticks[ChatResult]:
        """Return the last answer, with the usage of all rounds. Raises the errors of _run_tools()."""
        while True:
            answer = yield from sender.send(self.request, read_completion)
            if not self._continues_after(answer):
                return replace(answer, usage=self.request.record.usage, tool_calls=[], tool_runs=tuple(self._runs))
            yield from self._run_tools(answer.text, answer)

    def stream(self, sender: Sender) -> Ticks[StreamedAnswer]:
        """Open a stream of all rounds. Raises the errors of _run_tools()."""
        return open_rounds(self._stream_rounds(sender), self.request.record)

    def _continues_after(self, answer: ChatResult | Done) -> bool:
        """Return whether the answer has tool calls to run. Those of a truncated answer may be incomplete."""
        may_continue = self.steps_left > 0 and not self.request.call_state.is_abandoned
        is_complete = answer.finish_reason in ("tool_calls", "unknown")
        return may_continue and bool(self.tools) and is_complete and bool(answer.tool_calls)

    def _run_tools(self, text: str, answer: ChatResult | Done) -> Ticks[None]:
        """Run the tool calls of an answer, yield an event when each starts and ends, and build the next request.

        Raises:
            CallerGone: the client has disconnected.
        """
        request, record = self.request, self.request.record
        calls: Sequence[ToolCallObject] = answer.tool_calls
        record.tool_calls += len(calls)
        self.steps_left -= 1
        # If the server sends no ids, the generated ones are the same in each round.
        earlier = {run.id for run in self._runs}
        calls = [
            {**call, "id": f"{call['id']}_{self.steps_left}"} if call["id"] in earlier else call for call in calls
        ]
        jobs = [
            ToolJob(call["id"], self._find_tool(number, call["function"]["name"]), call["function"]["arguments"])
            for number, call in enumerate(calls)
        ]
        with closing(self.executor.run(jobs, request.call_state, record.request_id)) as running:
            for changed in running:
                for job in changed:
                    if job.outcome is not None:
                        record.caller.note_tool_run(job.tool.name, job.outcome.ms, job.outcome.error)
                events = [_make_event(job) for job in changed]
                self._runs += [event for event in events if event.status != "running"]
                yield [*events]
        if request.call_state.is_abandoned:
            raise CallerGone
        message: dict[str, Any] = {"role": "assistant", "content": text or None, "tool_calls": calls}
        if answer.reasoning_items:
            message[REASONING_ITEMS] = answer.reasoning_items
        results = [
            {"role": "tool", "tool_call_id": job.id, "content": job.outcome.text} for job in jobs if job.outcome
        ]
        body = {**request.body, "messages": [*request.body["messages"], message, *results]}
        body.pop("tool_choice", None)  # otherwise a forced call would repeat in each round
        if self.steps_left == 0:
            body["tool_choice"] = "none"
        request.replace_body(body)
        # Start with the model that answered, since the circuits of those before it may be open.
        request.models = request.models[request.models.index(record.models[-1]) :]

    def _stream_rounds(self, sender: Sender) -> Ticks[None]:
        record = self.request.record
        while True:
            answer = yield from sender.open_stream(self.request)
            record.model = answer.model or record.model
            text, end = "", None
            with closing(answer.rest):
                for events in chain([answer.first], answer.rest):
                    text += "".join([event.text for event in events if type(event) is Token])
                    end = next((event for event in events if type(event) is Done), end)
                    yield [event for event in events if not isinstance(event, Thought | ToolCallDelta | Done)]
            assert end is not None, "a stream ends with Done or an error"
            if not self._continues_after(end):
                yield [end._replace(usage=record.usage, tool_calls=[])]
                return
            yield from self._run_tools(text, end)

    def _find_tool(self, number: int, name: str) -> ServerTool:
        if number >= MAX_CALLS_PER_ROUND:
            return MissingTool(f"Not run: at most {MAX_CALLS_PER_ROUND} tools can be called at once.")
        return next(
            (tool for tool in self.tools if tool.name == name), MissingTool("There is no tool of this name.")
        )


def _make_event(job: ToolJob) -> ToolRun:
    if job.outcome is None:
        return ToolRun(job.id, job.tool.name, "running", None)
    status = "done" if job.outcome.error is None else "failed"
    return ToolRun(job.id, job.tool.name, status, job.outcome.ms)
