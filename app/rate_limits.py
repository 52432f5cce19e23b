"""RateLimiter: requests per window of a user, a tenant and an address, counted together by all workers."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

from app.shared_state import SharedState

_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}


class RateLimited(Exception):
    """As many requests came as may."""

    def __init__(self, quota: Quota) -> None:
        super().__init__()
        self.quota = quota
        self.retry_after_s = quota.reset_s


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in each window of so many seconds."""

    requests: int
    window_s: int

    @classmethod
    def parse(cls, text: str) -> Rate:
        """From a setting such as 60/minute."""
        requests, _, window = text.partition("/")
        return cls(int(requests), _SECONDS[window])


@dataclass(frozen=True, slots=True)
class Quota:
    """What a request leaves: `remaining` of `limit`; after `reset_s` seconds there is more."""

    limit: int
    remaining: int
    reset_s: float


class RateLimiter:
    """Counts in a sliding window: this one's requests, and those of the one before as far as it reaches into it.

    Never more than the limit at once, and over any window only more as far as the one before was uneven.
    """

    def __init__(self, state: SharedState) -> None:
        self._state = state

    def admit(self, rates: Mapping[str, Rate]) -> Quota | None:
        """Count a request against each of these accounts; what the scarcest one has left, None where there is none.

        Raises:
            RateLimited: one of them has nothing left; none was charged.
        """
        tightest: Quota | None = None
        charged: list[tuple[str, Rate]] = []
        for key, rate in rates.items():
            quota, is_admitted = self._count(key, rate)
            if not is_admitted:
                for other, its_rate in charged:
                    self._give_back(other, its_rate)
                raise RateLimited(quota)
            charged.append((key, rate))
            if tightest is None or quota.remaining < tightest.remaining:
                tightest = quota
        return tightest

    def _count(self, key: str, rate: Rate) -> tuple[Quota, bool]:
        now = time.time()
        is_admitted, window = False, _Window(0, 0, 0)

        def count(value: bytes | None) -> bytes | None:
            nonlocal is_admitted, window
            window = _Window.read(value).at(now, rate)
            is_admitted = window.used(now, rate) + 1 <= rate.requests
            if is_admitted:
                window = window.plus(1)
                return window.write()
            return value

        self._state.update(f"rate:{key}", count, ttl_s=2 * rate.window_s)
        return window.quota(now, rate, is_refused=not is_admitted), is_admitted

    def _give_back(self, key: str, rate: Rate) -> None:
        def give_back(value: bytes | None) -> bytes | None:
            window = _Window.read(value)
            return window.plus(-1).write() if window.current else value

        self._state.update(f"rate:{key}", give_back, ttl_s=2 * rate.window_s)


@dataclass(frozen=True, slots=True)
class _Window:
    """The requests of a window, by its number since 1970, and of the one before it."""

    number: int
    current: int
    previous: int

    @classmethod
    def read(cls, value: bytes | None) -> _Window:
        try:
            number, current, previous = map(int, (value or b"0 0 0").split())
        except ValueError:  # of another version of this program
            return cls(0, 0, 0)
        return cls(number, current, previous)

    def write(self) -> bytes:
        return b"%d %d %d" % (self.number, self.current, self.previous)

    def at(self, now: float, rate: Rate) -> _Window:
        number = int(now // rate.window_s)
        if number == self.number:
            return self
        return _Window(number, 0, self.current if number == self.number + 1 else 0)

    def plus(self, requests: int) -> _Window:
        return _Window(self.number, self.current + requests, self.previous)

    def used(self, now: float, rate: Rate) -> float:
        return self.current + self.previous * (1 - now % rate.window_s / rate.window_s)

    def quota(self, now: float, rate: Rate, *, is_refused: bool) -> Quota:
        remaining = 0 if is_refused else max(0, math.floor(rate.requests - self.used(now, rate)))
        into_s = now % rate.window_s
        if not is_refused:
            return Quota(rate.requests, remaining, rate.window_s - into_s)
        if self.current < rate.requests:  # once enough of the window before has passed
            reach = (rate.requests - 1 - self.current) / self.previous
            return Quota(rate.requests, 0, max(0.0, (1 - reach) * rate.window_s - into_s))
        reach = (rate.requests - 1) / self.current
        return Quota(rate.requests, 0, (1 - reach) * rate.window_s + rate.window_s - into_s)
