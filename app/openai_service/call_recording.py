"""Passes the CallRecord of each call to the listeners exactly once, however the call ends, and writes its log line."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from app.openai_service.cache import NO_USAGE
from app.openai_service.errors import CallerGone, UpstreamError
from app.openai_service.results import Attempt, CallRecord
from app.problems import Problem
from app.runtime.log_throttle import LogBound
from app.runtime.logs.events import log_event

Listener = Callable[[CallRecord], None]

log = logging.getLogger(__name__)
call_log = logging.getLogger("app.call")
_refused_lines = LogBound()


class CallRecording:
    """A context manager that records one call. An exception raised in its block determines the outcome."""

    def __init__(self, record: CallRecord, listeners: Sequence[Listener]) -> None:
        self.record = record
        self._listeners = listeners
        self._started = time.perf_counter()
        self._is_decided = False
        self._is_finished = False
        self._is_handed_over = False

    def elapsed_ms(self) -> float:
        """Return the milliseconds since the call began."""
        return (time.perf_counter() - self._started) * 1000

    def note_first_token(self, model: str) -> None:
        """Record the time to a stream's first token, and the model that answers."""
        self.record.first_token_ms = self.elapsed_ms()
        self.record.model = model or self.record.model

    def use_cached(self, model: str) -> None:
        """Record that the answer comes from the cache, at no cost. Raises what `reserve_nothing()` raises."""
        try:
            self.record.caller.reserve_nothing(self.record.model)
        except Exception:
            self.record.attempt_log.append(Attempt(self.record.model, billed="no", is_refused=True))
            raise
        self.record.is_cached = True
        self.record.usage = NO_USAGE
        self.record.model = model

    @property
    def is_decided(self) -> bool:
        """Whether the outcome is known."""
        return self._is_decided

    def complete(self, *, finish_reason: str | None) -> None:
        """Record that the answer is complete. If the client has disconnected already, the outcome stays `client_gone`."""
        if not self._is_decided:
            self._is_decided = True
            self.record.outcome = "complete"
        self.record.finish_reason = finish_reason

    def fail(self, error: BaseException) -> None:
        """Record why the answer is incomplete. Only the first error counts."""
        if self._is_decided:
            return
        self._is_decided = True
        record = self.record
        record.outcome = _find_outcome(error, is_refused=record.is_refused)
        if isinstance(error, UpstreamError):
            record.upstream_status = error.upstream_status
            record.upstream_code = error.upstream_code
            record.upstream_request_id = error.upstream_request_id or record.upstream_request_id

    def finish(self) -> None:
        """Pass the record to the listeners. Further calls do nothing."""
        if self._is_finished:
            return
        self._is_finished = True
        self.record.total_ms = self.elapsed_ms()
        for listener in self._listeners:
            try:
                listener(self.record)
            except Exception:
                # A listener that fails must not affect the answer or the other listeners.
                log.exception("call.listener_failed", extra={"request_id": self.record.request_id})

    def hand_over(self, adopt: Callable[[], bool]) -> bool:
        """Let another thread finish the record if `adopt` starts one. Return whether it did."""
        self._is_handed_over = True
        self._is_handed_over = adopt()
        return self._is_handed_over

    def __enter__(self) -> CallRecording:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.fail(error)
        if not self._is_handed_over:
            self.finish()


def _find_outcome(error: BaseException, *, is_refused: bool) -> str:
    if isinstance(error, GeneratorExit):  # the consumer closed the stream
        error = CallerGone()
    if isinstance(error, Problem) and error.outcome:
        return error.outcome
    if is_refused:
        return "not_admitted"
    return "internal_error" if isinstance(error, Exception) else "interrupted"


def log_call(record: CallRecord) -> None:
    """Write the log line of a call. A listener of `CallRecording`."""
    if not call_log.isEnabledFor(logging.INFO):
        return
    # Refused calls cost the caller nothing, so their number must not flood the log.
    left_out = _refused_lines.admit(record.outcome) if record.outcome == "not_admitted" else 0
    if left_out is None:
        return
    usage = record.usage
    fields = {
        "request_id": record.request_id,
        "operation": record.operation,
        "model": record.model,
        "outcome": record.outcome,
        "attempts": record.attempts,
        "is_cached": record.is_cached or None,
        "models": ",".join(record.models) if len(record.models) > 1 else None,
        "trimmed": record.trimmed or None,
        "tool_calls": record.tool_calls or None,
        "finish_reason": record.finish_reason,
        "prompt_tokens": usage and usage.prompt_tokens,
        "completion_tokens": usage and usage.completion_tokens,
        "upstream_status": record.upstream_status,
        "upstream_code": record.upstream_code,
        "upstream_request_id": record.upstream_request_id,
        "first_token_ms": record.first_token_ms and int(record.first_token_ms * 10) / 10,
        "upstream_ms": int(record.upstream_ms * 10) / 10,
        "waited_ms": int(record.waited_ms * 10) / 10 if record.waited_ms else None,
        "total_ms": int(record.total_ms * 10) / 10,
        "left_out": left_out or None,
    }
    log_event(call_log, "call", fields)
