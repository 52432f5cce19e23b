"""RateLimiter: what a user, a tenant or an address may have per window, counted together by all workers."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

from app.problems import Problem
from app.shared_state import SharedState

_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}


class RateLimited(Problem):
    """More requests or tokens than the rate limits of the user, the tenant or the address allow."""

    status = 429
    code = "rate_limited"
    sentence = "Too many requests came in a short time."
    message_is_safe = True

    def __init__(self, quota: Quota, message: str = "") -> None:
        super().__init__(message)
        self.quota = quota
        self.retry_after_s = quota.reset_s


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests, or tokens, in each window of so many seconds."""

    amount: int
    window_s: int

    @classmethod
    def parse(cls, text: str) -> Rate:
        """From a setting such as 60/minute."""
        amount, _, window = text.partition("/")
        return cls(int(amount), _SECONDS[window])


@dataclass(frozen=True, slots=True)
class Quota:
    """What is left: `remaining` of `limit`; after `reset_s` seconds there is more."""

    limit: int
    remaining: int
    reset_s: float

    @property
    def share(self) -> float:
        """How much of it is left, from 0 to 1."""
        return self.remaining / self.limit


class RateLimiter:
    """Counts in a sliding window: what this one has, and what the one before has as far as it reaches into it.

    Never more than the limit at once, and over any window only more as far as the one before was uneven.
    """

    def __init__(self, state: SharedState) -> None:
        self._state = state

    def admit(self, rates: Mapping[str, Rate], amount: int = 1) -> Quota | None:
        """Count so much against each of these accounts; what the scarcest one has left, None where there is none.

        Raises:
            RateLimited: one of them has too little left; none was charged.
        """
        now = time.time()
        tightest: Quota | None = None
        charged: dict[str, Rate] = {}
        for key, rate in rates.items():
            quota, is_admitted = self._count(key, rate, amount, now)
            if not is_admitted:
                self.give_back(charged, amount, taken_at=now)
                raise RateLimited(quota)
            charged[key] = rate
            if tightest is None or quota.remaining < tightest.remaining:
                tightest = quota
        return tightest

    def give_back(self, rates: Mapping[str, Rate], amount: int, *, taken_at: float) -> None:
        """Take back so much of what was counted at that time, in seconds since 1970."""
        for key, rate in rates.items():
            number = int(taken_at // rate.window_s)

            def give_back(value: bytes | None, number: int = number) -> bytes | None:
                return _Window.read(value).subtract(amount, number).write() if value else value

            self._state.update(f"rate:{key}", give_back, ttl_s=2 * rate.window_s)

    def _count(self, key: str, rate: Rate, amount: int, now: float) -> tuple[Quota, bool]:
        is_admitted, window = False, _Window(0, 0, 0)

        def count(value: bytes | None) -> bytes | None:
            nonlocal is_admitted, window
            window = _Window.read(value).advance(now, rate)
            is_admitted = window.used(now, rate) + amount <= rate.amount
            if is_admitted:
                window = window.add(amount)
                return window.write()
            return value

        self._state.update(f"rate:{key}", count, ttl_s=2 * rate.window_s)
        return window.quota(now, rate, refused=0 if is_admitted else amount), is_admitted


@dataclass(frozen=True, slots=True)
class _Window:
    """What was counted in a window, by its number since 1970, and in the one before it."""

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

    def advance(self, now: float, rate: Rate) -> _Window:
        number = int(now // rate.window_s)
        if number == self.number:
            return self
        return _Window(number, 0, self.current if number == self.number + 1 else 0)

    def add(self, amount: int) -> _Window:
        return _Window(self.number, self.current + amount, self.previous)

    def subtract(self, amount: int, number: int) -> _Window:
        """Without so much of what was counted in the window of that number."""
        if number == self.number:
            return _Window(self.number, max(0, self.current - amount), self.previous)
        if number == self.number - 1:
            return _Window(self.number, self.current, max(0, self.previous - amount))
        return self

    def used(self, now: float, rate: Rate) -> float:
        return self.current + self.previous * (1 - now % rate.window_s / rate.window_s)

    def quota(self, now: float, rate: Rate, *, refused: int) -> Quota:
        into_s = now % rate.window_s
        fitting = rate.amount - refused
        if not refused:
            reset_s = rate.window_s - into_s
        elif fitting < 0:  # never
            reset_s = rate.window_s
        elif self.current <= fitting:  # once enough of the window before has passed
            reset_s = max(0.0, (1 - (fitting - self.current) / self.previous) * rate.window_s - into_s)
        else:
            reset_s = (2 - fitting / self.current) * rate.window_s - into_s
        return Quota(rate.amount, max(0, math.floor(rate.amount - self.used(now, rate))), reset_s)
