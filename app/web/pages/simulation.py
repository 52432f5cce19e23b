"""Simulate errors by the header `X-Simulate`, so that developers can build their pages without a key.

The header is accepted only in development with the offline model, and refused otherwise.
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

# Errors that occur before the model is called. The offline model simulates all others.
_REFUSALS: dict[str, Callable[[], Problem]] = {
    "rate-limit": lambda: RateLimited(Quota(limit=10, remaining=0, reset_s=_RETRY_AFTER_S)),
    "unavailable": UpstreamRateLimited,
}


@cache
def list_simulated() -> dict[str, str]:
    """Return the values of the header, and the effect of each."""
    from app.offline_model.simulation import STATES  # not loaded by a site with a key

    return {
        "rate-limit": f"429 with `Retry-After: {_RETRY_AFTER_S:.0f}`",
        "unavailable": "503 with `Retry-After`: the model is busy",
        **STATES,
    }


def init_simulation(area: Blueprint, *, is_allowed: bool) -> None:
    """Simulate what the header requests in a part of the API, or refuse the header."""
    area.before_request(_make_simulate() if is_allowed else _refuse)


def _refuse() -> None:
    if "HTTP_X_SIMULATE" in current_request().environ:
        raise Forbidden("works only in development, with the offline model.", field=HEADER)


def _make_simulate() -> Callable[[], None]:
    from app.offline_model.simulation import play

    simulated = list_simulated()

    def simulate() -> None:
        state = current_request().environ.get("HTTP_X_SIMULATE", "")
        if state and state not in simulated:
            raise InvalidRequest(f"must be one of {', '.join(simulated)}.", field=HEADER)
        if state in _REFUSALS:
            raise _REFUSALS[state]()
        play(state)  # even if it is empty, to reset the state of an earlier request of this thread

    return simulate
