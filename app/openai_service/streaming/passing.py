"""Passing: passes on what arrives of an answer while whoever reads it sleeps, as long as it is nothing but tokens."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Protocol

from app.openai_service.results import Attempt
from app.openai_service.streaming.events import Events, estimate_tokens
from app.upstream_http.call_state import CallState

# Counting a few at a time takes a third of what counting each token does. If the process is killed meanwhile, what the
# model may have written since the last count is in the charge.
_COUNT_EVERY_S = 0.1


class TokenReader(Protocol):
    """The part of an AnswerReader that is used here."""

    def read_tokens(self, data: bytes) -> Events:
        """Return the tokens of these bytes; none, and nothing is read, if there is anything else in them."""


class Passing:
    """What of one answer is passed on. Each moment counts as reading on does: for the idle timeout, and for the charge."""

    def __init__(
        self, reader: TokenReader, attempt: Attempt, call_state: CallState, *, idle_timeout_s: float
    ) -> None:
        self._read_tokens = reader.read_tokens
        self._attempt = attempt
        self._call_state = call_state
        self._idle_timeout_s = idle_timeout_s
        self._uncounted: Events = []
        self._last_at = 0.0
        self._count_at = 0.0

    def pass_on(self, write: Callable[[Events], None], data: bytes) -> bool:
        """Give the tokens of these bytes to `write`; return False, and do nothing, if there is anything else in them."""
        events = self._read_tokens(data)
        if not events:
            return False
        self._last_at = now = monotonic()
        self._uncounted += events
        if now >= self._count_at:
            self.count()
            self._count_at = now + _COUNT_EVERY_S
        state, until = self._call_state, now + self._idle_timeout_s
        state.wait_until = until if until < state.deadline else state.deadline
        state.next_tick_at = now + state.tick_s
        write(events)
        return True

    def count(self) -> None:
        """Count what was passed on since the last time."""
        if self._uncounted:
            self._attempt.note_received(estimate_tokens(self._uncounted), self._last_at)
            self._uncounted.clear()
