"""The ways in which the upstream answers. Each is a named mode; a random one is chosen for each attempt."""

import random
from typing import Any

from chaos.modes import connections, refusals, streams, successes, wrong
from chaos.modes.mode import Mode

MODES = [*successes.MODES, *refusals.MODES, *connections.MODES, *streams.MODES, *wrong.MODES]

__all__ = ["MODES", "Mode", "choose"]


def choose(rng: random.Random, operation: str, params: dict[str, Any], failures: float) -> Mode:
    """Choose a random mode for one attempt.

    Args:
        failures: which share of the attempts is to fail.
    """
    fails = rng.random() < failures
    fitting = [mode for mode in MODES if mode.fails == fails and mode.fits(operation, params)]
    return rng.choices(fitting, weights=[mode.weight for mode in fitting])[0]


assert len({mode.name for mode in MODES}) == len(MODES), "each mode has a name of its own"
