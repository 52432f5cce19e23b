"""RateLimiter: counts requests or tokens of each account in a sliding window that all workers share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from app.frozen import frozen
from app.problems import Problem
from app.runtime import clock
from app.storage.shared_state import SharedState

_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
_UNITS = {seconds: unit for unit, seconds in _SECONDS.items()}


class RateLimited(Problem):
    """The user, tenant or address has sent more requests or tokens than its rate limit allows."""

    status = 429
    code = "rate_limited"
    sentence = "Too many requests in a short time."
    message_is_safe = True

    def __init__(self, quota: Quota, message: str = "") -> None:
        """Create the error from the quota of the account that is over its limit."""
        super().__init__(message)
        self.quota = quota
        self.retry_after_s = quota.reset_s if quota.limit else None  # with a limit of 0, a retry cannot help


@dataclass(frozen=True, slots=True)
class Rate:
    """A maximum number of requests or tokens in each window."""

    amount: int
    window_s: int

    @classmethod
    def parse(cls, text: str) -> Rate:
        """Parse a setting such as 60/minute."""
        amount, _, window = text.partition("/")
        return cls(int(amount), _SECONDS[window])

    @property
    def text(self) -> str:
        """The rate as in the settings: 60/minute."""
        return f"{self.amount}/{_UNITS[self.window_s]}"


@frozen()
class Quota:
    """What remains to an account in its window of `window_s`: `remaining` of `limit`, and more after `reset_s` seconds."""

    limit: int
    remaining: int
    reset_s: float
    window_s: int = 0

    @property
    def share(self) -> float:
        """The remaining part, from 0 to 1."""
        return self.remaining / self.limit if self.limit else 0.0


class RateLimiter:
    """A sliding window counter: the count of the current window, plus the overlapping part of the previous one.

    The count never exceeds the limit. The actual number in a window can exceed it if the requests of the previous window
    arrived late in it: the counter assumes that they were spread evenly.
    """

    def __init__(self, state: SharedState) -> None:
        self._state = state

    def admit(self, rates: Mapping[str, Rate], amount: int = 1) -> Quota | None:
        """Count an amount for each account, and return the smallest remaining quota; None without accounts.

        Raises:
            RateLimited: an account has too little left. Nothing is counted then, for any account.
        """
        now = clock.now()
        tightest: Quota | None = None
        is_admitted = True

        def count(values: Mapping[str, bytes | None]) -> dict[str, bytes]:
            nonlocal tightest, is_admitted
            tightest, is_admitted = None, True
            new: dict[str, bytes] = {}
            for key, rate in rates.items():
                name = f"rate:{key}"
                window = _Window.read(values[name]).advance(now, rate)
                used = window.used(now, rate)
                is_admitted = used + amount <= rate.amount
                if not is_admitted:
                    tightest = window.quota(now, rate, used, refused=amount)
                    return {}
                window = window.add(amount)
                quota = window.quota(now, rate, used + amount)
                if tightest is None or quota.remaining < tightest.remaining:
                    tightest = quota
                new[name] = window.write()
            return new

        self._state.update_many({f"rate:{key}": 2 * rate.window_s for key, rate in rates.items()}, count)
        if tightest is not None and not is_admitted:
            raise RateLimited(tightest)
        return tightest

    def read_quotas(self, rates: Mapping[str, Rate]) -> dict[str, Quota]:
        """Return the remaining quota of each account, without counting anything."""
        now = clock.now()
        quotas = {}
        for key, rate in rates.items():
            window = _Window.read(self._state.read(f"rate:{key}")).advance(now, rate)
            quotas[key] = window.quota(now, rate, window.used(now, rate))
        return quotas

    def release(self, rates: Mapping[str, Rate], amount: int, *, taken_at: float) -> None:
        """Subtract an amount that was counted at `taken_at`, in seconds since the epoch."""
        numbers = {f"rate:{key}": int(taken_at // rate.window_s) for key, rate in rates.items()}

        def subtract(values: Mapping[str, bytes | None]) -> dict[str, bytes]:
            return {
                name: _Window.read(value).subtract(amount, numbers[name]).write()
                for name, value in values.items()
                if value
            }

        self._state.update_many({f"rate:{key}": 2 * rate.window_s for key, rate in rates.items()}, subtract)


@frozen()
class _Window:
    """The counts of a window, numbered from the epoch, and of the previous window."""

    number: int
    current: int
    previous: int

    @classmethod
    def read(cls, value: bytes | None) -> _Window:
        try:
            number, current, previous = map(int, (value or b"0 0 0").split())
        except ValueError:  # written by another version of this program
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
        """Return the window without an amount that was counted in the window `number`."""
        if number == self.number:
            return _Window(self.number, max(0, self.current - amount), self.previous)
        if number == self.number - 1:
            return _Window(self.number, self.current, max(0, self.previous - amount))
        return self

    def used(self, now: float, rate: Rate) -> float:
        return self.current + self.previous * (1 - now % rate.window_s / rate.window_s)

    def quota(self, now: float, rate: Rate, used: float, *, refused: int = 0) -> Quota:
        into_s = now % rate.window_s
        fitting = rate.amount - refused
        if not refused:
            reset_s = rate.window_s - into_s
        elif fitting < 0:  # the amount never fits
            reset_s = rate.window_s
        elif self.current <= fitting:  # fits as soon as less of the previous window overlaps
            reset_s = max(0.0, (1 - (fitting - self.current) / self.previous) * rate.window_s - into_s)
        else:
            reset_s = (2 - fitting / self.current) * rate.window_s - into_s
        remaining = math.floor(rate.amount - used) if used < rate.amount else 0
        return Quota(rate.amount, remaining, reset_s, rate.window_s)
