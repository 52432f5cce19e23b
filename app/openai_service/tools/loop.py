"""ToolLoop: asking again with what the tools said, until the model answers in words."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import chain

from app.openai_service.chat.completion import read_completion
from app.openai_service.errors import CallerGone
from app.openai_service.results import ChatResult
from app.openai_service.streaming.events import Done, Token, ToolCallDelta, ToolCallObject, ToolRun
from app.openai_service.streaming.reader import StreamedAnswer, open_rounds
from app.openai_service.streaming.ticks import Ticks
from app.openai_service.tools.executor import ToolExecutor, ToolJob
from app.openai_service.tools.tool import MissingTool, ServerTool
from app.openai_service.transport.request import PendingRequest
from app.openai_service.transport.sender import Sender

MAX_CALLS_PER_ROUND = 16


@dataclass(slots=True)
class ToolLoop:
    """The rounds of one call of a visitor's.

    Attributes:
        left: how many more rounds of tools there may be; the answer behind the last one has to be in words.
    """

    request: PendingRequest
    tools: Sequence[ServerTool]
    threads: ToolExecutor
    steps_left: int
    _runs: list[ToolRun] = field(default_factory=list)

    def ask(self, asker: Sender) -> Ticks[ChatResult]:
        """The last answer, as that of all rounds. Raises as _run() does."""
        while True:
            answer = yield from asker.send(self.request, read_completion)
            if not self._continues_after(answer):
                return replace(answer, usage=self.request.record.usage, tool_calls=[], tool_runs=tuple(self._runs))
            yield from self._run(answer.text, answer.tool_calls)

    def stream(self, asker: Sender) -> Ticks[StreamedAnswer]:
        """A stream that is made of all rounds, once it has begun. Raises as _run() does."""
        return open_rounds(self._batches(asker), self.request.record)

    def _continues_after(self, answer: ChatResult | Done) -> bool:
        """Whether it calls tools that are to be run. One that was cut has calls that were cut as well."""
        is_wanted = self.steps_left > 0 and not self.request.exchange.is_abandoned
        return is_wanted and bool(self.tools) and answer.finish_reason == "tool_calls" and bool(answer.tool_calls)

    def _run(self, text: str, calls: Sequence[ToolCallObject]) -> Ticks[None]:
        """Run what an answer calls, and make the request the next one; tells of each call that begins or ends.

        Raises:
            CallerGone: nobody waits for it any more.
        """
        request, record = self.request, self.request.record
        record.tool_calls += len(calls)
        self.steps_left -= 1
        calls = [{**call, "id": call["id"] or f"call_{number}"} for number, call in enumerate(calls)]
        jobs = [
            ToolJob(call["id"], self._find_tool(number, call["function"]["name"]), call["function"]["arguments"])
            for number, call in enumerate(calls)
        ]
        with closing(self.threads.run(jobs, request.exchange, record.request_id)) as running:
            for news in running:
                events = [_make_event(job) for job in news]
                self._runs += [event for event in events if event.status != "running"]
                yield [*events]
        if request.exchange.is_abandoned:
            raise CallerGone
        said = {"role": "assistant", "content": text or None, "tool_calls": calls}
        results = [
            {"role": "tool", "tool_call_id": job.id, "content": job.outcome.text} for job in jobs if job.outcome
        ]
        body = {**request.body, "messages": [*request.body["messages"], said, *results]}
        body.pop("tool_choice", None)  # what is forced each time never ends
        if self.steps_left == 0:
            body["tool_choice"] = "none"
        request.replace_body(body)
        # The one that answered: another one may have asked to be left alone.
        request.models = request.models[request.models.index(record.models[-1]) :]

    def _batches(self, asker: Sender) -> Ticks[None]:
        record = self.request.record
        while True:
            answer = yield from asker.open_stream(self.request)
            record.model = answer.model or record.model
            text, end = "", None
            with closing(answer.rest):
                for batch in chain([answer.first], answer.rest):
                    text += "".join([event.text for event in batch if type(event) is Token])
                    end = next((event for event in batch if type(event) is Done), end)
                    yield [event for event in batch if not isinstance(event, ToolCallDelta | Done)]
            assert end is not None, "the last batch has a Done, or there is an error"
            if not self._continues_after(end):
                yield [end._replace(usage=record.usage, tool_calls=[])]
                return
            yield from self._run(text, end.tool_calls)

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
