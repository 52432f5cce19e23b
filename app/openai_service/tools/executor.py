"""ToolExecutor: runs the tool calls of one round in parallel threads, each with a time limit."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from app.openai_service.tools.tool import ServerTool, ToolError
from app.upstream_http.call_state import CallState

MAX_RESULT_CHARS = 100_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """The text that the model gets as the result of a call, the type of the error if it failed, and the duration."""

    text: str
    error: str | None = None
    ms: int = 0


@dataclass(slots=True, eq=False)
class ToolJob:
    """One call of a tool. It has ended once it has an outcome."""

    id: str
    tool: ServerTool
    arguments: str
    outcome: ToolOutcome | None = None
    started: float = 0.0
    deadline: float = 0.0
    is_over: bool = False

    def end(self, text: str, error: str | None) -> None:
        """Set the outcome; a text that is too long becomes an error."""
        if len(text) > MAX_RESULT_CHARS:
            text = (
                f"The tool's result is too long: it has {len(text):,} characters of at most {MAX_RESULT_CHARS:,}."
            )
            error = "TooLong"
        # A lone surrogate cannot be encoded.
        text = text.encode("utf-8", "replace").decode()
        self.outcome = ToolOutcome(text, error, round((time.monotonic() - self.started) * 1000))


_EndedJobs = SimpleQueue[tuple[ToolJob, str, str | None]]


class ToolExecutor:
    """Runs tools in threads. Threads cannot be killed, so those that time out are orphaned, up to MAX_ORPHANED."""

    MAX_CONCURRENT = 8
    MAX_ORPHANED = 32

    def __init__(self, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._orphaned = 0

    def run(
        self, jobs: Iterable[ToolJob], call_state: CallState, request_id: str
    ) -> Generator[list[ToolJob], None, None]:
        """Run all jobs. Yield those that have started or ended, and an empty list at each tick.

        Jobs that are still running when the generator is closed or the call is abandoned become orphaned.
        """
        ended: _EndedJobs = SimpleQueue()
        waiting, running = deque(jobs), set[ToolJob]()
        try:
            while (waiting or running) and not call_state.is_abandoned:
                begun = []
                while waiting and len(running) < self.MAX_CONCURRENT:
                    job = waiting.popleft()
                    begun.append(job)
                    running.add(job)
                    self._start(job, call_state, ended)
                if begun:
                    yield list(begun)
                done = self._wait(running, call_state, ended)
                running.difference_update(done)
                for job in done:
                    _log(job, request_id)
                yield done
        finally:
            self._orphan(running)

    def _start(self, job: ToolJob, call_state: CallState, ended: _EndedJobs) -> None:
        job.started = time.monotonic()
        limit_s = self._timeout_s if job.tool.timeout_s is None else job.tool.timeout_s
        job.deadline = min(job.started + limit_s, call_state.deadline)
        if self._orphaned >= self.MAX_ORPHANED:
            job.is_over = True
            ended.put((job, "The tool is not available at the moment.", "TooManyOrphaned"))
            return
        thread = threading.Thread(target=self._work, args=(job, ended), daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the process cannot start more threads
            job.is_over = True
            ended.put((job, "The tool is not available at the moment.", "NoThread"))

    def _work(self, job: ToolJob, ended: _EndedJobs) -> None:
        text, error = "The tool failed.", None
        try:
            text = job.tool.run(job.arguments)
        except ToolError as refusal:
            text, error = str(refusal), "ToolError"
        except BaseException as failure:  # for example SystemExit, which would end only this thread
            error = type(failure).__name__
        with self._lock:
            if job.is_over:
                self._orphaned -= 1
            job.is_over = True
        ended.put((job, text, error))

    def _wait(self, running: set[ToolJob], call_state: CallState, ended: _EndedJobs) -> list[ToolJob]:
        """Wait up to one tick, and return the jobs that have ended or timed out."""
        done = []
        first_deadline = min(job.deadline for job in running)
        try:
            wait_s = min(call_state.tick_s, max(0.0, first_deadline - time.monotonic()))
            job, text, error = ended.get(timeout=wait_s)
            while True:
                if job.outcome is None:  # otherwise it has timed out, and was returned then
                    job.end(text, error)
                    done.append(job)
                job, text, error = ended.get_nowait()
        except Empty:
            pass
        timed_out = [job for job in running if job.outcome is None and job.deadline <= time.monotonic()]
        self._orphan(timed_out)
        for job in timed_out:
            job.end("The tool took too long.", "Timeout")
        return done + timed_out

    def _orphan(self, jobs: Iterable[ToolJob]) -> None:
        with self._lock:
            for job in jobs:
                if not job.is_over:
                    job.is_over = True
                    self._orphaned += 1


def _log(job: ToolJob, request_id: str) -> None:
    assert job.outcome is not None
    log.info(
        "tool.run",
        extra={
            "request_id": request_id,
            "tool": job.tool.name,
            "error": job.outcome.error,
            "ms": job.outcome.ms,
        },
    )
