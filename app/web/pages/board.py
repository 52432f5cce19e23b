"""Collect what the board of /admin shows: metadata only, over all workers where they share it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from flask import current_app

from app.services import Services, services
from app.storage.database.database import DatabaseUnavailable
from app.web.pages.refusals import Refusals

REFUSALS = "gatehouse-refusals"
"""The name under which an application has its Refusals."""

# How a circuit's state is shown: a kind of badge, and words.
_CIRCUITS = {
    "closed": ("ok", "closed"),
    "half_open": ("warn", "half open"),
    "open": ("danger", "open"),
    "open_for_one_caller": ("warn", "open for one caller"),
}


@dataclass(frozen=True, slots=True)
class StoreState:
    """Whether a store answers, and in how many milliseconds."""

    name: str
    is_up: bool
    milliseconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """What the board shows. A figure is None if its store does not answer.

    Attributes:
        is_shared: whether it is of all workers; without the shared state each knows of its own only.
    """

    at: str
    is_shared: bool
    streams: int
    streams_limit: int
    holds: int | None
    journaled: int
    stores: list[StoreState]
    circuits: list[tuple[str, str, str, str]]
    refusals: list[tuple[str, int, str, str]]


def collect_board() -> Board:
    """Look at the stores now."""
    built = services()
    refusals: Refusals = current_app.extensions[REFUSALS]
    shared_state = _check("Shared state", built.shared_state.check)
    return Board(
        at=_format_time(time.time()),
        is_shared=shared_state.is_up,
        streams=built.shared_state.count_leases("streams"),
        streams_limit=built.config.max_concurrent_streams,
        holds=_count_holds(built),
        journaled=built.ledger.count_journaled(),
        stores=[_check("Database", built.database.check), shared_state],
        circuits=[
            (operation, model, *_CIRCUITS[state])
            for (operation, model), state in built.openai_service.read_circuits().items()
        ],
        refusals=[(_format_time(at), status, code, route) for at, status, code, route in refusals.list_newest()],
    )


def _count_holds(built: Services) -> int | None:
    try:
        return built.reports.count_holds()
    except DatabaseUnavailable:
        return None


def _check(name: str, check: Callable[[], None]) -> StoreState:
    started = time.perf_counter()
    try:
        check()
    except DatabaseUnavailable:
        return StoreState(name, False, 0.0)
    return StoreState(name, True, (time.perf_counter() - started) * 1000)


def _format_time(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S")
