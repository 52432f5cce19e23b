"""FailedAttemptLimit: how many wrong credentials one address may try, over all workers."""

from __future__ import annotations

from app.auth.errors import TooManyFailures
from app.runtime import clock
from app.shared_state import SharedState

MAX_FAILURES = 30
WINDOW_S = 60


class FailedAttemptLimit:
    """Counts in windows of a minute, so at the turn of one an address has up to twice as many tries."""

    def __init__(self, state: SharedState) -> None:
        self._state = state

    def check(self, address: str) -> None:
        """To be called before a credential is looked at: afterwards the answer would tell whether it was right.

        Raises:
            TooManyFailures: until the window ends, no credential from there is looked at.
        """
        key, left_s = _window_key(address)
        if _parse_count(self._state.read(key)) >= MAX_FAILURES:
            raise TooManyFailures(left_s)

    def count(self, address: str) -> None:
        """Note that a credential was wrong."""
        key, _ = _window_key(address)
        self._state.update(key, lambda old: b"%d" % (_parse_count(old) + 1), ttl_s=2 * WINDOW_S)


def _window_key(address: str) -> tuple[str, float]:
    number, into_s = divmod(clock.now(), WINDOW_S)
    return f"auth-failures:{address}:{int(number)}", WINDOW_S - into_s


def _parse_count(value: bytes | None) -> int:
    return int(value) if value and value.isdigit() else 0
