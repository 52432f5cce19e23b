"""When the upstream is well, and when it is not: calm, with storms in which nearly every attempt fails."""

import random
import time

from chaos.settings import CHAT, EMBEDDING, FALLBACK

_CALM, _STORM = 0.3, 0.95
_EVERYWHERE = (CHAT, FALLBACK, EMBEDDING)


class Weather:
    """Clear skies until begin() is called, then as the seed has it."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(f"{seed}:weather")
        self._began_at: float | None = None
        self._storms: list[tuple[float, float, tuple[str, ...]]] = []

    def begin(self, seconds: float) -> None:
        """Let the bad times come: a storm of two or three seconds in each quarter of a minute or so."""
        self._began_at = time.monotonic()
        start = self._rng.uniform(0.5, 6.0)
        while start < seconds:
            length = self._rng.uniform(1.5, 3.5)
            models = self._rng.choice([(CHAT,), (CHAT,), _EVERYWHERE])
            self._storms.append((start, start + length, models))
            start += length + self._rng.uniform(7.0, 14.0)

    def end(self) -> None:
        """Clear skies again."""
        self._began_at = None

    def failures(self, model: str) -> float:
        """Which share of the attempts at a model fail."""
        if self._began_at is None:
            return 0.0
        now = time.monotonic() - self._began_at
        is_storm = any(start <= now < end and model in models for start, end, models in self._storms)
        return _STORM if is_storm else _CALM

    def refusals(self) -> float:
        """Which share of the connections is refused."""
        return 0.0 if self._began_at is None else 0.04
