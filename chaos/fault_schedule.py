"""The fault schedule: a low failure rate, with outages in which nearly every attempt fails."""

import random
import time

from chaos.settings import CHAT, EMBEDDING, FALLBACK

_BASELINE, _OUTAGE = 0.3, 0.95
_EVERYWHERE = (CHAT, FALLBACK, EMBEDDING)


class FaultSchedule:
    """No faults until begin() is called, then a schedule drawn from the seed."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(f"{seed}:faults")
        self._began_at: float | None = None
        self._outages: list[tuple[float, float, tuple[str, ...]]] = []

    def begin(self, seconds: float) -> None:
        """Start the schedule: an outage of about 1.5 to 3.5 seconds every 7 to 14 seconds."""
        self._began_at = time.monotonic()
        start = self._rng.uniform(0.5, 6.0)
        while start < seconds:
            length = self._rng.uniform(1.5, 3.5)
            models = self._rng.choice([(CHAT,), (CHAT,), _EVERYWHERE])
            self._outages.append((start, start + length, models))
            start += length + self._rng.uniform(7.0, 14.0)

    def end(self) -> None:
        """Stop injecting faults."""
        self._began_at = None

    def failures(self, model: str) -> float:
        """Return the share of attempts at a model that fail now."""
        if self._began_at is None:
            return 0.0
        now = time.monotonic() - self._began_at
        is_outage = any(start <= now < end and model in models for start, end, models in self._outages)
        return _OUTAGE if is_outage else _BASELINE

    def refusals(self) -> float:
        """Return the share of connections that is refused."""
        return 0.0 if self._began_at is None else 0.04
