from __future__ import annotations

import threading
import time
from collections.abc import Callable

from app.openai_service.tools.executor import ToolExecutor, ToolJob
from app.upstream_http.call_state import CallState


class Tool:
    definition: dict[str, object] = {}  # noqa: RUF012

    def __init__(self, name: str, work: Callable[[], object], timeout_s: float | None = None) -> None:
        self.name, self.timeout_s, self._work = name, timeout_s, work

    def run(self, arguments: str) -> str:
        return f"{self.name}: {self._work()}"


def test_a_tool_that_is_late_is_told_once_though_it_returns_while_another_runs() -> None:
    late_may_end, late_has_ended = threading.Event(), threading.Event()

    def other() -> str:
        late_may_end.set()
        assert late_has_ended.wait(5)
        return "here"

    timed_out = threading.Event()
    late = ToolJob("1", Tool("late", lambda: late_may_end.wait(5), timeout_s=0.001), "{}")
    last = ToolJob("2", Tool("last", lambda: timed_out.wait(5) and other()), "{}")
    threads = ToolExecutor(timeout_s=20)
    real = threads._work

    def work(job: ToolJob, ended: object) -> None:
        real(job, ended)  # type: ignore[arg-type]
        if job is late:
            late_has_ended.set()

    threads._work = work  # type: ignore[method-assign]
    told = []
    for news in threads.run([late, last], CallState(time.monotonic() + 20, tick_s=0.01), "r1"):
        for job in news:
            told.append((job.id, job.outcome and job.outcome.text))
            if job is late and job.outcome:
                timed_out.set()

    assert told == [("1", None), ("2", None), ("1", "The tool took too long."), ("2", "last: here")]
    assert late.outcome is not None
    assert late.outcome.text == "The tool took too long."
