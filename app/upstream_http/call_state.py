"""CallState: the time limits of one upstream call, and its open connection, passed from the service to the HTTP client.

They are passed in a context variable, which is separate for each thread and greenlet, because the SDK between them
cannot pass them on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from app.upstream_http.connection import Connection
    from app.upstream_http.relaying import Relaying

T = TypeVar("T")

current_call_state: ContextVar[CallState | None] = ContextVar("current_call_state", default=None)


class Tick(Exception):
    """No response began within one tick. The request was sent; run the same call again to continue waiting.

    The SDK wraps only the errors of httpx2, so this exception reaches the SDK's caller.
    """


@dataclass(slots=True)
class CallState:
    """The time limits of one call, and the connection on which it waits for a response.

    Times are in seconds of `time.monotonic()`.

    Attributes:
        deadline: when the call must have ended, with all its attempts and waits.
        tick_s: the maximum wait before control returns to the caller.
        wait_until: when the current wait must have ended; never later than the deadline.
        next_tick_at: when control returns to the caller, even while data arrives. If parts are relayed, it is one tick
            after the last one.
        is_abandoned: whether the client has disconnected, so that no further request may be started.
        connection: the connection that waits for its response between two ticks, if any.
        relaying: how parts that arrive during a wait are relayed to the client; None if they are not.
    """

    deadline: float
    tick_s: float
    wait_until: float = 0.0
    next_tick_at: float = 0.0
    is_abandoned: bool = False
    connection: Connection | None = None
    relaying: Relaying | None = None

    def __post_init__(self) -> None:
        self.wait_until = self.deadline

    def limit_wait(self, seconds: float) -> None:
        """Limit the next wait, within the deadline."""
        self.wait_until = min(self.deadline, time.monotonic() + seconds)

    def remaining_s(self) -> float:
        """Return the seconds until the deadline."""
        return self.deadline - time.monotonic()

    def until_tick_s(self) -> float:
        """Return the seconds until the tick after the last relayed part; if it has passed, a whole tick."""
        left_s = self.next_tick_at - time.monotonic()
        return left_s if 0 < left_s < self.tick_s else self.tick_s

    def wait_remaining_s(self) -> float:
        """Return the seconds until the end of the current wait."""
        return self.wait_until - time.monotonic()

    def abandon_after(self, seconds: float) -> None:
        """Mark the call as abandoned by its client, and let it continue for at most `seconds`."""
        self.is_abandoned = True
        self.deadline = min(self.deadline, time.monotonic() + seconds)
        self.wait_until = min(self.wait_until, self.deadline)

    def run(self, call: Callable[[], T]) -> T:
        """Run a call of the SDK with this state."""
        self.next_tick_at = time.monotonic() + self.tick_s
        token = current_call_state.set(self)
        try:
            return call()
        finally:
            current_call_state.reset(token)

    def close_connection(self) -> None:
        """Close the connection that waits for its response, if any."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None
