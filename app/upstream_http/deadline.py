"""What one upstream call may take in time, handed from the service to the HTTP client below the SDK.

The SDK stands between the two and has no place for what is said here, so it travels in a context
variable: threads and greenlets each have their own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from app.upstream_http.connection import Connection

T = TypeVar("T")

current_exchange: ContextVar[Exchange | None] = ContextVar("current_exchange", default=None)


class Tick(Exception):
    """No answer began within one tick, and the request is on its way. Run the same call again to wait on.

    The SDK above wraps only httpx2's errors in its own, so this one reaches whoever made the call.
    """


@dataclass(slots=True)
class Exchange:
    """One call of a visitor's: its time limits, and the connection on which an answer is awaited.

    Attributes:
        deadline: when it must have ended, all attempts and waits included, in seconds of time.monotonic().
        tick_s: how long to wait at a stretch before coming back.
        until: when what is awaited now must have come; never later than the deadline.
        tick_at: when to come back next, whatever is arriving.
        is_abandoned: whether the visitor has left, so that nothing more should be begun for it.
    """

    deadline: float
    tick_s: float
    until: float = 0.0
    tick_at: float = 0.0
    is_abandoned: bool = False
    connection: Connection | None = None

    def __post_init__(self) -> None:
        self.until = self.deadline

    def allow(self, seconds: float) -> None:
        """Limit what is awaited next."""
        self.until = min(self.deadline, time.monotonic() + seconds)

    def remaining_s(self) -> float:
        """Until the deadline."""
        return self.deadline - time.monotonic()

    def left_s(self) -> float:
        """Until what is awaited now must have come."""
        return self.until - time.monotonic()

    def abandon_after(self, seconds: float) -> None:
        """Bring it to its end, since the visitor has left."""
        self.is_abandoned = True
        self.deadline = min(self.deadline, time.monotonic() + seconds)
        self.until = min(self.until, self.deadline)

    def run(self, call: Callable[[], T]) -> T:
        """Make a call through the SDK as this exchange."""
        self.tick_at = time.monotonic() + self.tick_s
        token = current_exchange.set(self)
        try:
            return call()
        finally:
            current_exchange.reset(token)

    def abandon(self) -> None:
        """Close the connection on which an answer is still awaited, if there is one."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None
