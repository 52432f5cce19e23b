"""Let a developer's page ask for what goes wrong, with the header `X-Simulate`, so that it can be built without a key.

Only in development and with the offline model: elsewhere the header is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from flask import Blueprint

from app.limits.rate_limiter import Quota, RateLimited
from app.openai_service.errors import UpstreamRateLimited
from app.problems import Forbidden, InvalidRequest, Problem
from app.web.request_id import current_request

HEADER = "X-Simulate"
_RETRY_AFTER_S = 5.0

# What is refused before the model is asked. The offline model plays the rest.
_REFUSALS: dict[str, Callable[[], Problem]] = {
    "rate-limit": lambda: RateLimited(Quota(limit=10, remaining=0, reset_s=_RETRY_AFTER_S)),
    "unavailable": UpstreamRateLimited,
}


@cache
def list_simulated() -> dict[str, str]:
    """Return the values of the header, and what they do."""
    from app.offline_model.simulation import STATES  # a site with a key never loads the offline model

    return {
        "rate-limit": f"429 with `Retry-After: {_RETRY_AFTER_S:.0f}`",
        "unavailable": "503 with `Retry-After`: the model is busy",
        **STATES,
    }


def init_simulation(area: Blueprint, *, is_allowed: bool) -> None:
    """Obey the header in a part of the API, or refuse it."""
    area.before_request(_make_obey() if is_allowed else _refuse)


def _refuse() -> None:
    if "HTTP_X_SIMULATE" in current_request().environ:
        raise Forbidden("works only in development, with the offline model.", field=HEADER)


def _make_obey() -> Callable[[], None]:
    from app.offline_model.simulation import play

    simulated = list_simulated()

    def obey() -> None:
        state = current_request().environ.get("HTTP_X_SIMULATE", "")
        if state and state not in simulated:
            raise InvalidRequest(f"must be one of {', '.join(simulated)}.", field=HEADER)
        if state in _REFUSALS:
            raise _REFUSALS[state]()
        play(state)  # also if it is empty: the thread has answered other requests before

    return obey
