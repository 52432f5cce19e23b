"""Collect the data of the board at /admin: metadata only, of all workers if the shared state is available."""

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
"""The key of the Refusals in the application's extensions."""

# How the state of a circuit is shown: the kind of badge, and its text.
_CIRCUITS = {
    "closed": ("ok", "closed"),
    "half_open": ("warn", "half open"),
    "open": ("danger", "open"),
    "open_for_one_caller": ("warn", "open for one caller"),
}


@dataclass(frozen=True, slots=True)
class StoreState:
    """Whether a store answers, and how long its answer took."""

    name: str
    is_up: bool
    milliseconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """The data of the board. A figure is None if its store does not answer.

    Attributes:
        is_shared: whether the data is of all workers; without the shared state it is of this worker only.
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
    """Check the stores and collect the data."""
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
