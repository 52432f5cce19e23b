"""How fast this machine is, beside those for which tests bound how long the processor may take."""

from __future__ import annotations

import time

# What the loop below takes on a machine on which these bounds are met with ease.
_USUAL_S = 0.013
_MAX_SLOWNESS = 4.0


def measure_slowness() -> float:
    """Return how many times as long as usual the same work takes here and now, from 1 to 4."""
    return min(max(min(_time_loop() for _ in range(5)) / _USUAL_S, 1.0), _MAX_SLOWNESS)


def _time_loop() -> float:
    started = time.process_time()
    sum(range(1_000_000))
    return time.process_time() - started
