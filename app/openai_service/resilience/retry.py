"""Which failures are retried with the same model, the waits before retries, and the budget of retries."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterator
from time import monotonic

import backoff

from app.openai_service.errors import (
    MODEL_GONE_CODES,
    QUOTA_CODES,
    CircuitOpen,
    LargerThanRate,
    UpstreamError,
    UpstreamFailed,
    UpstreamRateLimited,
    UpstreamTimeout,
    UserBlocked,
)

LOCAL_CODES = frozenset({"EMFILE", "ENFILE", "ENOMEM", "ENOBUFS"})
"""The codes of connections that this machine lacks the resources to open. They are not the model's fault."""

_FIRST_WAIT_S = 0.5
_FIRST_WAIT_RATE_LIMITED_S = 1.0
_MAX_WAIT_S = 20.0


def is_outage(error: UpstreamError) -> bool:
    """Return whether the model is at fault, rather than the request or the site's key, quota or settings."""
    if error.billed_usage is not None and not error.is_generation_failure:  # the model did answer
        return False
    if isinstance(error, CircuitOpen | UpstreamRateLimited | UpstreamTimeout):
        return True
    if not isinstance(error, UpstreamFailed) or error.upstream_code in QUOTA_CODES:
        return False
    # Without a status there was no answer, or it could not be read. 408 and 409 mean "too slow" and "locked".
    status = error.upstream_status
    return status is None or status in (408, 409) or status >= 500


def is_model_gone(error: UpstreamError) -> bool:
    """Return whether the upstream does not have the model, or not for this key. A fallback model may answer then."""
    return error.upstream_status == 404 and error.upstream_code in MODEL_GONE_CODES


def is_transient(error: UpstreamError) -> bool:
    """Return whether the same request to the same model may succeed a moment later.

    The upstream's header `x-should-retry` takes precedence over its status.
    """
    if isinstance(error, CircuitOpen | LargerThanRate | UserBlocked) or error.upstream_code in QUOTA_CODES:
        return False
    return is_outage(error) if error.should_retry is None else error.should_retry


class BackoffWaits:
    """The waits before the retries of one request to one model."""

    def __init__(self) -> None:
        self._ceilings = _make_ceilings(_FIRST_WAIT_S)
        self._ceilings_rate_limited = _make_ceilings(_FIRST_WAIT_RATE_LIMITED_S)

    def next_s(self, error: UpstreamError) -> float:
        """Return the next wait in seconds: full jitter below a ceiling that doubles, but at least Retry-After."""
        ceiling, ceiling_rate_limited = next(self._ceilings), next(self._ceilings_rate_limited)
        retry_after_s = error.upstream_retry_after_s
        if retry_after_s is not None:
            # With jitter, as all refused clients may have received the same Retry-After.
            return retry_after_s + backoff.full_jitter(min(1.0, retry_after_s))
        return backoff.full_jitter(ceiling_rate_limited if isinstance(error, UpstreamRateLimited) else ceiling)


def _make_ceilings(first_s: float) -> Iterator[float]:
    ceilings = backoff.expo(factor=first_s, max_value=_MAX_WAIT_S)
    next(ceilings)  # its first value is None, for backoff's own decorators
    return ceilings


class RetryBudget:
    """Limits the share of retries among all attempts of this process, so that retries do not amplify an outage.

    The retries of one caller take at most a quarter of the budget from the other callers.

    Source: https://sre.google/sre-book/handling-overload/
    """

    SHARE = 0.1
    FLOOR = 20
    WINDOW_S = 10.0
    CALLER_SHARE = 0.25

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: deque[float] = deque()
        self._retries: deque[tuple[float, str]] = deque()

    def count_call(self) -> None:
        """Count a first attempt."""
        with self._lock:
            now = monotonic()
            self._calls.append(now)
            self._drop_expired(now)

    def take(self, caller: str = "") -> bool:
        """Count one retry of a caller and return True, or return False if the budget is used up."""
        with self._lock:
            now = monotonic()
            self._drop_expired(now)
            limit = self._limit()
            used = Counter(caller for _, caller in self._retries)
            own = used.pop(caller, 0)
            if own + sum(min(count, self.CALLER_SHARE * limit) for count in used.values()) >= limit:
                return False
            self._retries.append((now, caller))
            return True

    def read(self) -> tuple[int, float]:
        """Return the number of recent retries, and its maximum."""
        with self._lock:
            self._drop_expired(monotonic())
            return len(self._retries), self._limit()

    def _limit(self) -> float:
        return max(self.FLOOR, self.SHARE * len(self._calls))

    def _drop_expired(self, now: float) -> None:
        since = now - self.WINDOW_S
        while self._calls and self._calls[0] < since:
            self._calls.popleft()
        while self._retries and self._retries[0][0] < since:
            self._retries.popleft()
