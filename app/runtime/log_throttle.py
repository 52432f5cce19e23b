"""Limit log lines that callers can cause as often as they like."""

from __future__ import annotations

from app.runtime import clock

_INTERVAL_S = 60.0
# Keys that differ each time, such as invented origins, must not fill the log or memory either.
_MAX_KEYS = 30
# For each kind, such as refused requests: enough to see what happens.
_MAX_LINES = 60


class LogBound:
    """Allows sixty lines a minute for each kind, and counts those left out. There must be few kinds."""

    def __init__(self) -> None:
        self._by_kind: dict[str, tuple[int, int, int]] = {}

    def admit(self, kind: str) -> int | None:
        """Return how many lines of this kind were left out before this one; None if this line must be left out."""
        minute = int(clock.ticks() // _INTERVAL_S)
        of_minute, count, left_out = self._by_kind.get(kind, (minute, 0, 0))
        if of_minute != minute:
            count = 0
        if count >= _MAX_LINES:
            self._by_kind[kind] = (minute, count, left_out + 1)
            return None
        self._by_kind[kind] = (minute, count + 1, 0)
        return left_out


class LogThrottle:
    """Allows one line a minute for each key, for up to thirty keys a minute."""

    def __init__(self) -> None:
        self._logged_at: dict[str, float] = {}

    def allows(self, key: str) -> bool:
        """Return whether a line about this key may be logged now, and count it."""
        now = clock.ticks()
        logged_at = self._logged_at.get(key)
        if logged_at is not None and now - logged_at < _INTERVAL_S:
            return False
        if logged_at is None and len(self._logged_at) >= _MAX_KEYS:
            recent = {each: at for each, at in self._logged_at.items() if now - at < _INTERVAL_S}
            if len(recent) >= _MAX_KEYS:
                return False
            self._logged_at = recent
        self._logged_at[key] = now
        return True
