"""Limit the wrong credentials from one address, counted over all workers."""

from __future__ import annotations

from app.auth.errors import TooManyFailures
from app.runtime import clock
from app.shared_state import SharedState

MAX_FAILURES = 30
WINDOW_S = 60


class FailedAttemptLimit:
    """Counts failed attempts in fixed windows of a minute. Around the end of a window up to twice the limit can pass."""

    def __init__(self, state: SharedState) -> None:
        self._state = state

    def check(self, address: str) -> None:
        """Refuse an address with too many failed attempts.

        Call this before the credential is checked, or the answer would reveal whether it is valid.

        Raises:
            TooManyFailures: until the window ends.
        """
        key, left_s = _window_key(address)
        if _parse_count(self._state.read(key)) >= MAX_FAILURES:
            raise TooManyFailures(left_s)

    def count(self, address: str) -> None:
        """Count a failed attempt."""
        key, _ = _window_key(address)
        self._state.update(key, lambda old: b"%d" % (_parse_count(old) + 1), ttl_s=2 * WINDOW_S)


def _window_key(address: str) -> tuple[str, float]:
    number, elapsed_s = divmod(clock.now(), WINDOW_S)
    return f"auth-failures:{address}:{int(number)}", WINDOW_S - elapsed_s


def _parse_count(value: bytes | None) -> int:
    return int(value) if value and value.isdigit() else 0
