"""Guard: leaves a store that failed alone for a second, and says when it goes and comes back."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from app.shared_state import clock
from app.shared_state.store import StateUnavailable

T = TypeVar("T")

ASK_AGAIN_S = 1.0

log = logging.getLogger("app.shared_state")


class Guard:
    """Lets one caller a second ask a store that is away; all others are told so at once."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._lock = threading.Lock()
        self._is_away = False
        self._away_since = 0.0
        self._ask_again_at = 0.0

    def ask(self, step: Callable[[], T]) -> T:
        """What a step that asks the store comes to.

        Raises:
            StateUnavailable: the store is away, as the step found or an earlier one has.
        """
        is_trial = self._is_away
        if is_trial:
            self._claim_trial()
        try:
            answer = step()
        except StateUnavailable as error:
            self._note_failure(str(error))
            raise
        if is_trial:
            self._note_return()
        return answer

    def _claim_trial(self) -> None:
        with self._lock:
            if clock.ticks() < self._ask_again_at:
                raise StateUnavailable("away")
            self._ask_again_at = clock.ticks() + ASK_AGAIN_S

    def _note_failure(self, reason: str) -> None:
        with self._lock:
            self._ask_again_at = clock.ticks() + ASK_AGAIN_S
            if self._is_away:
                return
            self._is_away = True
            self._away_since = clock.ticks()
        log.warning("state.gone", extra={"store": self._kind, "reason": reason})

    def _note_return(self) -> None:
        with self._lock:
            if not self._is_away:
                return
            self._is_away = False
            away_s = round(clock.ticks() - self._away_since, 3)
        log.warning("state.back", extra={"store": self._kind, "away_s": away_s})
