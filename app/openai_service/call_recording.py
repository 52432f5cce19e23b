"""One CallRecord for each call, told to the listeners exactly once, however the call ends."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from app.openai_service.cache import NO_USAGE
from app.openai_service.errors import CallerGone, UpstreamError
from app.openai_service.results import Attempt, CallRecord
from app.problems import Problem

Listener = Callable[[CallRecord], None]

log = logging.getLogger(__name__)


class CallRecording:
    """A context manager around one call. Leaving it by an exception decides the outcome by its kind."""

    def __init__(self, record: CallRecord, listeners: Sequence[Listener]) -> None:
        self.record = record
        self._listeners = listeners
        self._started = time.perf_counter()
        self._is_decided = False
        self._is_finished = False

    def elapsed_ms(self) -> float:
        return (time.perf_counter() - self._started) * 1000

    def answering(self, model: str) -> None:
        """Note the first token of a stream."""
        self.record.first_token_ms = self.elapsed_ms()
        self.record.model = model or self.record.model

    def use_cached(self, model: str) -> None:
        """Note that the answer is one that was given before, so that it costs nothing. Raises what its caller does."""
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
        return self._is_decided

    def answered(self, *, finish_reason: str | None) -> None:
        """Note that the answer is whole; its visitor may have left before."""
        if not self._is_decided:
            self._is_decided = True
            self.record.outcome = "complete"
        self.record.finish_reason = finish_reason

    def failed(self, error: BaseException) -> None:
        """Note why there is no whole answer; the first reason counts."""
        if self._is_decided:
            return
        self._is_decided = True
        record = self.record
        record.outcome = _outcome_of(error, is_refused=record.is_refused)
        if isinstance(error, UpstreamError):
            record.upstream_status = error.upstream_status
            record.upstream_code = error.upstream_code
            record.upstream_request_id = error.upstream_request_id or record.upstream_request_id

    def finish(self) -> None:
        """Tell the listeners, the first time only."""
        if self._is_finished:
            return
        self._is_finished = True
        self.record.total_ms = self.elapsed_ms()
        for listener in self._listeners:
            try:
                listener(self.record)
            except Exception:
                # One that fails must not take the answer, or the other listeners, with it.
                log.exception("call.listener_failed", extra={"request_id": self.record.request_id})

    def __enter__(self) -> CallRecording:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.failed(error)
        self.finish()


def _outcome_of(error: BaseException, *, is_refused: bool) -> str:
    if isinstance(error, GeneratorExit):  # whoever read the stream has closed it
        error = CallerGone()
    if isinstance(error, Problem) and error.outcome:
        return error.outcome
    if is_refused:
        return "not_admitted"
    return "internal_error" if isinstance(error, Exception) else "interrupted"
