"""Whether another attempt at the same model may help, and how long to wait before it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from time import monotonic

import backoff

from app.openai_service.errors import (
    CircuitOpen,
    UpstreamError,
    UpstreamFailed,
    UpstreamRateLimited,
    UpstreamTimeout,
)

_FIRST_WAIT_S = 0.5
_FIRST_WAIT_LIMITED_S = 1.0
_MAX_WAIT_S = 20.0


def is_outage(error: UpstreamError) -> bool:
    """Whether the model is at fault, rather than the request, our key, our quota or our settings."""
    if isinstance(error, CircuitOpen | UpstreamRateLimited | UpstreamTimeout):
        return True
    if not isinstance(error, UpstreamFailed) or error.upstream_code == "insufficient_quota":
        return False
    # Without a status there was no answer, or nothing that is one; 408 and 409 are "too slow" and "locked".
    status = error.upstream_status
    return status is None or status in (408, 409) or status >= 500


def is_transient(error: UpstreamError) -> bool:
    """Whether the same request may succeed at the same model a moment later.

    The upstream's own word (`x-should-retry`) goes before what its status lets one think.
    """
    if isinstance(error, CircuitOpen) or error.upstream_code == "insufficient_quota":
        return False
    return is_outage(error) if error.should_retry is None else error.should_retry


class BackoffWaits:
    """How long to wait before each further attempt of one request at one model."""

    def __init__(self) -> None:
        self._make_ceilings = _make_ceilings(_FIRST_WAIT_S)
        self._ceilings_limited = _make_ceilings(_FIRST_WAIT_LIMITED_S)

    def next_s(self, error: UpstreamError) -> float:
        """Full jitter below a ceiling that doubles; never less than the upstream asked for."""
        ceiling, limited = next(self._make_ceilings), next(self._ceilings_limited)
        asked_s = error.upstream_retry_after_s
        if asked_s is not None:
            # Spread out a little, as everybody who was refused has been told the same moment.
            return asked_s + backoff.full_jitter(min(1.0, asked_s))
        return backoff.full_jitter(limited if isinstance(error, UpstreamRateLimited) else ceiling)


def _make_ceilings(first_s: float) -> Iterator[float]:
    ceilings = backoff.expo(factor=first_s, max_value=_MAX_WAIT_S)
    next(ceilings)  # its first value is for the decorators of its own package
    return ceilings


class RetryBudget:
    """Keeps an outage from being multiplied: of all attempts of this process, few may be further ones.

    Source: https://sre.google/sre-book/handling-overload/
    """

    SHARE = 0.1
    FLOOR = 20
    WINDOW_S = 10.0

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: deque[float] = deque()
        self._retries: deque[float] = deque()

    def count_call(self) -> None:
        """Note a first attempt."""
        with self._lock:
            self._calls.append(monotonic())
            self._drop_expired()

    def take(self) -> bool:
        """Whether one more further attempt may be made; if so, it is counted."""
        with self._lock:
            self._drop_expired()
            if len(self._retries) >= max(self.FLOOR, self.SHARE * len(self._calls)):
                return False
            self._retries.append(monotonic())
            return True

    def _drop_expired(self) -> None:
        since = monotonic() - self.WINDOW_S
        for times in (self._calls, self._retries):
            while times and times[0] < since:
                times.popleft()
